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
KEPT = """
class Customer(models.Model):
    email = models.CharField(max_length=50)

class Coded(models.Model):
    code = models.CharField(max_length=20, db_index=True)
    sign = models.CharField(max_length=20, unique=True)
    kind = models.IntegerField(null=True)
    whose = models.ForeignKey(Customer, models.CASCADE)
"""
STOWED = """
class Customer(models.Model):
    email = models.CharField(max_length=50)

class Coded(models.Model):
    code = models.CharField(max_length=20, unique=True)
    sign = models.CharField(max_length=20, db_index=True)
    kind = models.IntegerField(null=True, db_index=True)
    giver = models.ForeignKey(Customer, models.CASCADE, null=True, related_name="+")
    above = models.OneToOneField("self", models.CASCADE, null=True)
    count = models.PositiveIntegerField(null=True)
    label = models.SlugField(default="")

    class Meta:
        db_table = "stowed"
        unique_together = [("sign", "kind")]
"""
RENAMED = {
    "shop.Renamed.old": "shop.Renamed.new",
    "shop.Event": "shop.Happening",
    "shop.Event.number": "shop.Event.count",
}


def edited() -> str:
    models = MODELS
    for old, new in EDITS:
        assert models.count(old) == 1, old
        models = models.replace(old, new)
    return models


def much_of(event: str) -> str:
    """Everything about it that changes before the rollout, and more."""
    for old, new in (
        ("word = models.CharField(max_length=20)", "word = models.TextField(null=True)"),
        (
            "    class Meta",
            '    giver = models.ForeignKey("self", models.CASCADE, null=True)\n\n    class Meta',
        ),
        (
            'models.Index(fields=["-number", "word"], name="by_number")',
            'models.Index(fields=["word"], name="by_word")',
        ),
        (
            'name="once"),',
            'name="once"), models.UniqueConstraint(fields=["word", "id"], name="twice"),',
        ),
    ):
        assert event.count(old) == 1, old
        event = event.replace(old, new)
    return event


CHAINS = [
    pytest.param(MODELS, edited(), ROWS, id="tables"),
    pytest.param(KEPT, STOWED, ";", id="table-and-more"),
    pytest.param(event(), INDEXED, parted() + ";" + NUMBERED, id="partitions-index"),
    pytest.param(event(), NO_INDEX, parted() + ";" + NUMBERED, id="partitions-no-index"),
    pytest.param(event(), UNIQUE, parted() + ";" + NUMBERED, id="partitions-unique"),
    pytest.param(
        event(), event("BigIntegerField()"), parted() + ";" + NUMBERED, id="partitions-type"
    ),
    pytest.param(event(), event(name="count"), parted() + ";" + NUMBERED, id="partitions-name"),
    pytest.param(
        event(),
        much_of(event()).replace("Meta:", 'Meta:\n        db_table = "happenings"'),
        parted() + ";" + NUMBERED,
        id="partitions-table-and-more",
    ),
    pytest.param(
        event(),
        INDEXED.replace("class Event", "class Happening"),
        parted() + ";" + NUMBERED,
        id="partitions-model-and-more",
    ),
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


CREATED = """
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Customer", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True))]),
    ]
"""
ADDED = """
    migrations.AddField("order", "note", models.TextField(null=True)),
    migrations.AddField("order", "whose", models.ForeignKey("customer", models.CASCADE, null=True)),
"""
TAKEN = [
    "BEGIN;",
    "SET LOCAL lock_timeout = 20;",
    'LOCK TABLE "shop_customer" IN SHARE ROW EXCLUSIVE MODE NOWAIT;',
    'LOCK TABLE "shop_order" IN ACCESS EXCLUSIVE MODE NOWAIT;',
]


@pytest.fixture
def shop(project):
    project.migration("0001_initial", CREATED)
    project.run("migrate")
    return project


def written(shop, name: str, operations: str) -> None:
    """By hand, the stock way, and vouched for."""
    shop.migration(
        name,
        'class Migration(migrations.Migration):\n    dependencies = [("shop", "0001_initial")]\n'
        f"    operations = [{operations}]\n",
    )
    shop.run("safemigrate", "baseline")


def printed(shop, *words) -> list[str]:
    said = shop.run("sqlmigrate", "shop", *words).out.splitlines()
    return [line for line in said if line and not line.startswith("--")]


def test_a_migration_of_one_transaction_is_printed_with_the_locks_that_migrate_takes(shop):
    """By hand, too, a table that somebody holds is not waited for, with the site behind it."""
    written(shop, "0002_added", ADDED)
    lines = printed(shop, "0002")
    assert lines[:4] == TAKEN
    assert lines[4].startswith('ALTER TABLE "shop_order" ADD COLUMN "note"')
    assert lines[-1] == "COMMIT;"
    with shop.connect() as other, shop.connect() as by_psql, other.transaction():
        other.execute("SELECT * FROM shop_order")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            by_psql.execute("".join(lines))


def test_what_changes_rows_is_printed_with_a_longer_wait_for_them(shop):
    written(shop, "0002_added", f"{ADDED} migrations.RunPython(print),")
    assert printed(shop, "0002")[:5] == [*TAKEN, "SET LOCAL lock_timeout = 2000;"]


@pytest.mark.parametrize("line", ["", "migrations.RunPython(print, print),"])
def test_a_migration_that_prints_no_statement_prints_no_lock(shop, line):
    written(shop, "0002_none", line)
    assert printed(shop, "0002") == (["BEGIN;", "COMMIT;"] if line else [])


MOVED = {
    "model": 'migrations.RenameModel("Order", "Purchase")',
    "table": 'migrations.AlterModelTable("order", "purchases")',
    "gone": 'migrations.DeleteModel("Customer")',
    "created": 'migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), '
    '("order", models.ForeignKey("shop.order", models.CASCADE))])',
}


@pytest.mark.parametrize("what", MOVED)
def test_the_way_back_locks_a_table_under_the_name_that_it_has_by_then(shop, databases, what):
    written(shop, "0002_renamed", MOVED[what])
    shop.run("migrate")
    assert not _compared(shop, databases, ("0002", "--backwards"), "0001")
