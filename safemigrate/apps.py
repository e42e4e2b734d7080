"""What happens when a project starts: sessions tell their release, checks are registered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.signals import connection_created

from safemigrate.backends import backend_for, refuse_missing_driver
from safemigrate.backends.other_names import follow_renames
from safemigrate.backends.other_permissions import keep_permissions
from safemigrate.facts import settings
from safemigrate.facts.errors import UnsupportedDatabase, WrongSettings


class SafeMigrateConfig(AppConfig):
    name = "safemigrate"
    verbose_name = "Safe migrations"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # Now, before any app's models are imported: Django would fail there, with a traceback
        # that ends in somebody else's model.
        try:
            refuse_missing_driver(django_settings.DATABASES)
        except UnsupportedDatabase as error:
            raise ImproperlyConfigured(str(error)) from None

    def ready(self) -> None:
        from safemigrate import checks

        checks.register_all()
        follow_renames()
        keep_permissions()
        connection_created.connect(
            tell_release, dispatch_uid="safemigrate.tell_release", weak=False
        )
        for connection in connections.all():
            # A database that we cannot protect is refused by migrate, not by every process.
            with suppress(UnsupportedDatabase):
                backend_for(connection).expect_stand_ins()


def tell_release(connection: Any, **kwargs: Any) -> None:
    """
    Let ``pg_stat_activity`` show which release a session runs.

    A wrong setting is reported by a check and refused by ``migrate``; it must not take a
    request down.
    """
    try:
        release = settings.current().release
        if release:
            backend_for(connection).carry_release(release)
    except (WrongSettings, UnsupportedDatabase):
        return
