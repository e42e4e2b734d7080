"""The SQL of whole files: run by hand in the state before each, it does what migrate does."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from tests.by_hand import by_hand
from tests.stories.rows.parted import event, parted
from tests.stories.schema import differences, schema

MODELS = """
class Customer(models.Model):
    email = models.CharField(max_length=50)

class Typed(models.Model):
    id = models.AutoField(primary_key=True)
    number = models.IntegerField(db_index=True, default=3)

class Part(models.Model):
    typed = models.ForeignKey(Typed, models.CASCADE)

class Renamed(models.Model):
    old = models.CharField(max_length=20, unique=True)
    other = models.IntegerField(default=1)

    class Meta:
        indexes = [models.Index(fields=["old", "other"], name="both")]

class Required(models.Model):
    note = models.CharField(max_length=20, null=True)

class Coded(models.Model):
    code = models.CharField(max_length=20, db_index=True)
    sign = models.CharField(max_length=20, unique=True)

class Linked(models.Model):
    buyer = models.ForeignKey(Customer, models.CASCADE)
    word = models.CharField(max_length=20, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["word", "buyer"], name="by_word")]

class Gone(models.Model):
    word = models.CharField(max_length=20)

class Holder(models.Model):
    gone = models.ForeignKey(Gone, models.CASCADE)

class Moved(models.Model):
    tag = models.CharField(max_length=20, unique=True)
    whose = models.ForeignKey(Customer, models.CASCADE)
"""
EDITS = (
    ("class Gone(models.Model):\n    word = models.CharField(max_length=20)\n", ""),
    ("    gone = models.ForeignKey(Gone, models.CASCADE)\n", "    pass\n"),
    ("id = models.AutoField", "id = models.BigAutoField"),
    ("number = models.IntegerField", "number = models.BigIntegerField"),
    (" old = ", " new = "),
    ('["old", ', '["new", '),
    ("max_length=20, null=True)", 'max_length=20, default="")'),
    (
        "code = models.CharField(max_length=20, db_index=True)",
        "code = models.CharField(max_length=20, unique=True)",
    ),
    (
        "sign = models.CharField(max_length=20, unique=True)",
        "sign = models.CharField(max_length=20, db_index=True)",
    ),
    ("    buyer = models.ForeignKey(Customer, models.CASCADE)\n", ""),
    (
        "    note = models",
        "    giver = models.ForeignKey(Customer, models.CASCADE, null=True)\n    note = models",
    ),
    ('models.Index(fields=["word", "buyer"], name="by_word")', ""),
    (
        "    whose = models.ForeignKey(Customer, models.CASCADE)\n",
        "    whose = models.ForeignKey(Customer, models.CASCADE)\n\n"
        '    class Meta:\n        db_table = "stowed"\n',
    ),
)
ROWS = """
INSERT INTO shop_customer (email) VALUES ('a@example.org');
INSERT INTO shop_typed (number) VALUES (1), (2);
INSERT INTO shop_part (typed_id) VALUES (1), (2);
INSERT INTO shop_renamed (old, other) VALUES ('x', 1), ('y', 2);
INSERT INTO shop_required (note) VALUES (NULL), ('x');
INSERT INTO shop_coded (code, sign) VALUES ('a', 'b'), ('c', 'd');
INSERT INTO shop_moved (tag, whose_id) VALUES ('t', 1)
"""
NUMBERED = "INSERT INTO shop_event (word, number) SELECT n, n FROM generate_series(1, 40) n"
INDEXED = event().replace(
    'name="by_number")', 'name="by_number"), models.Index(fields=["word"], name="by_word")'
)
NO_INDEX = event().replace('models.Index(fields=["-number", "word"], name="by_number")', "")
UNIQUE = event().replace(
    'name="once"),', 'name="once"), models.UniqueConstraint(fields=["word", "id"], name="twice"),'
)
RENAMED = {"shop.Renamed.old": "shop.Renamed.new", "shop.Event.number": "shop.Event.count"}


def edited() -> str:
    models = MODELS
    for old, new in EDITS:
        assert models.count(old) == 1, old
        models = models.replace(old, new)
    return models


CHAINS = [
    pytest.param(MODELS, edited(), ROWS, id="tables"),
    pytest.param(event(), INDEXED, parted() + ";" + NUMBERED, id="partitions-index"),
    pytest.param(event(), NO_INDEX, parted() + ";" + NUMBERED, id="partitions-no-index"),
    pytest.param(event(), UNIQUE, parted() + ";" + NUMBERED, id="partitions-unique"),
    pytest.param(
        event(), event("BigIntegerField()"), parted() + ";" + NUMBERED, id="partitions-type"
    ),
    pytest.param(event(), event(name="count"), parted() + ";" + NUMBERED, id="partitions-name"),
]


@pytest.mark.parametrize(("before", "after", "rows"), CHAINS)
def test_the_sql_of_each_file_makes_what_migrate_makes(
    project, databases, nursery, before, after, rows
):
    """There, file by file, and back: on a copy of the database by hand, then by migrate."""
    project.setting('SAFEMIGRATE["HOLD_CONTRACT"] = False')
    project.models(before)
    project.run("makemigrations")
    project.run("migrate")
    project.sql(rows)
    project.models(after)
    ran = nursery.manage(project, "makemigrations", renamed=RENAMED)
    assert ran.code == 0, ran.text
    names = project.migrations()
    assert len(names) > 1
    wrong = []
    for name in names[1:]:
        wrong += _compared(project, databases, (name,), name)
    for name, target in reversed(list(zip(names[1:], names, strict=False))):
        wrong += _compared(project, databases, (name, "--backwards"), target)
    assert not wrong, "\n".join(wrong)


def _compared(project, databases, printing, target) -> list[str]:
    source, copy = project.address["dbname"], project.address["dbname"] + "_by_hand"
    databases._execute(f"CREATE DATABASE {copy} TEMPLATE {source}")
    try:
        session = {**project.address, "dbname": copy}
        printed = project.run("sqlmigrate", "shop", *printing).out
        with psycopg.connect(**session, autocommit=True) as by_psql:
            for statement in by_hand(printed.splitlines()):
                try:
                    by_psql.execute(statement)
                except psycopg.Error as error:
                    project.run("migrate", "shop", target)
                    return [f"{printing}: {error}\n{statement}\n{printed}"]
        project.run("migrate", "shop", target)
        hand = SimpleNamespace(connect=lambda: psycopg.connect(**session, autocommit=True))
        told = differences(schema(hand), schema(project))
        return [f"{printing}: {line}" for line in told] + ([printed] if told else [])
    finally:
        databases._execute(f"DROP DATABASE {copy} WITH (FORCE)")
