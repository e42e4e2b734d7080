"""Another type for a column in use: values kept, and in the end what Django makes from scratch."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from tests.operations.shadowing import AUTO, BIG, thing

WIDER = {
    "plain": (models.IntegerField(), models.BigIntegerField(), 1),
    "null": (models.IntegerField(null=True), models.BigIntegerField(null=True), 1),
    "indexed": (models.IntegerField(db_index=True), models.BigIntegerField(db_index=True), 1),
    "unique": (models.IntegerField(unique=True), models.BigIntegerField(unique=True), 1),
    "default": (models.IntegerField(default=3), models.BigIntegerField(default=3), 1),
    "db_default": (models.IntegerField(db_default=3), models.BigIntegerField(db_default=3), 1),
    "comment": (models.IntegerField(db_comment="a"), models.BigIntegerField(db_comment="b"), 1),
    "positive": (models.PositiveIntegerField(), models.PositiveBigIntegerField(), 1),
    "small": (models.SmallIntegerField(), models.IntegerField(), 1),
    "scale": (
        models.DecimalField(max_digits=6, decimal_places=2),
        models.DecimalField(max_digits=9, decimal_places=4),
        1,
    ),
    "decimal": (models.IntegerField(), models.DecimalField(max_digits=12, decimal_places=2), 1),
    "float": (models.IntegerField(), models.FloatField(), 1),
    "text": (models.CharField(max_length=9, db_index=True), models.TextField(db_index=True), "1"),
    "unique text": (
        models.CharField(max_length=9, unique=True),
        models.TextField(unique=True),
        "1",
    ),
    "collation": (
        models.CharField(max_length=9, unique=True),
        models.CharField(max_length=9, unique=True, db_collation="C"),
        "1",
    ),
}


@pytest.mark.parametrize(("old", "new", "kind"), WIDER.values(), ids=WIDER)
def test_a_wider_type_is_reached_while_both_releases_write(tables, old, new, kind):
    """Each release writes in each window; no value is lost, and the schema ends as from scratch."""
    tables.make(thing(old, ("other", models.IntegerField(default=0))))
    written: dict[int, Any] = {}

    def write(start: int) -> None:
        for code in (before, after):
            rows = code.objects
            made = rows.create(size=value(start))
            rows.bulk_create([code(size=value(start + n)) for n in (1, 2)])
            rows.filter(size=value(start + 1)).update(size=value(start + 3), other=1)
            made.other = 5
            made.save()
            written.update({row.pk: row.size for row in rows.all()})
            written[made.pk] = value(start)
            assert all(written[row.pk] == row.size for row in rows.all())
            start += 10

    value = str if kind == "1" else int
    before = tables.model("Thing")
    steps = tables.steps("thing", "size", new)
    after = tables.after(*steps).apps.get_model("shop", "Thing")
    write(100)
    for number, step in enumerate(steps, start=1):
        tables.apply(step)
        write(100 + 100 * number)
    assert {row.pk: value(row.size) for row in after.objects.all()} == {
        pk: value(size) for pk, size in written.items()
    }
    assert tables.everything() == tables.from_scratch()


@pytest.mark.parametrize(("old", "new", "kind"), WIDER.values(), ids=WIDER)
def test_every_step_has_a_way_back_to_the_schema_it_came_from(tables, old, new, kind):
    """The contract was applied, r3 is to be given up, and r2, and r1 runs again."""
    tables.make(thing(old))
    tables.model("Thing").objects.create(size=7 if kind == 1 else "7")
    steps = tables.steps("thing", "size", new)
    seen = []
    for step in steps:
        seen.append((tables.state, tables.everything(), tables.data()))
        tables.apply(step)
    for step, (state, schema, data) in zip(reversed(steps), reversed(seen), strict=True):
        tables.unapply(step, state)
        assert tables.everything() == schema
        filled = isinstance(step, ops.DropShadowField | ops.CopyShadowField)
        assert tables.data() == data or filled
    for step in steps:
        tables.apply(step)
    assert tables.everything() == tables.from_scratch()


# Meta, and what is refused --------------------------------------------------------------------


def test_all_that_meta_declares_on_the_column_comes_along(tables):
    """Indexes and constraints of every kind, also those that only mention the column."""
    tables.make(
        thing(
            models.IntegerField(),
            ("other", models.IntegerField(default=0)),
            ("word", models.CharField(max_length=9, default="")),
            unique_together={("size", "other")},
            indexes=[
                models.Index(fields=["-size", "other"], name="down"),
                models.Index(fields=["other"], name="covers", include=["size"]),
                models.Index(F("size") + F("other"), name="sum"),
                models.Index(Lower("word"), name="a_word", condition=Q(size__gt=3)),
                models.Index(fields=["word"], name="stranger"),
            ],
            constraints=[
                models.UniqueConstraint(fields=["size"], name="once"),
                models.UniqueConstraint(
                    fields=["word", "size"], name="late", deferrable=models.Deferrable.DEFERRED
                ),
                models.UniqueConstraint(
                    fields=["other"], condition=Q(size=7), include=["word"], name="partly"
                ),
                models.UniqueConstraint(fields=["size", "word"], name="n", nulls_distinct=False),
                models.CheckConstraint(condition=Q(size__lt=F("other") + 1000), name="less"),
            ],
        )
    )
    rows = tables.model("Thing").objects
    rows.bulk_create([tables.model("Thing")(size=n, other=n, word=str(n)) for n in range(9)])
    stranger = tables.ask("SELECT 'stranger'::regclass::oid")
    for step in tables.steps("thing", "size", models.BigIntegerField()):
        tables.apply(step)
        with pytest.raises(IntegrityError):
            tables.model("Thing").objects.create(size=1, other=77)
    assert tables.ask("SELECT 'stranger'::regclass::oid") == stranger, "not built anew"
    assert tables.everything() == tables.from_scratch()


STRANGERS = {
    "view": ("CREATE VIEW theirs AS SELECT size FROM shop_thing", "view theirs"),
    "index": ("CREATE INDEX theirs ON shop_thing ((size + 1))", "index theirs"),
    "foreign key": (
        "CREATE UNIQUE INDEX ON shop_thing (size); "
        "CREATE TABLE theirs (size int REFERENCES shop_thing (size))",
        "constraint theirs|index shop_thing_size_idx",
    ),
    "check": ("ALTER TABLE shop_thing ADD CONSTRAINT theirs CHECK (size > 0)", "theirs"),
    "trigger": (
        "CREATE TRIGGER theirs BEFORE UPDATE OF size ON shop_thing FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger theirs",
    ),
    "policy": ("CREATE POLICY theirs ON shop_thing USING (size > 0)", "policy theirs"),
    "generated": (
        "ALTER TABLE shop_thing ADD twice int GENERATED ALWAYS AS (size * 2) STORED",
        "twice",
    ),
    "statistics": ("CREATE STATISTICS theirs ON id, size FROM shop_thing", "theirs"),
    "privilege": ("GRANT SELECT (size) ON shop_thing TO pg_monitor", "privilege on the column"),
    "publication": ("CREATE PUBLICATION theirs FOR TABLE shop_thing (id, size)", "theirs"),
}


@pytest.mark.parametrize(("sql", "named"), STRANGERS.values(), ids=STRANGERS)
def test_what_hangs_on_the_column_and_is_in_no_model_is_named_before_anything_is_done(
    tables, sql, named
):
    """An analyst's view would go on showing the old column; an index would be lost."""
    tables.make(thing(models.IntegerField()))
    if "PUBLICATION" in sql and tables.connection.pg_version < 150000:
        pytest.skip("PostgreSQL 15 has column lists of publications first")
    with tables.connection.cursor() as cursor:
        cursor.execute(sql)
    step, *_ = tables.steps("thing", "size", models.BigIntegerField())
    with tables.sent() as sent, pytest.raises(PlanRefused, match=named):
        tables.apply(step)
    assert sent == []


OTHER_NAMES = """
    ALTER INDEX {} RENAME TO shop_item_5f412f9a;
    ALTER INDEX {} RENAME TO shop_item_size_b95473f2_like
"""


def ways(tables, name: str) -> list[Any]:
    """To another type, or to another name."""
    if name == "type":
        return tables.steps("thing", "size", models.TextField(unique=False, db_index=True))
    return renaming("size", "extent")


@pytest.mark.parametrize("way", ["type", "name"])
def test_an_index_that_was_named_when_the_table_had_another_name_is_no_stranger(tables, way):
    """Django renames a table and not its indexes, and old versions named them otherwise."""
    tables.make(thing(models.CharField(max_length=9, db_index=True)))
    names = [
        name
        for name, *_ in tables.ask(
            "SELECT indexrelid::regclass::text FROM pg_index "
            "WHERE indrelid = 'shop_thing'::regclass AND NOT indisunique ORDER BY 1"
        )
    ]
    with tables.connection.cursor() as cursor:
        cursor.execute(OTHER_NAMES.format(*names))
    for step in ways(tables, way):
        tables.apply(step)
    assert tables.everything() == tables.from_scratch()


BY_HAND = """
    ALTER TABLE shop_thing ALTER size SET STATISTICS 500, ALTER size SET (n_distinct = -0.5),
        ALTER size SET STORAGE EXTERNAL, ALTER size SET COMPRESSION pglz,
        REPLICA IDENTITY USING INDEX {}, CLUSTER ON {}
"""
SET_BY_HAND = """
    SELECT a.attstattarget, a.attoptions::text, a.attstorage::text, a.attcompression::text,
           i.indisreplident, i.indisclustered
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = 'shop_thing'::regclass AND a.attname = %s AND i.indisreplident
"""


@pytest.mark.parametrize("unique", ["field", "constraint"])
@pytest.mark.parametrize("way", ["type", "name"])
def test_what_somebody_has_set_on_the_column_and_its_index_goes_on(tables, way, unique):
    """Without its replica identity a published table would refuse every UPDATE."""
    field = models.CharField(max_length=9, unique=unique == "field")
    over = [models.UniqueConstraint(fields=["size"], name="once")]
    tables.make(thing(field, constraints=over if unique == "constraint" else []))
    name = "once" if unique == "constraint" else "shop_thing_size_key"
    with tables.connection.cursor() as cursor:
        cursor.execute(BY_HAND.format(name, name))
        cursor.execute("CREATE PUBLICATION theirs FOR TABLE shop_thing")
    before = tables.ask(SET_BY_HAND, ["size"])
    steps = ways(tables, way)
    if way == "type":
        wider = models.CharField(max_length=9, unique=unique == "field", db_collation="C")
        steps = tables.steps("thing", "size", wider)
    tables.model("Thing").objects.create(size="a")
    for step in steps:
        tables.apply(step)
        rows = tables.model("Thing").objects
        assert rows.update(**{"size" if way == "type" else "extent": "b"}) == 1
    assert tables.ask(SET_BY_HAND, ["size" if way == "type" else "extent"]) == before != []


class Kept(models.Manager):
    """As of a project that marks rows as deleted, and lets migrations know."""

    use_in_migrations = True

    def get_queryset(self):
        return super().get_queryset().filter(gone=False)


@pytest.mark.parametrize("way", ["type", "name"])
def test_rows_that_the_models_manager_hides_are_copied_too(tables, way):
    """The old column goes with what was not copied; of a nullable field nobody would be told."""
    kept = thing(
        models.CharField(max_length=9, null=True, db_index=True),
        ("gone", models.BooleanField(default=False)),
        base_manager_name="objects",
    )
    kept.managers = [("objects", Kept())]
    tables.make(kept)
    tables.model("Thing").objects.create(size="a", gone=True)
    tables.apply(*ways(tables, way))
    assert tables.ask("SELECT * FROM shop_thing") in ([(1, True, "a")], [(1, "a", True)])


def test_a_check_by_hand_on_a_positive_number_is_no_part_of_its_field(tables):
    """It would be lost with the old column, and nobody told."""
    tables.make(thing(models.PositiveIntegerField()))
    with tables.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_thing ADD CONSTRAINT few CHECK (size < 100)")
    step, *_ = tables.steps("thing", "size", models.PositiveBigIntegerField())
    with tables.sent() as sent, pytest.raises(PlanRefused, match="constraint few"):
        tables.apply(step)
    assert sent == []


@pytest.mark.parametrize("way", ["type", "name"])
def test_what_the_server_does_where_a_parent_goes_it_does_with_the_new_column_too(tables, way):
    """A project that leaves deleting to the server, with DO_NOTHING and a foreign key by hand."""
    parent = migrations.CreateModel("Box", [("id", AUTO(primary_key=True))])
    key = models.ForeignKey("shop.box", models.DO_NOTHING, null=True)
    tables.make(parent, thing(models.IntegerField(), ("box", key)))
    [[name, words]] = tables.ask(
        "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"
    )
    by_hand = words.replace(" DEFERRABLE", " ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE")
    with tables.connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE shop_thing DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {by_hand}"
        )
    steps = tables.steps("box", "id", BIG(primary_key=True))
    if way == "name":
        steps = renaming("box", "crate")
    for step in steps:
        tables.apply(step)
        box = tables.model("Box").objects.create()
        row = tables.model("Thing").objects.create(
            size=1, **{"box" if way == "type" else "crate": box}
        )
        with tables.connection.cursor() as cursor:
            cursor.execute("DELETE FROM shop_box WHERE id = %s", [box.pk])
        row.refresh_from_db()
        assert (row.box_id if way == "type" else row.crate_id) is None
    [[words]] = tables.ask(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"
    )
    assert "ON UPDATE CASCADE ON DELETE SET NULL" in words


def renaming(old: str, new: str) -> list[Any]:
    steps = (ops.AddRenamedField, ops.CopyRenamedField, ops.CompleteRenamedField)
    return [step("thing", old, new) for step in (*steps, ops.DropRenamedField)]


OVER_BOTH = {
    "unique_together": {("size", "other")},
    "indexes": [models.Index(fields=["other", "-size"], name="both")],
    "constraints": [
        models.UniqueConstraint(fields=["other"], condition=Q(size=7), name="once"),
        models.CheckConstraint(condition=Q(size__lt=F("other") + 1000), name="less"),
    ],
}


def over_both() -> migrations.CreateModel:
    return thing(models.IntegerField(), ("other", models.IntegerField(default=0)), **OVER_BOTH)


def test_a_second_rename_while_the_first_waits_for_its_contract_leaves_no_constraint_out(tables):
    """An old session holds the first one's contract back, and the next release renames more."""
    tables.make(over_both())
    *first, end_first = renaming("size", "extent")
    *second, end_second = renaming("other", "more")
    tables.apply(*first, *second)
    for number, end in enumerate((end_first, end_second)):
        tables.model("Thing").objects.create(extent=1, more=number)
        tables.apply(end)
    assert tables.everything() == tables.from_scratch()


def test_a_type_under_an_index_of_a_rename_that_waits_says_what_to_wait_for(tables):
    """The index is there for both names; which of them is to get the new column?"""
    tables.make(over_both())
    *begun, end = renaming("size", "extent")
    tables.apply(*begun)
    steps = tables.steps("thing", "other", models.BigIntegerField(default=0))
    with tables.sent() as sent, pytest.raises(PlanRefused, match="contract of that rename"):
        tables.apply(steps[0])
    assert sent == []
    tables.apply(end, *steps)
    assert tables.everything() == tables.from_scratch()


def test_a_key_whose_old_column_is_still_there_says_what_to_wait_for(tables):
    """The contract of its rename is held back; to drop the foreign key would be bad advice."""
    key = models.ForeignKey("shop.box", models.CASCADE, null=True)
    box = migrations.CreateModel("Box", [("id", AUTO(primary_key=True))])
    tables.make(box, thing(models.IntegerField(), ("box", key)))
    tables.apply(*renaming("box", "crate")[:3])
    step, *_ = tables.steps("box", "id", BIG(primary_key=True))
    with tables.sent() as sent, pytest.raises(PlanRefused, match="contract of that rename"):
        tables.apply(step)
    assert sent == []


def test_a_stranger_that_came_after_the_first_step_stops_the_swap(tables):
    """Dropped with the old column it would be missed."""
    tables.make(thing(models.IntegerField()))
    add, copy, swap, _ = tables.steps("thing", "size", models.BigIntegerField())
    tables.apply(add, copy)
    with tables.connection.cursor() as cursor:
        cursor.execute("CREATE INDEX theirs ON shop_thing (size)")
    with tables.sent() as sent, pytest.raises(PlanRefused, match="index theirs"):
        tables.apply(swap)
    assert sent == []


def test_a_table_that_others_inherit_from_is_refused(tables):
    """Partitions have their parts of an index; what inherits has indexes of its own."""
    tables.make(thing(models.IntegerField()))
    with tables.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop_heir () INHERITS (shop_thing)")
    step, *_ = tables.steps("thing", "size", models.BigIntegerField())
    with tables.sent() as sent, pytest.raises(PlanRefused, match="has tables that inherit"):
        tables.apply(step)
    assert sent == []


# Narrower -------------------------------------------------------------------------------------

NARROWER = {
    "integer": (models.BigIntegerField(), models.IntegerField(), 5, 5_000_000_000),
    "small": (models.IntegerField(null=True), models.SmallIntegerField(null=True), 5, 40_000),
    "positive": (models.IntegerField(), models.PositiveIntegerField(), 5, -5),
    "text": (models.TextField(), models.CharField(max_length=3, db_index=True), "abc", "abcd"),
    "shorter": (models.CharField(max_length=9), models.CharField(max_length=3), "abc", "abcd"),
    "float": (models.BigIntegerField(), models.FloatField(), 5.0, 2**53 + 1),
    "places": (
        models.DecimalField(max_digits=8, decimal_places=4),
        models.DecimalField(max_digits=8, decimal_places=2),
        "1.2300",
        "1.2345",
    ),
}


@pytest.mark.parametrize(("old", "new", "fits", "too_big"), NARROWER.values(), ids=NARROWER)
def test_a_narrower_type_waits_until_every_value_fits(tables, old, new, fits, too_big):
    """Old code may write what does not fit until it is gone; the swap then names the rows."""
    tables.make(thing(old))
    rows = tables.model("Thing").objects
    rows.create(size=too_big)
    add, copy, swap, drop = tables.steps("thing", "size", new, after_rollout=True)
    assert swap.phase is ops.Phase.CONTRACT
    tables.apply(add)
    rows.create(size=too_big)
    tables.apply(copy)
    rows.create(size=fits)
    schema = tables.schema()
    with pytest.raises(DataInTheWay, match=r"2 rows have values of shop_thing\.size|constraint"):
        tables.apply(swap)
    rows.create(size=too_big)
    constraints = [name for _, name, *_ in tables.schema()["constraints"]]
    assert constraints == [name for _, name, *_ in schema["constraints"]], "nothing refuses rows"
    rows.filter(size=too_big).update(size=fits)
    tables.apply(swap)
    if too_big not in ("1.2345", 2**53 + 1):  # PostgreSQL rounds them
        with pytest.raises(DatabaseError):
            rows.create(size=too_big)
    tables.apply(drop)
    left = {str(row.size) for row in tables.model("Thing").objects.all()}
    assert left == {"1.23" if fits == "1.2300" else str(fits)}
    assert tables.everything() == tables.from_scratch()


def test_null_allowed_with_a_wider_type_is_allowed_from_the_swap_on(tables):
    """All facets of one AlterField come with the new column."""
    tables.make(thing(models.IntegerField()))
    tables.model("Thing").objects.create(size=1)
    new = models.BigIntegerField(null=True, unique=True)
    *steps, drop = tables.steps("thing", "size", new)
    tables.apply(*steps)
    tables.model("Thing").objects.create(size=None)
    tables.apply(drop)
    columns = tables.schema()["columns"]
    assert ("shop_thing", "size", "bigint", False, None) in columns
    assert [d for d, _ in tables.schema()["indexes"] if "UNIQUE" in d and "(size)" in d]


def test_duplicates_under_a_new_unique_type_are_named_and_the_column_keeps_its_type(tables):
    """The index is built on the column beside; nobody notices."""
    tables.make(thing(models.IntegerField()))
    rows = tables.model("Thing").objects
    rows.bulk_create([tables.model("Thing")(size=1) for _ in range(2)])
    add, copy, swap, _ = tables.steps("thing", "size", models.BigIntegerField(unique=True))
    tables.apply(add, copy)
    with pytest.raises(DataInTheWay, match="duplicates"):
        tables.apply(swap)
    rows.create(size=1)
