"""What makemigrations has written, beside what waits already: may both go out with one release?"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, migrations
from django.db.migrations.migration import swappable_dependency
from django.db.migrations.recorder import MigrationRecorder

from safemigrate.executor.loader import SafeLoader
from safemigrate.operations.phases import flat, waits_for_rollout
from safemigrate.planner.autodetector import protected_connection
from safemigrate.planner.early import note, pairs
from safemigrate.planner.footprints import footprint
from safemigrate.planner.register import Key, Register
from safemigrate.planner.unseen import as_the_database_sees

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.migration import Migration


class _Loader(SafeLoader):
    """What is on the disk, and ``written``, of which a dry run puts nothing there."""

    def __init__(self, written: Mapping[Key, Migration]) -> None:
        self._written = written
        super().__init__(None, ignore_no_migrations=True)

    def load_disk(self) -> None:
        super().load_disk()
        self.disk_migrations.update(self._written)

    def check_key(self, key: Key, current_app: str) -> Any:
        """Only a file says what a setting stands for."""
        if key[0] == "__setting__":
            key = swappable_dependency(getattr(settings, key[1]))
        return super().check_key(key, current_app)


def early_note(changes: Mapping[str, Sequence[Migration]]) -> str | None:
    """
    A note if these migrations touch the same thing as a contract that may not be applied.

    The database is asked only if there is a reason to.
    """
    connection = protected_connection()
    if connection is None:
        return None
    importlib.invalidate_caches()  # the files may be younger than what Python knows of the folder
    new = {(m.app_label, m.name): m for written in changes.values() for m in written}
    loader = _Loader(new)
    nodes = loader.graph.nodes
    contracts = Register()
    for key in nodes.keys() - new.keys():
        if waits_for_rollout(nodes[key]):
            contracts.add(key, footprint(nodes[key]))
    starting = [key for key in new if key in nodes and not waits_for_rollout(nodes[key])]
    # The state that a file starts from takes the whole history: only where something meets.
    near = {key for key, _ in pairs([(key, footprint(nodes[key])) for key in starting], contracts)}
    touched = [
        (key, as_the_database_sees(nodes[key], loader.project_state(key, at_end=False), connection))
        for key in starting
        if key in near
    ]
    found = list(pairs(touched, contracts))
    if not found:
        return None
    applied = _applied(connection)
    if applied is None:
        return note(found, None)
    if not applied:
        return None  # it will be installed from scratch, which holds nothing back
    made = {
        (key[0], operation.name_lower)
        for key in nodes.keys() - set(applied)
        for operation in flat(nodes[key].operations)
        if isinstance(operation, migrations.CreateModel)
    }
    waiting = [
        (later, first)
        for later, first in found
        if first not in applied and not footprint(nodes[first]).models() <= made
    ]
    return note(waiting, connection.alias) if waiting else None


def _applied(connection: BaseDatabaseWrapper) -> Collection[Key] | None:
    """None if the database cannot be asked."""
    try:
        return MigrationRecorder(connection).applied_migrations().keys()
    except (DatabaseError, ImproperlyConfigured):
        return None
