"""E106."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.backends.fields import deletes_itself
from safemigrate.operations.reading import (
    altered,
    has_foreign_key,
    rebuilds_foreign_key,
    short,
    target_of,
)
from safemigrate.operations.remedies import chain_for
from safemigrate.operations.remedies.facets import Facets, Shift, facets_of
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.by_the_server import NO_MIXTURE, by_code_first, let_down, word

_STEPS = (
    "Add a new field beside the old one; makemigrations writes it safely.",
    "Deploy code that writes both, and copy the values with BatchedBackfill.",
    "Deploy code that reads the new one; remove the old one in a later deploy.",
)


@rule("E106", "foreign-key", operation=(migrations.AddField, migrations.AlterField))
def foreign_key(step: Step) -> Iterator[Finding]:
    """A foreign key added the ordinary way stops writes to two tables at once."""
    op: Any = step.operation
    if not step.existed_before:
        return
    if (changed := _of(step)) and changed.lets_down:
        yield _let_down(step, changed)
        return
    if not _adds_foreign_key(step):
        return
    if op.field.many_to_many:
        yield _other_table(step)
        return
    target = target_of(step, op.field)
    parent = f"{target.app_label}.{target.model}" if target else "the parent"
    chain = chain_for(step)
    yield Finding(
        what=f"{type(op).__name__} adds a FK {short(op.name)} to {short(step.table)} in one go.",
        why=(
            f"ADD CONSTRAINT ... FOREIGN KEY takes SHARE ROW EXCLUSIVE on the table of {parent} "
            f"and, with its column and index, ACCESS EXCLUSIVE on {step.table}: writes to both "
            "wait until every row has been checked and the index is built."
        ),
        instead=chain,
        steps=() if chain else _after_a_proxy(step) or _STEPS,
    )


def _after_a_proxy(step: Step) -> tuple[str, ...]:
    """What plain Django removes too early, so that nobody can tell what the field referred to."""
    if not isinstance(step.operation, migrations.AlterField):
        return ()
    target = target_of(step, altered(step)[0])
    if target is None or target.app_label in step.before.real_apps:
        return ()
    if (target.app_label, target.model) in step.before.models:
        return ()
    return (
        f"Move the DeleteModel of {target.app_label}.{target.model} behind this, into a migration "
        "that depends on this one.",
        "Where both are proxies of one table, it then changes the state alone.",
    )


def _of(step: Step) -> Facets | None:
    """What changes about a field that has a column before and after."""
    if not isinstance(step.operation, migrations.AlterField):
        return None
    old, new = altered(step)
    if any(field.many_to_many or field.generated for field in (old, new)):
        return None
    return facets_of(step, old, new, step.operation.name)


def _let_down(step: Step, changed: Facets) -> Finding:
    op: Any = step.operation
    return Finding(
        what=f"AlterField changes what {short(op.name)} lets the server do to {short(step.table)}.",
        why=let_down(step.table),
        steps=tuple(_by_code_meanwhile(changed)),
    )


def _by_code_meanwhile(changed: Facets) -> Iterator[str]:
    """Release by release, so that each does in code what the server may not do for it yet."""
    was, becomes = (deletes_itself(field) for field in (changed.old, changed.new))
    if not changed.foreign_key and changed.deletes is not Shift.OTHER:
        yield "Change on_delete alone; makemigrations writes it safely."
        yield "Make the other change when the contract of that has run."
        return
    rest = f" with on_delete={word(becomes or was)}" if changed.new.remote_field else ""
    if changed.foreign_key and was:
        yield by_code_first(changed.old, "the field as it is")
        yield f"When the contract of that has run, make this change{rest}."
    else:
        yield f"Make this change{rest}; makemigrations writes it safely."
    if becomes:
        yield f"When the contract of that has run, on_delete={word(becomes, 'DB_')}."
    yield NO_MIXTURE


def _other_table(step: Step) -> Finding:
    op: Any = step.operation
    chain = chain_for(step)
    return Finding(
        what=f"AlterField gives {short(op.name)} of {short(step.table)} another table.",
        why=(
            "Django renames and repoints the table of a many-to-many field in one go, under ACCESS "
            "EXCLUSIVE locks, or refuses to; code of the release that is still running no longer "
            "finds it."
        ),
        instead=chain,
        steps=() if chain else _after_a_proxy(step) or _STEPS,
    )


def _table_of(step: Step, field: Any) -> tuple[Any, ...]:
    """What its table is made of, but for its name; of one with a model nothing is."""
    if field.remote_field.through is not None:
        return ("a model",)
    return target_of(step, field), field.remote_field.db_constraint


def _adds_foreign_key(step: Step) -> bool:
    op: Any = step.operation
    if isinstance(op, migrations.AddField):
        # One that is the primary key as well is the business of E117.
        return has_foreign_key(op.field) and not op.field.primary_key
    old, new = altered(step)
    if old.many_to_many and new.many_to_many:
        return _table_of(step, old) != _table_of(step, new)
    if not has_foreign_key(new):
        return False
    if not has_foreign_key(old) or target_of(step, old) != target_of(step, new):
        return True
    return rebuilds_foreign_key(old, new)
