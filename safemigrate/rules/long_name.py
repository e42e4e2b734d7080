"""E122."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.backends.utils import split_identifier

from safemigrate.operations import AddIndexConcurrently, ExpandField
from safemigrate.operations.reading import column_name, short
from safemigrate.rules.base import Finding, Step, rule

MOST_BYTES = 63


@rule(
    "E122",
    "long-name",
    operation=(
        migrations.CreateModel,
        migrations.AlterModelTable,
        migrations.AddField,
        migrations.AlterField,
        migrations.RenameField,
        migrations.AddIndex,
        migrations.RenameIndex,
        migrations.AddConstraint,
        AddIndexConcurrently,
        ExpandField,
    ),
)
def long_name(step: Step) -> Iterator[Finding]:
    """PostgreSQL cuts a name after 63 bytes and goes on."""
    for name in _names(step):
        size = len(name.strip('"').encode())
        if size <= MOST_BYTES:
            continue
        yield Finding(
            what=f"The name {short(name)} has {size} bytes, and PostgreSQL cuts it after 63.",
            why=(
                "NAMEDATALEN: the server shortens the name silently. Two names that begin alike "
                "become one, and whoever looks for the whole name does not find it."
            ),
            steps=("Give it a shorter name; a letter outside ASCII has two bytes or more.",),
        )


def _names(step: Step) -> Iterator[str]:
    """The names that the operation gives to something in the database."""
    op: Any = step.operation
    if isinstance(op, migrations.CreateModel):
        yield from _of_table(op.options.get("db_table"))
        for name, field in op.fields:
            yield from _of_column(field, name)
        for thing in (*op.options.get("indexes", ()), *op.options.get("constraints", ())):
            yield thing.name
    elif isinstance(op, migrations.AlterModelTable):
        yield from _of_table(op.table)
    elif isinstance(op, (migrations.AddField, migrations.AlterField)):
        yield from _of_column(op.field, op.name)
    elif isinstance(op, migrations.AddIndex):
        yield op.index.name
    elif isinstance(op, migrations.AddConstraint):
        yield op.constraint.name
    elif isinstance(op, (migrations.RenameIndex, migrations.RenameField)):
        yield op.new_name


def _of_table(table: str | None) -> Iterator[str]:
    """A schema and a table, each on its own; Django itself cuts the names that it makes."""
    if table:
        yield from filter(None, split_identifier(table))


def _of_column(field: Any, name: str) -> Iterator[str]:
    if column := column_name(field, name):
        yield column
