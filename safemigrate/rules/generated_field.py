"""E115."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, short
from safemigrate.operations.redefining import computes_the_same
from safemigrate.rules.base import Finding, Step, rule

_VIRTUAL = (
    "On PostgreSQL 18 with Django 6.1 and newer say db_persist=False: computed when read, and "
    "added at once."
)


@rule("E115", "generated-field", operation=(migrations.AddField, migrations.AlterField))
def generated_field(step: Step) -> Iterator[Finding]:
    """A stored generated column is computed for every row while the table is stopped."""
    op: Any = step.operation
    if not step.existed_before:
        return
    if isinstance(op, migrations.AlterField):
        if _is_altered(step):
            yield _altered(step)
    elif getattr(op.field, "db_persist", False):
        yield _stored(step)


def _is_altered(step: Step) -> bool:
    old, new = altered(step)
    if old.generated and new.generated:
        return not computes_the_same(old, new, {})
    return bool(old.generated or new.generated)


def _renamed_before(step: Step) -> dict[str, str]:
    """The fields of its model that its migration has given other names by then."""
    op: Any = step.operation
    names: dict[str, str] = {}
    for one in step.migration.operations if step.migration else ():
        if one is op:
            break
        if isinstance(one, migrations.RenameField) and one.model_name_lower == op.model_name_lower:
            names[one.old_name] = one.new_name
    return names


def _virtual(step: Step) -> tuple[str, ...]:
    return (_VIRTUAL,) if step.version is None or step.version >= (18,) else ()


def _stored(step: Step) -> Finding:
    op: Any = step.operation
    plain = type(op.field.output_field).__name__
    return Finding(
        what=f"AddField computes and stores {short(op.name)} in {short(step.table)}.",
        why=(
            f"A stored generated column rewrites {step.table} under an ACCESS EXCLUSIVE lock: "
            "every read and write waits until each row has been computed. PostgreSQL cannot make "
            "a generated column of one that is there, so there is no way round."
        ),
        steps=(
            *_virtual(step),
            f"Otherwise make {op.name} a plain {plain}(null=True), and let code set it wherever it "
            "sets what it is computed from; makemigrations writes its column.",
            "Write the backfill by hand, for what older code leaves empty or changes meanwhile: "
            f'BatchedBackfill("{op.model_name_lower}", values={{"{op.name}": <the expression>}}, '
            f"where=~Q({op.name}=<the expression>), after_rollout=True), with Q(...__isnull=False) "
            "for each nullable field in the expression.",
            "It runs at the next release, or with migrate --phase backfill once older code is "
            f"gone; deploy code that reads {op.name} after it.",
            "If the database must compute and store it, add it in a maintenance window, inside "
            "Assured.",
        ),
    )


def _altered(step: Step) -> Finding:
    op: Any = step.operation
    old, new = altered(step)
    names = _renamed_before(step)
    if names and old.generated and new.generated and computes_the_same(old, new, names):
        return Finding(
            what=f"AlterField says anew how {short(op.name)} in {short(step.table)} is computed.",
            why=(
                f"It names a field that got another name; the SQL of {op.name} stays as it is. "
                "Django takes that for another expression, and the migration would fail."
            ),
            instead=(migrations.SeparateDatabaseAndState(state_operations=[op]),),
        )
    return Finding(
        what=f"AlterField changes how {short(op.name)} in {short(step.table)} is computed.",
        why=(
            f"Django cannot alter a generated field, and the migration would fail on {step.table}. "
            "A stored one would have to be computed anew for every row under an ACCESS EXCLUSIVE "
            "lock."
        ),
        steps=(
            " ".join((f"Keep {op.name}, and add the new one under another name.", *_virtual(step))),
            f"Deploy code that uses the new one, and remove {op.name} in a later release.",
        ),
    )
