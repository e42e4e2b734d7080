"""Names in the database that another model has until the running release is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import UniqueConstraint

from safemigrate.operations.reading import column_name, has_table, made_by
from safemigrate.planner.refusals import ModelKey, Refusal
from safemigrate.rules.base import table_of


def names_taken(
    changes: Mapping[str, Sequence[Migration]], before: ProjectState
) -> Iterator[Refusal]:
    """A table, an index or a column that gets a name which something that goes still has."""
    tables: dict[str, ModelKey] = {}
    indexes: dict[str, ModelKey] = {}
    for key, model in before.models.items():
        if has_table(model):
            tables[table_of(model)] = key
            indexes |= dict.fromkeys(_names(model.options), key)
    all_of = [(app, o) for app, new in changes.items() for m in new for o in m.operations]
    were = {
        (app, o.new_name_lower): (app, o.old_name_lower)
        for app, o in all_of
        if isinstance(o, migrations.RenameModel)
    }
    renames = _fields_renamed(all_of)
    for app, operation in all_of:
        key = (app, str(getattr(operation, "model_name", getattr(operation, "name", ""))).lower())
        own = were.get(key, key)
        table = _table_wanted(app, operation)
        if table and tables.get(table, own) != own:
            yield _table_refused(app, operation, key[1], table, tables[table])
            continue
        if own in before.models:
            yield from _columns_taken(app, operation, before.models[own], renames.get(key, {}))
        for name in _names_wanted(operation):
            if indexes.get(name, own) != own:
                yield Refusal(
                    app,
                    operation,
                    reason=f"{name} of {key[1]} is to have the name of an index of "
                    f"{'.'.join(indexes[name])}, which that one keeps until code of the running "
                    "release is gone.",
                    do="Give it another name; if the one model is the other renamed, make that "
                    "rename in a run of its own, without --noinput, and other changes after it.",
                )


def _table_wanted(app: str, operation: Any) -> str | None:
    if isinstance(operation, migrations.CreateModel):
        model = made_by(operation, app)
        return table_of(model) if has_table(model) else None
    if isinstance(operation, migrations.AlterModelTable):
        return table_of(ModelState(app, operation.name, [], {"db_table": operation.table}))
    return None


def _fields_renamed(all_of: Sequence[tuple[str, Any]]) -> dict[ModelKey, dict[str, str]]:
    """Shape: {model: {old name: new name}}, of those in the state alone too."""
    found: dict[ModelKey, dict[str, str]] = {}
    for app, operation in all_of:
        for one in getattr(operation, "state_operations", None) or [operation]:
            if isinstance(one, migrations.RenameField):
                found.setdefault((app, one.model_name_lower), {})[one.old_name] = one.new_name
    return found


def _columns_taken(
    app: str, operation: Any, model: ModelState, renames: Mapping[str, str]
) -> Iterator[Refusal]:
    """``renames``: of the model's fields."""
    if not isinstance(operation, migrations.AddField | migrations.AlterField):
        return
    wanted = column_name(operation.field, operation.name)
    if wanted is None or not has_table(model):
        return
    for name, field in model.fields.items():
        if column_name(field, name) == wanted and operation.name not in (name, renames.get(name)):
            yield Refusal(
                app,
                operation,
                reason=f"{model.name}.{operation.name} is to have the column {wanted}, which is "
                f"that of {name} until code of the running release is gone.",
                do=f"Give it another column; or change {name} alone in this release, and "
                f"{operation.name} in the next.",
            )


def _names_wanted(operation: Any) -> list[str]:
    if isinstance(operation, migrations.CreateModel):
        return _names(operation.options)
    if isinstance(operation, migrations.AddIndex):
        return [operation.index.name]
    if isinstance(operation, migrations.AddConstraint):
        return _names({"constraints": [operation.constraint]})
    return []


def _names(options: Mapping[str, Any]) -> list[str]:
    """Of what is an index on the server: a CHECK has its name beside those of other tables."""
    unique = [c for c in options.get("constraints", ()) if isinstance(c, UniqueConstraint)]
    return [one.name for one in (*options.get("indexes", ()), *unique)]


def _table_refused(
    app: str, operation: Operation, model: str, table: str, owner: ModelKey
) -> Refusal:
    label = ".".join(owner)
    return Refusal(
        app,
        operation,
        reason=f"{model} is to have the table {table}, which {label} has, and which code of the "
        "running release reads and writes until it is gone.",
        do=f"If it is to have the rows of {label} too, move the model in the state alone: "
        "SeparateDatabaseAndState(state_operations=[...]) with CreateModel in the one app and "
        "DeleteModel in the other. If not, let it have another table until a release without "
        f"{label} in that one is deployed.",
    )
