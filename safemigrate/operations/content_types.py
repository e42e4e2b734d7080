"""
One content type for a model that has a name in each release: what the operations write down.

The names are read by ``backends/other_names.py``, which says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import router, transaction

from safemigrate.backends import backend_for
from safemigrate.backends.other_names import TABLE, is_model, pair_model, pairs_of
from safemigrate.backfill.tables import OwnTables

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def remember(editor: BaseDatabaseSchemaEditor, app_label: str, old: str, new: str) -> None:
    """
    Write down that these are names of one model, before its content type gets the other one.

    It stays on the way back of the expand, since newer code may run on; it goes with the
    contract.
    """
    pair = _pair_of(app_label, old, new)
    if pair["old"] == pair["new"] or not types_of(editor, app_label, old, new):
        return  # no code has made one so far, as in a first install
    _ensure_table(editor.connection)
    pairs = pairs_of(editor.connection.alias)
    if not pairs.filter(**pair).exists():
        pairs.create(**pair)


def _ensure_table(connection: BaseDatabaseWrapper) -> None:
    table = OwnTables(connection, pair_model())
    if table.exist():
        return
    with transaction.atomic(using=connection.alias):
        table.ensure()
        # Code that looks for a content type may have another role; names are no secret.
        backend_for(connection).let_all_read(TABLE)


def settle(editor: BaseDatabaseSchemaEditor, app_label: str, old: str, new: str) -> None:
    """
    Make one of two rows, of which code without this module has made the second.

    The one under the new name stays: it is what the code that is running knows. That of another
    model which has the old name by now is no second one.

    Raises:  DataInTheWay.
    """
    if not _has_types(editor):
        return
    pair = _pair_of(app_label, old, new)
    backend, rows = backend_for(editor.connection), types_of(editor, app_label, old, new)
    if len(rows) == 2 and not is_model(app_label, pair["old"]):
        backend.merge_rows(_types()._meta.db_table, rows[pair["old"]], rows[pair["new"]])


def forget(editor: BaseDatabaseSchemaEditor, app_label: str, old: str, new: str) -> None:
    """End what ``remember`` began, when nothing is there under both names any more."""
    if _has_types(editor) and backend_for(editor.connection).has_table(TABLE):
        pairs = pairs_of(editor.connection.alias)
        pairs.filter(**_pair_of(app_label, old, new)).delete()


def types_of(editor: BaseDatabaseSchemaEditor, app_label: str, *names: str) -> dict[str, Any]:
    """Return ``{name: key}`` of what is there under names of one model."""
    if not _has_types(editor):
        return {}
    rows = _types()._base_manager.using(editor.connection.alias)
    rows = rows.filter(app_label=app_label, model__in=[name.lower() for name in names])
    return dict(rows.values_list("model", "pk"))


def _pair_of(app_label: str, old: str, new: str) -> dict[str, str]:
    return {"app_label": app_label, "old": old.lower(), "new": new.lower()}


def _types() -> Any:
    from django.contrib.contenttypes.models import ContentType  # of no use where not installed

    return ContentType


def _has_types(editor: BaseDatabaseSchemaEditor) -> bool:
    if editor.collect_sql or not apps.is_installed("django.contrib.contenttypes"):
        return False
    connection = editor.connection
    may_be: bool = router.allow_migrate_model(connection.alias, _types())
    return may_be and backend_for(connection).has_table(_types()._meta.db_table)
