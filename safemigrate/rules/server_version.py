"""E123."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.models import UniqueConstraint

from safemigrate.facts.features import BUILTIN, FUNCTIONS, Feature
from safemigrate.operations import AddUniqueConstraintConcurrently, ExpandField
from safemigrate.operations.contrib import is_contrib
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, Newer, functions_before, quoted, read, said

_VIRTUAL = Feature("A virtual generated column", 18)
_NULLS = Feature("nulls_distinct", 15)


@rule(
    "E123",
    "server-version",
    # Any, because contrib's cannot be named without importing psycopg.
    operation=(Operation, AddUniqueConstraintConcurrently, ExpandField),
)
def server_version(step: Step) -> Iterator[Finding]:
    """Something that the server's version does not have yet."""
    if step.version is None:
        return
    if isinstance(step.operation, migrations.RunSQL):
        yield from _of_sql(step, step.version[0])
        return
    for feature, where in _of_operation(step.operation):
        if feature.since > step.version[0] and feature.function not in functions_before(step):
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
        constraints += operation.options.get("indexes") or ()
    elif isinstance(operation, migrations.AddConstraint):
        constraints = [operation.constraint]
    elif isinstance(operation, migrations.AddIndex):
        constraints = [operation.index]
    elif isinstance(operation, (migrations.AddField, migrations.AlterField, ExpandField)):
        fields = [(operation.name, operation.field)]
    elif is_contrib(operation, "CreateCollation") and operation.provider == "builtin":
        yield BUILTIN, operation.name
    for name, field in fields:
        if getattr(field, "generated", False) and not field.db_persist:
            yield _VIRTUAL, name
        for value in (getattr(field, "db_default", None), getattr(field, "expression", None)):
            yield from ((feature, name) for feature in _of_expression(value))
    for constraint in constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.nulls_distinct is not None:
            yield _NULLS, str(constraint.name)
        values = (*getattr(constraint, "expressions", ()), getattr(constraint, "condition", None))
        for feature in (found for one in values for found in _of_expression(one)):
            yield feature, str(constraint.name)


def _of_expression(expression: Any) -> Iterator[Feature]:
    """Functions in an expression of Django's."""
    for part in expression.flatten() if hasattr(expression, "flatten") else ():
        own = getattr(part, "extra", {}).get("function") or getattr(part, "function", "")
        name = str(own or "").lower()
        # Django's UUID4 says gen_random_uuid() to a server that is older.
        if name in FUNCTIONS and type(part).__name__ != "UUID4":
            yield Feature(f"{name}()", FUNCTIONS[name], name)


def _of_field(step: Step, feature: Feature, where: str) -> Finding:
    assert step.version is not None  # noqa: S101  asked by the caller
    version, name = step.version[0], type(step.operation).__name__
    means = "Django or the server refuses it, and the deploy stops there."
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
