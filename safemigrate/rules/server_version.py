"""E123."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations
from django.db.models import UniqueConstraint

from safemigrate.facts.features import Feature
from safemigrate.operations import AddUniqueConstraintConcurrently, ExpandField
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, Newer, functions_before, quoted, read, said

_VIRTUAL = Feature("A virtual generated column", 18)
_NULLS = Feature("nulls_distinct", 15)


@rule(
    "E123",
    "server-version",
    operation=(
        migrations.AddConstraint,
        migrations.AddField,
        migrations.AlterField,
        migrations.CreateModel,
        migrations.RunSQL,
        AddUniqueConstraintConcurrently,
        ExpandField,
    ),
)
def server_version(step: Step) -> Iterator[Finding]:
    """Something that the server's version does not have yet."""
    if step.version is None:
        return
    if isinstance(step.operation, migrations.RunSQL):
        yield from _of_sql(step, step.version[0])
        return
    for feature, where in _of_operation(step.operation):
        if feature.since > step.version[0]:
            yield _of_field(step, feature, where)


def _of_sql(step: Step, version: int) -> Iterator[Finding]:
    told: set[tuple[str, bool]] = set()
    for item in read(step):
        if isinstance(item, Effect):
            feature = Feature(item.fact.words, item.fact.since)
        elif isinstance(item, Newer):
            feature = item.feature
        else:
            continue
        if feature.since <= version or (item.text, item.backwards) in told:
            continue
        if feature.function and feature.function in functions_before(step):
            continue
        told.add((item.text, item.backwards))
        yield Finding(
            what=f"{said(item)}: PostgreSQL {version} has no {short(feature.words, 30)}.",
            why=(
                f"{quoted(item)} came with PostgreSQL {feature.since}, the server has {version} "
                "and refuses it. The deploy stops there, and the locks on its tables were taken "
                "for nothing."
            ),
            steps=_steps(feature),
        )


def _of_operation(operation: Any) -> Iterator[tuple[Feature, str]]:
    """Shape: (feature, what has it)."""
    fields: Iterable[tuple[str, Any]] = ()
    constraints: list[Any] = []
    if isinstance(operation, migrations.CreateModel):
        fields = operation.fields
        constraints = list(operation.options.get("constraints") or ())
    elif isinstance(operation, migrations.AddConstraint):
        constraints = [operation.constraint]
    else:
        fields = [(operation.name, operation.field)]
    for name, field in fields:
        if getattr(field, "generated", False) and not field.db_persist:
            yield _VIRTUAL, name
    for constraint in constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.nulls_distinct is not None:
            yield _NULLS, str(constraint.name)


def _of_field(step: Step, feature: Feature, where: str) -> Finding:
    assert step.version is not None  # noqa: S101  asked by the caller
    version, name = step.version[0], type(step.operation).__name__
    means = "Django refuses it, and the deploy stops there."
    if isinstance(step.operation, AddUniqueConstraintConcurrently):
        means = "The operation refuses it, and the deploy stops there."
    elif feature is _NULLS:
        means = "Django leaves the constraint out without a word: nothing is unique."
    return Finding(
        what=f"{short(name, 24)}: PostgreSQL {version} cannot do {short(where, 24)}.",
        why=(
            f"{feature.words} came with PostgreSQL {feature.since}; the server has {version}. "
            f"{means} No lock is held meanwhile."
        ),
        steps=_steps(feature),
    )


def _steps(feature: Feature) -> tuple[str, ...]:
    return (
        f"Upgrade the server to PostgreSQL {feature.since} first, or do without.",
        'If the server is newer by now, say so: SAFEMIGRATE["SERVER_VERSION"].',
    )
