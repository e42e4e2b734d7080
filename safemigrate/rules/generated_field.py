"""E115."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, same_column, short
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
    return bool(old.generated or new.generated) and not same_column(old, new)


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
