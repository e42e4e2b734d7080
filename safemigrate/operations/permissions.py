"""
The default permissions of a model that has a name in each release, granted under both.

Django calls them after the model. Before 6.1 it makes those of a new name and grants them to
nobody; 6.1 gives the old ones the new name after ``migrate``, and code of the release before asks
for what nobody has. So each gets a twin: who is granted one of the two is granted both, until the
contract makes them one. Where another ``migrate`` than ours runs, it stays Django's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.db import migrations, router
from django.db.migrations.operations.base import Operation

from safemigrate.backends import backend_for
from safemigrate.operations.base import SafeOperation
from safemigrate.operations.content_types import types_of

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.migration import Migration
    from django.db.models import Model

_OURS: ContextVar[bool] = ContextVar("safemigrate_permissions", default=False)


@contextmanager
def left_to_us() -> Iterator[None]:
    """Inside, ``post_migrate`` is sent by us, with the plan that ``without_renames`` returns."""
    token = _OURS.set(True)
    try:
        yield
    finally:
        _OURS.reset(token)


def without_renames(plan: Sequence[tuple[Migration, bool]]) -> list[tuple[Migration, bool]]:
    """Return the plan for receivers that would rename permissions by it."""
    return [(_without_renames(migration), backwards) for migration, backwards in plan]


def _without_renames(migration: Migration) -> Migration:
    told: Any = copy(migration)
    told.operations = [one for one in migration.operations if not _is_our_rename(one)]
    return told  # type: ignore[no-any-return]


def _is_our_rename(operation: Operation) -> bool:
    return isinstance(operation, migrations.RenameModel) and isinstance(operation, SafeOperation)


def share(editor: BaseDatabaseSchemaEditor, here: type[Model], there: type[Model]) -> None:
    """
    Grant those of ``there`` to whoever has those of ``here``: one model, under two names.

    Re-run:  makes what is missing.
    """
    if not _are_here(editor):
        return
    if editor.collect_sql:
        label, other = here._meta.label, there._meta.label
        editor.collected_sql.append(
            f"-- At run time: who has a permission of {label} has that of {other} too, and is "
            "kept so by triggers."
        )
        return
    if not _OURS.get():
        return
    backend = backend_for(editor.connection)
    if not backend.commits_by_itself:
        settle(editor, here, there)  # there is no other code that asks for the old ones
        return
    rows, twins = _rows(editor), {}
    for one, other, names in _pairs(editor, here, there):
        if one is None:
            continue
        if other is None:
            other = rows.create(content_type_id=one.content_type_id, **names)
        twins[one.pk] = other.pk
    if twins:
        backend.tie(editor, _table(), twins, _names(here, there))


def settle(editor: BaseDatabaseSchemaEditor, gone: type[Model], kept: type[Model]) -> None:
    """
    Make one of each two, under the name of ``kept``: the row that was there first.

    Re-run:  does nothing if they are one.
    Raises:  DataInTheWay.
    """
    if not _are_here(editor):
        return
    if editor.collect_sql:
        label, other = gone._meta.label, kept._meta.label
        editor.collected_sql.append(
            f"-- At run time: the permissions of {label} become one with those of {other}."
        )
        return
    backend = backend_for(editor.connection)
    # First of all the row that stays is what the code that is running finds. The other one may
    # then lose what is granted by it, batch by batch.
    twins = backend.patiently([], partial(_exchange_names, editor, gone, kept))
    backend.untie(editor, _table(), twins, _names(gone, kept))
    for second, first in twins.items():
        backend.patiently([], partial(backend.merge_rows, _table(), second, first))


def _exchange_names(
    editor: BaseDatabaseSchemaEditor, gone: type[Model], kept: type[Model]
) -> dict[Any, Any]:
    """Give the first of each two the name of ``kept``; return ``{second: first}``."""
    rows, twins = _rows(editor), {}
    for other, one, names in _pairs(editor, kept, gone, named=kept):
        if one is None:
            continue
        if other is not None:
            first, second = sorted((one.pk, other.pk))
            twins[second] = first
            if first == other.pk:
                continue
            rows.filter(pk=second).update(codename=uuid4().hex)  # both names are taken
        rows.filter(pk=one.pk).update(**names)
        if other is not None:
            rows.filter(pk=other.pk).update(codename=one.codename, name=one.name)
    return twins


def _pairs(
    editor: BaseDatabaseSchemaEditor,
    first: type[Model],
    second: type[Model],
    named: type[Model] | None = None,
) -> Iterator[tuple[Any, Any, dict[str, str]]]:
    """
    Each default permission as it is there under either name, or None, and what to call a new one.

    ``named``: the model that a new one is called after, ``second`` if not said.
    """
    meta, other, new = first._meta, second._meta, (named or second)._meta
    names = [str(one.model_name) for one in (meta, other)]
    kinds = types_of(editor, meta.app_label, *names)
    if not kinds:
        return
    # Two, where a model of that name has left its own: the permissions are those of the first.
    kind = kinds.get(names[0]) or kinds[names[1]]
    found = {row.codename: row for row in _rows(editor).filter(content_type_id=kind)}
    for action in new.default_permissions:
        codename = get_permission_codename(action, new)
        yield (
            found.get(get_permission_codename(action, meta)),
            found.get(get_permission_codename(action, other)),
            {"codename": codename, "name": f"Can {action} {new.verbose_name_raw}"},
        )


def _are_here(editor: BaseDatabaseSchemaEditor) -> bool:
    if not apps.is_installed("django.contrib.auth"):
        return False
    alias = editor.connection.alias
    may_be: bool = router.allow_migrate_model(alias, _permission())
    return may_be and (editor.collect_sql or backend_for(editor.connection).has_table(_table()))


def _permission() -> Any:
    from django.contrib.auth.models import Permission  # of no use where not installed

    return Permission


def _table() -> str:
    return str(_permission()._meta.db_table)


def _rows(editor: BaseDatabaseSchemaEditor) -> Any:
    return _permission()._base_manager.using(editor.connection.alias)


def _names(one: type[Model], other: type[Model]) -> list[str]:
    return sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in (one, other))
