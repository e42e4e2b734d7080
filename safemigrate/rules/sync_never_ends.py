"""E206."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation

from safemigrate.operations import (
    AddRenamedField,
    AddShadowField,
    ContractDrop,
    ContractRenameField,
    ContractRenameModel,
    ContractRenamePrimaryKey,
    ContractRenameTable,
    DropRenamedField,
    DropShadowField,
    ExpandRenameField,
    ExpandRenameModel,
    ExpandRenamePrimaryKey,
    ExpandRenameTable,
)
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import has_table, short
from safemigrate.rules.base import Finding, Step, model_name_of, rule, table_of

# A view under the old name, or a second column and the trigger that keeps the two the same.
_VIEWS = (ExpandRenameModel, ExpandRenameTable, ExpandRenameField)


@rule(
    "E206",
    "sync-never-ends",
    operation=(AddRenamedField, AddShadowField, *_VIEWS),
)
def sync_never_ends(step: Step) -> Iterator[Finding]:
    """A second column, name or view for the release before is started, and nothing ever ends it."""
    if step.after is None or not _leaves_something(step):
        return
    end = _end_of(step)
    names = {model_name_of(step.operation), model_name_of(end)}
    if not any(_ends(one, end, names) for one in _later(step, names)):
        yield _finding(step, end)


def _leaves_something(step: Step) -> bool:
    """Whether it makes anything at all; what is known by one table name needs no view."""
    operation = step.operation
    model = step.before.models.get((step.app_label, model_name_of(operation)))
    if model is None or isinstance(operation, ExpandRenameModel):
        return model is not None
    if not has_table(model):
        return False
    if isinstance(operation, ExpandRenameTable):
        own = f"{step.app_label}_{model.name}".lower()
        return bool(table_of(model) != (operation.table or own))
    return True


def _end_of(step: Step) -> Any:
    """The operation that would end it."""
    op: Any = step.operation
    if isinstance(op, AddShadowField):
        return DropShadowField(op.model_name, op.name, step.model.get_field(op.name))
    if isinstance(op, AddRenamedField):
        # For another db_column alone, it says how the field was.
        field = None if op.field is None else step.model.get_field(op.old_name)
        return DropRenamedField(op.model_name, op.old_name, op.new_name, field)
    if isinstance(op, ExpandRenameModel):
        return ContractRenameModel(op.old_name, op.new_name)
    if isinstance(op, ExpandRenameTable):
        return ContractRenameTable(op.name, step.model.options.get("db_table") or None)
    kind = ContractRenameField
    if isinstance(op, ExpandRenamePrimaryKey):
        kind = ContractRenamePrimaryKey
    return kind(op.model_name, op.old_name, op.new_name)


def _later(step: Step, names: set[str]) -> Iterator[Operation]:
    """
    What comes behind it in its app.

    ``names``: of the model; one that it gets on the way is added.
    """
    assert step.after is not None  # noqa: S101  asked by the caller
    for migration in step.after():
        if migration.app_label == step.app_label:
            for operation in flat(migration.operations):
                yield operation
                if isinstance(operation, migrations.RenameModel):
                    was, becomes = operation.old_name_lower, operation.new_name_lower
                    names |= {becomes} if was in names else set()


def _ends(operation: Operation, end: Any, names: set[str]) -> bool:
    own = model_name_of(operation)
    if isinstance(operation, ContractDrop):
        wanted = {_said(end, "name"), _said(end, "new_name")}
        goes = operation.name is None or operation.name.lower() in wanted
        return goes and operation.model_name_lower in names
    if isinstance(operation, migrations.DeleteModel):
        return own in names
    if isinstance(operation, migrations.RemoveField):
        return own in names and operation.name_lower == _said(end, "name")
    if type(operation) is not type(end):
        return False
    # Of a table, the name is that of the model, which may have got another one on the way.
    keys = ["old_name", "new_name", "old_table"]
    keys += [] if isinstance(end, ContractRenameTable) else ["name"]
    return own in names and all(_said(operation, key) == _said(end, key) for key in keys)


def _said(operation: Any, key: str) -> str:
    return str(getattr(operation, key, None) or "").lower()


def _finding(step: Step, end: Any) -> Finding:
    op: Any = step.operation
    table = table_of(step.model)
    what = "view" if isinstance(op, _VIEWS) else "second column"
    if isinstance(op, ExpandRenameModel):
        what = "second name"
        why = (
            f"The name of {op.old_name} stays for ever, with all that has it: a view where the "
            "table is renamed, a name of the content type, permissions that are granted twice. "
            "Code that still uses it is never found."
        )
    elif isinstance(op, _VIEWS):
        why = (
            f"The view under the old name of {table} stays for ever: code that still uses it is "
            "never found, and what it is made of cannot be changed freely."
        )
    else:
        why = (
            f"Two columns and the trigger that keeps them the same stay on {table} for ever: each "
            "INSERT and UPDATE pays for both, and nobody may drop the old one."
        )
    return Finding(
        what=f"{type(op).__name__} leaves a {what} on {short(table)}; nothing ends it.",
        why=why + " Only a contract takes it away, under an ACCESS EXCLUSIVE lock for an instant.",
        instead=(end,),
        steps=(f"Add {type(end).__name__} as a migration of its own, after this one.",),
    )
