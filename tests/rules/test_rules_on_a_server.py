"""What the rules call free is free on a real server, and what they offer instead works there."""

import copy

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import migrations, models, transaction
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Q
from django.db.models.functions import Lower

from safemigrate.rules import Step, judge

FILES = """
    SELECT c.oid::regclass::text, pg_relation_filenode(c.oid) FROM pg_class c
    WHERE c.oid = 'shop_thing'::regclass
       OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'shop_thing'::regclass)
"""


class Table:
    """``shop_thing`` with one field ``f`` and a hundred rows."""

    def __init__(self, connection, field, options=None):
        self.connection = connection
        self.state = ProjectState()
        pk = ("id", models.BigAutoField(primary_key=True))
        self.state.add_model(ModelState("shop", "Thing", [pk, ("f", field)], options or {}))
        with connection.schema_editor() as editor:
            editor.create_model(self.model)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop_thing (f) SELECT NULL FROM generate_series(1, 100)")

    @property
    def model(self):
        return self.state.apps.get_model("shop", "Thing")

    def judged(self, operation):
        copy = self.state.clone()
        return judge(Step("shop", operation, copy, connection=self.connection))

    def apply(self, operation):
        before = self.state.clone()
        operation.state_forwards("shop", self.state)
        with self.connection.schema_editor(atomic=False) as editor:
            operation.database_forwards("shop", editor, before, self.state)

    def files(self):
        """Table and indexes, with the file that each is stored in: a rewrite makes a new one."""
        with self.connection.cursor() as cursor:
            cursor.execute(FILES)
            return set(cursor.fetchall())

    def pages_read(self):
        ((pages,),) = self.query("SELECT pg_stat_get_xact_blocks_fetched('shop_thing'::regclass)")
        return pages

    def query(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()


def char(n=None, **more):
    return models.CharField(max_length=n, null=True, **more)


def number(digits, places):
    return models.DecimalField(max_digits=digits, decimal_places=places, null=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (char(10), char(20)),
        (char(10), char()),
        (char(10), models.TextField(null=True)),
        (char(10, db_index=True), char(20, db_index=True)),
        (char(10, unique=True), char(20, unique=True)),
        (models.TextField(null=True), char()),
        (number(8, 2), number(12, 2)),
        (models.IntegerField(null=True), models.IntegerField(null=True, db_default=3)),
        (models.IntegerField(null=True), models.IntegerField(null=True, db_comment="x")),
        (char(10, db_index=True), char(10)),
    ],
    ids=repr,
)
def test_what_is_left_alone_writes_no_file_anew(pg, old, new):
    table = Table(pg, old)
    operation = migrations.AlterField("thing", "f", new)
    assert table.judged(operation) == []
    before = table.files()
    table.apply(operation)
    assert table.files() <= before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (char(20), char(10)),
        (char(10, db_index=True), models.TextField(null=True, db_index=True)),
        (models.IntegerField(null=True), models.BigIntegerField(null=True)),
        (number(8, 2), number(12, 3)),
        (number(8, 2), number(7, 2)),
        (char(10), models.IntegerField(null=True)),
        (char(10, db_index=True), char(10, db_index=True, db_collation="C")),
    ],
    ids=repr,
)
def test_what_is_refused_writes_files_anew(pg, old, new):
    table = Table(pg, old)
    operation = migrations.AlterField("thing", "f", new)
    assert "E110" in [finding.rule for finding in table.judged(operation)]
    before = table.files()
    table.apply(operation)
    assert table.files() != before


def named(kind, *args, **options):
    return kind(*args, name="rests", **options)


@pytest.mark.parametrize(
    ("rests", "is_read"),
    [
        (named(models.CheckConstraint, condition=~Q(f="x")), True),
        (named(models.Index, fields=["id"], condition=Q(f__isnull=False)), True),
        (named(models.Index, Lower("f")), True),
        (named(models.UniqueConstraint, fields=["f"], condition=Q(id=1)), True),
        (named(models.UniqueConstraint, Lower("f")), True),
        (named(models.Index, fields=["f"]), False),
        (named(models.UniqueConstraint, fields=["f"]), False),
        (named(models.CheckConstraint, condition=Q(id__gt=0)), False),
        (named(models.Index, fields=["id"], condition=Q(id__gt=0)), False),
    ],
    ids=repr,
)
def test_a_wider_type_is_not_free_where_something_rests_on_the_values(pg, rests, is_read):
    """The type changes in the catalogue; the CHECK or index that names the column is made anew."""
    kind = "indexes" if isinstance(rests, models.Index) else "constraints"
    table = Table(pg, char(10), {kind: [rests]})
    operation = migrations.AlterField("thing", "f", char(20))
    assert [finding.rule for finding in table.judged(operation)] == ["E110"] * is_read
    plain = copy.copy(table)
    plain.state = table.state.clone()
    with transaction.atomic(using=pg.alias):
        before, read = table.files(), table.pages_read()
        plain.apply(operation)
        assert (table.files() != before or table.pages_read() > read) is is_read
        transaction.set_rollback(True, using=pg.alias)
    if is_read:
        for step in table.judged(operation)[0].instead.operations():
            table.apply(step)
        size = "SELECT character_maximum_length FROM information_schema.columns "
        assert table.query(f"{size} WHERE table_name = 'shop_thing' AND column_name = 'f'") == [
            (20,)
        ]


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AlterField("thing", "f", models.IntegerField(default=7)),
        migrations.AlterField("thing", "f", models.IntegerField(null=True, db_index=True)),
        migrations.AlterField("thing", "f", models.IntegerField(null=True, unique=True)),
        migrations.AddField("thing", "g", models.IntegerField(default=7)),
        migrations.AddConstraint(
            "thing", models.CheckConstraint(condition=Q(f__gte=0), name="positive")
        ),
        migrations.RemoveField("thing", "f"),
        migrations.DeleteModel("thing"),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_is_offered_instead_ends_where_the_unsafe_one_would(pg, operation):
    table = Table(pg, models.IntegerField(null=True))
    finding = table.judged(operation)[0]
    instead = finding.instead
    chain = instead if isinstance(instead, tuple) else instead.operations()
    wanted = table.state.clone()
    operation.state_forwards("shop", wanted)
    for step in chain:
        table.apply(step)
    assert set(table.state.models) == set(wanted.models)
    if not table.state.models:
        assert table.query("SELECT to_regclass('shop_thing')") == [(None,)]
        return
    there = table.state.models["shop", "thing"]
    assert list(there.fields) == list(wanted.models["shop", "thing"].fields)
    for name in ("f", "g"):
        try:
            field = table.model._meta.get_field(name)
        except FieldDoesNotExist:
            continue
        ((null, default),) = table.query(
            "SELECT is_nullable, column_default FROM information_schema.columns "
            f"WHERE table_name = 'shop_thing' AND column_name = '{name}'"
        )
        assert (null == "YES") is field.null
        assert default is None
        if not field.null:
            assert table.query(f"SELECT DISTINCT {name} FROM shop_thing") == [(7,)]


def test_a_database_default_goes_in_two_steps(pg):
    table = Table(pg, models.IntegerField(null=True, db_default=3))
    operation = migrations.AlterField("thing", "f", models.IntegerField(null=True))
    (finding,) = table.judged(operation)
    for step in finding.instead.operations():
        table.apply(step)
    default = "SELECT column_default FROM information_schema.columns WHERE column_name = 'f'"
    assert (None,) in table.query(default)
