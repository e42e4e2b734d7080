"""Every operation, dangerous and harmless twins: what the rules say, and what the server does."""

from __future__ import annotations

import copy

import pytest
from django.contrib.postgres import operations as pg_operations
from django.db import migrations
from django.db.migrations.operations.base import Operation

from tests.rules.asking import ids, on_a_new_table, shop
from tests.rules.corpus import DANGEROUS_SQL, HARMLESS_SQL
from tests.rules.corpus_operations import (
    BREAKING,
    DANGEROUS_APART,
    HARMLESS,
    HARMLESS_APART,
    SLOW,
)
from tests.rules.server import Server

DANGEROUS = [*SLOW, *BREAKING, *DANGEROUS_APART]


def told(operation: Operation) -> str:
    field = getattr(operation, "field", None)
    said = field.deconstruct() if field is not None else ("", "", [], {})
    options = ",".join(
        f"{key}={getattr(value, '__name__', value)}" for key, value in said[3].items()
    )
    return f"{operation.describe()} {said[1].split('.')[-1]}({options})"


def named(row):
    return told(row[1]) if isinstance(row, tuple) else told(row)


def test_the_corpus_is_large_and_has_every_operation_of_django():
    """One that a new Django brings is missed here first."""
    everything = [*(op for _, op in DANGEROUS), *HARMLESS, *HARMLESS_APART]
    assert len(everything) + len(DANGEROUS_SQL) + len(HARMLESS_SQL) >= 400
    there = {type(operation).__name__ for operation in everything}
    missing = set(migrations.__all__) if hasattr(migrations, "__all__") else set()
    for module in (migrations.operations, pg_operations):
        missing |= {
            name
            for name, found in vars(module).items()
            if isinstance(found, type) and issubclass(found, Operation) and name[0] != "_"
        }
    aside = {"Migration", "Operation", "AlterConstraint", "NotInTransactionMixin"}
    aside |= {"CollationOperation"}
    assert missing - there - aside == set()


@pytest.mark.parametrize("row", DANGEROUS, ids=named)
def test_no_dangerous_operation_passes(row):
    rules, operation = row
    assert set(ids(operation)) == rules


@pytest.mark.parametrize("operation", [*HARMLESS, *HARMLESS_APART], ids=named)
def test_no_harmless_operation_is_bothered(operation):
    assert ids(operation) == []


@pytest.mark.parametrize("row", [row for row in SLOW if "order" in str(vars(row[1]))], ids=named)
def test_on_a_table_of_the_same_migration_it_is_left_alone(row):
    if getattr(row[1], "model_name", getattr(row[1], "name", "")) == "order":
        assert on_a_new_table(row[1]) == []


@pytest.mark.parametrize("row", DANGEROUS[::5], ids=named)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_inside_of_wrappers_it_is_as_dangerous(row, depth):
    """At any depth, as the judge of a whole project unwraps it."""
    from safemigrate.judge import _Judging, judging_connection

    rules, operation = row
    for _ in range(depth):
        operation = migrations.SeparateDatabaseAndState(database_operations=[operation])
    migration = migrations.Migration("0002_x", "shop")
    migration.operations = [operation]
    judging = _Judging.__new__(_Judging)
    judging.vendor, judging.connection = "postgresql", judging_connection()
    found = judging._of_operation(operation, migration, shop(), set())
    assert {finding.rule for finding in found} == rules


@pytest.fixture
def tables(pg):
    return Server()


def test_what_is_called_slow_stops_a_table_and_what_is_not_does_not(tables):
    """On a real server: locks, files and pages read are those of PostgreSQL itself."""
    slow = [operation for _, operation in SLOW]
    rest = [*(operation for _, operation in BREAKING), *HARMLESS]
    assert [told(one) for one in slow if not tables.stops(copy.deepcopy(one))] == []
    assert [told(one) for one in rest if tables.stops(copy.deepcopy(one))] == []
