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
from safemigrate.backends.together import Twins
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


def _without_renames(migration: Migration) -> Any:
    told: Any = copy(migration)
    told.operations = [one for one in migration.operations if not _is_our_rename(one)]
    return told


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
        words = f"-- At run time: who has a permission of {here._meta.label} has that of "
        editor.collected_sql.append(f"{words}{there._meta.label} too, and is kept so by triggers.")
        return
    if not _OURS.get():
        return
    backend = backend_for(editor.connection)
    if not backend.commits_by_itself:
        settle(editor, here, there)  # there is no other code that asks for the old ones
        return
    rows, found, pairs = _rows(editor), _found(editor, here, there), {}
    for action in there._meta.default_permissions:
        one = found.get(get_permission_codename(action, here._meta))
        if one is None:
            continue
        names = _called(action, there)
        other = found.get(names["codename"])
        if other is None:
            other = rows.create(content_type_id=one.content_type_id, **names)
        pairs[one.pk] = other.pk
    if pairs:
        backend.tie(editor, _twins(pairs, here, there))


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
    pairs = backend.patiently([], partial(_exchange_names, editor, gone, kept))
    backend.untie(editor, _twins(pairs, gone, kept))
    for second, first in pairs.items():
        backend.patiently([], partial(backend.merge_rows, _table(), second, first))


def _exchange_names(
    editor: BaseDatabaseSchemaEditor, gone: type[Model], kept: type[Model]
) -> dict[Any, Any]:
    """Give the first of each two the name of ``kept``; return ``{second: first}``."""
    rows, found, pairs = _rows(editor), _found(editor, kept, gone), {}
    for action in kept._meta.default_permissions:
        names = _called(action, kept)
        one = found.get(get_permission_codename(action, gone._meta))
        other = found.get(names["codename"])
        if one is None:
            continue
        if other is None:
            rows.filter(pk=one.pk).update(**names)
            continue
        first, second = sorted((one.pk, other.pk))
        pairs[second] = first
        if one.pk == first:
            rows.filter(pk=second).update(codename=uuid4().hex)  # both names are taken
            rows.filter(pk=first).update(**names)
            rows.filter(pk=second).update(codename=one.codename, name=one.name)
    return pairs


def _found(
    editor: BaseDatabaseSchemaEditor, first: type[Model], second: type[Model]
) -> dict[str, Any]:
    """
    ``{codename: row}`` of one model that has both names.

    Its content type is that of ``first``; a model of the other name may have left one as well.
    """
    names = [str(model._meta.model_name) for model in (first, second)]
    kinds = types_of(editor, first._meta.app_label, *names)
    kind = kinds.get(names[0]) or kinds.get(names[1])
    return {row.codename: row for row in _rows(editor).filter(content_type_id=kind)}


def _called(action: str, model: type[Model]) -> dict[str, str]:
    """As Django calls a default permission."""
    return {
        "codename": get_permission_codename(action, model._meta),
        "name": f"Can {action} {model._meta.verbose_name_raw}",
    }


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


def _twins(pairs: dict[Any, Any], one: type[Model], other: type[Model]) -> Twins:
    names = sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in (one, other))
    return Twins(_table(), pairs, names)
