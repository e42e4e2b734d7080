"""E112."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.utils import get_references

from safemigrate.operations.reading import altered, short
from safemigrate.operations.remedies import Chain, chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule(
    "E112",
    "rename-model",
    operation=(migrations.RenameModel, migrations.AlterModelTable, migrations.AlterField),
)
def rename_model(step: Step) -> Iterator[Finding]:
    """A renamed table breaks every query of the release that is still running."""
    op: Any = step.operation
    if not step.existed_before:
        return
    old, new = _tables(step)
    chain = chain_for(step)
    if old == new:
        if isinstance(op, migrations.RenameModel) and _is_referred_to(step):
            yield _makes_keys_anew(step, chain)
        return
    yield Finding(
        what=f"{type(op).__name__} renames {short(old)} to {short(new)}.",
        why=(
            f"ALTER TABLE ... RENAME takes an ACCESS EXCLUSIVE lock on {old} for an instant; from "
            f"then on each query of the running release that names {old} fails."
        ),
        instead=chain,
        steps=()
        if chain
        else (
            f"Keep the table: db_table = {old!r} in the Meta of the model, under its new name.",
            "If the table itself must be renamed, do it in a maintenance window, inside Assured.",
        ),
    )


def _makes_keys_anew(step: Step, chain: Chain | None) -> Finding:
    return Finding(
        what=f"RenameModel makes the foreign keys to {short(step.table)} anew.",
        why=(
            f"The table stays, but Django drops each foreign key to {step.table} and adds it "
            "again: under SHARE ROW EXCLUSIVE all rows are read, and no write gets through."
        ),
        instead=chain,
        steps=() if chain else ("Rename it in a maintenance window, inside Assured.",),
    )


def _is_referred_to(step: Step) -> bool:
    return any(True for _ in get_references(step.before, step.model_key))


def _tables(step: Step) -> tuple[str, str]:
    op: Any = step.operation
    if isinstance(op, migrations.AlterField):
        old, new = (getattr(field, "db_table", None) for field in altered(step))
        default = f"{step.table}_{op.name}"
        return old or default, new or default
    if isinstance(op, migrations.AlterModelTable):
        return step.table, op.table or f"{step.app_label}_{op.name}".lower()
    explicit = step.model.options.get("db_table")
    return step.table, explicit or f"{step.app_label}_{op.new_name}".lower()
