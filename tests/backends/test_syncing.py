"""Two columns kept the same: whoever writes which, and however."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import DatabaseError, migrations, models
from django.db.models.functions import Now

from safemigrate.backends import backend_for
from tests.operations.shop import BIG, Shop

INT, WIDE = models.IntegerField, models.BigIntegerField


class Columns:
    """A table with an old and a new column, and what is in them."""

    def __init__(self, connection: Any, old: models.Field, new: models.Field) -> None:
        self.shop = Shop(connection)
        self.shop.apply(
            migrations.CreateModel(
                "Thing",
                [
                    ("id", BIG(primary_key=True)),
                    ("old", old),
                    ("new", new),
                    ("other", INT(db_default=0)),
                ],
            )
        )
        self.backend = backend_for(connection)
        self.model = self.shop.model("Thing")

    def fields(self, old: str = "old", new: str = "new") -> tuple[Any, Any]:
        return self.model._meta.get_field(old), self.model._meta.get_field(new)

    def sync(self, *names: str) -> Columns:
        with self.shop.connection.schema_editor(atomic=False) as editor:
            self.backend.keep_in_sync(editor, self.model, *self.fields(*names))
        return self

    def stop(self) -> None:
        with self.shop.connection.schema_editor(atomic=False) as editor:
            self.backend.stop_sync(editor, self.model, *self.fields())

    def run(self, sql: str) -> None:
        with self.shop.connection.cursor() as cursor:
            cursor.execute(sql)

    def insert(self, **values: str) -> None:
        columns, given = ", ".join(values), ", ".join(values.values())
        self.run(f"INSERT INTO shop_thing ({columns}) VALUES ({given})")

    def update(self, setting: str, where: str = "true") -> None:
        self.run(f"UPDATE shop_thing SET {setting} WHERE {where}")

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return self.shop.ask("SELECT old, new FROM shop_thing ORDER BY id")


@pytest.fixture
def made(pg):
    return lambda old, new: Columns(pg, old, new)


@pytest.fixture
def plain(made) -> Columns:
    return made(INT(null=True), WIDE(null=True)).sync()


def test_an_insert_of_either_release_fills_both_columns(plain):
    """Old code names the old column, new code the new one."""
    plain.insert(old="1")
    plain.insert(new="2")
    plain.insert(other="3")
    assert plain.rows == [(1, 1), (2, 2), (None, None)]


def test_a_required_column_is_filled_before_it_is_checked(made):
    """The old column stays NOT NULL for the code that is running."""
    columns = made(INT(), WIDE(null=True)).sync()
    columns.insert(new="2")
    assert columns.rows == [(2, 2)]


def test_an_update_of_either_release_reaches_the_other_column(plain):
    """Also to NULL, and from it."""
    plain.insert(old="1")
    seen = []
    for setting in ("old = 5", "new = 6", "old = NULL", "new = 7", "new = NULL", "old = 8"):
        plain.update(setting)
        seen += plain.rows
    assert seen == [(5, 5), (6, 6), (None, None), (7, 7), (None, None), (8, 8)]


def test_a_save_that_writes_all_its_fields_changes_only_what_it_changed(plain):
    """``save()`` of the old code writes the old value of the new code's row back: no change."""
    plain.insert(old="1")
    plain.update("old = 1, other = 9")
    plain.update("new = 1, other = 8")
    assert plain.rows == [(1, 1)]


def test_if_both_are_written_the_new_column_wins(plain):
    """Only by hand; it must not stop with an error or stay different."""
    plain.insert(old="1", new="2")
    assert plain.rows == [(2, 2)]
    plain.update("old = 3, new = 4")
    assert plain.rows == [(4, 4)]
    plain.update("old = 5, new = 5")
    assert plain.rows == [(5, 5)]


def test_an_upsert_of_either_release_keeps_them_the_same(plain):
    """``update_conflicts=True`` of both releases."""
    plain.run("CREATE UNIQUE INDEX ON shop_thing (old); CREATE UNIQUE INDEX ON shop_thing (new)")
    upsert = "INSERT INTO shop_thing ({c}) VALUES ({v}) ON CONFLICT ({c}) DO UPDATE SET {set}"
    plain.run(upsert.format(c="old", v=1, set="old = EXCLUDED.old + 10"))
    plain.run(upsert.format(c="new", v=1, set="new = EXCLUDED.new + 10"))
    assert plain.rows == [(11, 11)]
    plain.run(upsert.format(c="old", v=11, set="other = EXCLUDED.old"))
    plain.run(upsert.format(c="old", v=11, set="old = EXCLUDED.new + 1"))
    assert plain.rows == [(12, 12)]
    plain.run("INSERT INTO shop_thing (new) VALUES (12) ON CONFLICT DO NOTHING")
    assert plain.rows == [(12, 12)]


def test_copy_fills_both_columns(plain, other):
    """A nightly import that uses COPY, of either release."""
    for column, value in (("old", 1), ("new", 2)):
        with other.cursor().copy(f"COPY shop_thing ({column}) FROM STDIN") as copy:
            copy.write_row([value])
        other.commit()
    assert plain.rows == [(1, 1), (2, 2)]


@pytest.fixture
def defaulted(made) -> Columns:
    """Both columns have the same constant as their database default."""
    return made(INT(null=True, db_default=7), WIDE(null=True, db_default=7)).sync()


def test_with_a_default_the_side_that_was_given_wins(defaulted):
    """The column that an INSERT does not name comes with its default, not with NULL."""
    defaulted.insert(old="1")
    defaulted.insert(new="2")
    defaulted.insert(other="0")
    defaulted.insert(old="7")
    assert defaulted.rows == [(1, 1), (2, 2), (7, 7), (7, 7)]


def test_an_explicit_null_of_either_release_is_kept(defaulted):
    """The default is not what was asked for."""
    defaulted.insert(new="NULL")
    defaulted.insert(old="NULL")
    assert defaulted.rows == [(None, None), (None, None)]


def test_a_moment_as_default_is_one_moment_for_both(made):
    """``db_default=Now()`` on both is the same for the whole statement."""
    at = models.DateTimeField
    columns = made(at(db_default=Now()), at(db_default=Now())).sync()
    columns.insert(other="1")
    columns.insert(old="'2020-01-01 00:00+00'")
    columns.insert(new="'2021-01-01 00:00+00'")
    first, *given = [(old, new) for old, new in columns.rows]
    assert first[0] == first[1]
    assert [old.year for old, new in given if old == new] == [2020, 2021]


def test_a_default_that_differs_from_row_to_row_stays_with_the_old_column(made):
    """A sequence; a value that new code gives itself is stronger."""
    columns = made(INT(null=True), WIDE(null=True))
    columns.run("CREATE SEQUENCE s; ALTER TABLE shop_thing ALTER old SET DEFAULT nextval('s')")
    columns.sync()
    columns.insert(other="0")
    columns.insert(new="50")
    columns.insert(old="60")
    assert columns.rows == [(1, 1), (50, 50), (60, 60)]


def test_a_value_that_the_other_type_cannot_hold_is_null_there(plain):
    """New code may write it: it is new code that gives the wider type a meaning."""
    plain.insert(new="5000000000")
    plain.insert(old="1")
    plain.update("new = 6000000000", "old = 1")
    assert plain.rows == [(None, 5_000_000_000), (None, 6_000_000_000)]
    plain.update("new = new + 1")
    plain.update("new = 3", "new = 5000000001")
    plain.update("other = 1")
    assert plain.rows == [(3, 3), (None, 6_000_000_001)]


@pytest.mark.parametrize(
    ("old", "new", "narrow", "wide"),
    [
        (models.CharField(max_length=3, null=True), models.CharField(max_length=5), "abc", "abcde"),
        (models.CharField(max_length=3, null=True), models.TextField(), "abc", "abcde"),
        (INT(null=True), models.DecimalField(max_digits=12, decimal_places=2), 3, 3_000_000_000),
        (
            models.DecimalField(max_digits=4, decimal_places=2, null=True),
            models.DecimalField(max_digits=6, decimal_places=2),
            12,
            1234,
        ),
    ],
    ids=["varchar", "text", "integer to numeric", "numeric"],
)
def test_other_types_follow_as_far_as_they_fit(made, old, new, narrow, wide):
    """A write of running code never fails because of the other release's type."""
    new.null = True
    columns = made(old, new).sync()
    quoted = "'{}'".format
    columns.insert(old=quoted(narrow))
    columns.insert(new=quoted(wide))
    columns.insert(new=quoted(narrow))
    assert columns.rows == [(narrow, narrow), (None, wide), (narrow, narrow)]


def test_decimal_places_that_the_old_type_has_not_are_no_fit(made):
    """Rounded, they would be lost unnoticed on the way back."""
    decimal = models.DecimalField
    columns = made(
        decimal(max_digits=6, decimal_places=1, null=True),
        decimal(max_digits=8, decimal_places=3, null=True),
    ).sync()
    columns.insert(new="1.234")
    columns.insert(new="1.2")
    columns.update("new = new, other = 3")
    texts = [tuple(map(str, row)) for row in columns.rows]
    assert texts == [("None", "1.234"), ("1.2", "1.200")]


class CIText(models.TextField):
    def db_type(self, connection):
        return "citext"


class JSONText(models.TextField):
    def db_type(self, connection):
        return "json"


SAME_TO_THE_SERVER = {
    "citext": (CIText(null=True), CIText(null=True), ["Ann", "ANN", "ann"]),
    "two collations": (
        models.CharField(max_length=9, null=True, db_collation="C", db_default="a"),
        models.TextField(null=True, db_collation="ucs_basic", db_default="a"),
        ["b", "a", "B"],
    ),
    "arrays of text": (
        ArrayField(models.CharField(max_length=9, db_collation="C"), null=True),
        ArrayField(models.CharField(max_length=20, db_collation="ucs_basic"), null=True),
        ["{b}", "{B}", "{}"],
    ),
    "no equality": (JSONText(null=True), JSONText(null=True), ['{"a": 1}', '{"a":1}', "[]"]),
}


@pytest.mark.parametrize(
    ("old", "new", "values"), SAME_TO_THE_SERVER.values(), ids=SAME_TO_THE_SERVER
)
def test_texts_follow_letter_by_letter(pg, made, old, new, values):
    """Somebody corrects the case of a name in a column that knows no case: no write is lost."""
    with pg.cursor() as cursor:
        cursor.execute("CREATE EXTENSION citext")
    columns = made(old, new).sync()
    wanted = []
    for one, other in itertools.pairwise(values):
        columns.insert(old=f"'{one}'")
        columns.insert(new=f"'{one}'")
        columns.update(f"old = '{other}'", "id % 2 = 1")
        columns.update(f"new = '{other}'", "id % 2 = 0")
        wanted = [(other, other)] * (len(wanted) + 2)
        texts = columns.shop.ask("SELECT old::text, new::text FROM shop_thing ORDER BY id")
        assert texts == wanted


def test_in_a_replica_session_it_fires_as_well(plain):
    """A logical subscriber or a restore sets session_replication_role."""
    plain.run("SET session_replication_role = replica")
    plain.insert(old="1")
    plain.update("new = 2")
    plain.run("RESET session_replication_role")
    assert plain.rows == [(2, 2)]


def test_several_pairs_of_one_table_do_not_disturb_each_other(made):
    """Two fields renamed in one release; and one column followed by two."""
    columns = made(INT(null=True), WIDE(null=True))
    columns.shop.apply(
        migrations.AddField("thing", "third", WIDE(null=True)),
        migrations.AddField("thing", "fourth", WIDE(null=True)),
    )
    columns.model = columns.shop.model("Thing")
    columns.sync().sync("third", "fourth")
    columns.insert(old="1", fourth="4")
    columns.insert(new="2", third="3")
    columns.update("new = 5, third = 6", "old = 1")
    every = "SELECT old, new, third, fourth FROM shop_thing ORDER BY id"
    assert columns.shop.ask(every) == [(5, 5, 6, 6), (2, 2, 3, 3)]


def test_a_partitioned_table_is_kept_in_sync_in_every_partition(made):
    """Present ones and those that are made next month."""
    columns = made(INT(null=True), WIDE(null=True))
    columns.run(
        """
        DROP TABLE shop_thing;
        CREATE SEQUENCE thing_ids;
        CREATE TABLE shop_thing (id bigint DEFAULT nextval('thing_ids'), old int, new bigint,
                                 other int NOT NULL DEFAULT 0) PARTITION BY LIST (other);
        CREATE TABLE shop_thing_0 PARTITION OF shop_thing FOR VALUES IN (0);
        """
    )
    columns.sync()
    columns.run("CREATE TABLE shop_thing_1 PARTITION OF shop_thing FOR VALUES IN (1)")
    for other in ("0", "1"):
        columns.insert(old="1", other=other)
        columns.insert(new="2", other=other)
    columns.run("INSERT INTO shop_thing_1 (new, other) VALUES (3, 1)")
    columns.run("SET session_replication_role = replica; UPDATE shop_thing SET old = old + 10")
    columns.run("RESET session_replication_role")
    assert columns.rows == [(11, 11), (12, 12), (11, 11), (12, 12), (13, 13)]
    columns.stop()
    assert columns.shop.schema()["triggers"] == []


def test_an_unrelated_update_never_calls_it(plain):
    """Nine of ten updates are of other columns; they pay for two comparisons alone."""
    plain.insert(old="1")
    plain.run(
        """
        CREATE TABLE calls (n int);
        CREATE OR REPLACE FUNCTION note_call() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO calls VALUES (1); RETURN NEW; END $$;
        """
    )
    ((name,),) = plain.shop.ask(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE '%sync_update%'"
    )
    head, _, _ = name.partition("EXECUTE FUNCTION")
    plain.run(head.replace("CREATE TRIGGER ", "CREATE TRIGGER a") + "EXECUTE FUNCTION note_call()")
    plain.update("other = 5")
    plain.update("old = old, new = new, other = 6")
    plain.update("new = NULL, old = NULL")
    assert plain.shop.ask("SELECT count(*) FROM calls") == [(0,)]
    plain.update("old = 3")
    assert plain.shop.ask("SELECT count(*) FROM calls") == [(1,)]


def test_it_comes_after_a_trigger_of_the_project_that_sets_the_old_column(plain):
    """Triggers fire in the order of their names."""
    plain.run(
        """
        CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.old := NEW.other * 2; RETURN NEW; END $$;
        CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF other ON shop_thing
            FOR EACH ROW EXECUTE FUNCTION doubled();
        """
    )
    plain.insert(other="4")
    plain.update("other = 5")
    assert plain.rows == [(10, 10)]


def test_names_with_quotes_and_a_schema_are_kept_in_sync(made):
    """``db_table = 'own"."thing'``, columns that need quotes, a search_path that names neither."""
    columns = made(INT(null=True, db_column="It's A"), WIDE(null=True, db_column="NEW"))
    columns.run("CREATE SCHEMA own; ALTER TABLE shop_thing SET SCHEMA own")
    columns.model._meta.db_table = 'own"."shop_thing'
    columns.sync()
    columns.run('INSERT INTO own.shop_thing ("It\'s A") VALUES (4)')
    columns.run('INSERT INTO own.shop_thing ("NEW") VALUES (5)')
    both = 'SELECT "It\'s A", "NEW" FROM own.shop_thing ORDER BY 1'
    assert columns.shop.ask(both) == [(4, 4), (5, 5)]
    where = "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname LIKE '%sync%'"
    assert ("own",) in columns.shop.ask(where)
    columns.stop()
    assert ("own",) not in columns.shop.ask(where)


def test_what_keeps_them_is_named_and_says_what_it_is_for(plain):
    """Somebody looks at the table in psql and wonders."""
    says = plain.shop.ask(
        """
        SELECT tgname::text, tgenabled::text, obj_description(oid, 'pg_trigger'),
               obj_description(tgfoid, 'pg_proc')
        FROM pg_trigger WHERE tgrelid = 'shop_thing'::regclass ORDER BY 1
        """
    )
    comment = "safemigrate: keeps old and new of shop_thing the same"
    assert [row[1:] for row in says] == [("A", comment, comment)] * 2
    assert [row[0].rpartition("_")[0] for row in says] == [
        "zz_safemigrate_sync_insert_shop_thing_old_new",
        "zz_safemigrate_sync_update_shop_thing_old_new",
    ]


def test_begun_or_ended_twice_it_sends_nothing_the_second_time(plain):
    """A killed run is run again."""
    with plain.shop.sent() as sent:
        plain.sync()
    assert sent == []
    plain.stop()
    assert plain.shop.schema()["triggers"] == plain.shop.schema()["functions"] == []
    with plain.shop.sent() as sent:
        plain.stop()
    assert sent == []
    plain.insert(old="1")
    assert plain.rows == [(1, None)]


def test_sqlmigrate_prints_it_and_asks_nothing(plain):
    """With the default of the model, since the column may not be there yet."""

    def nobody_answers(execute, sql, params, many, context):
        raise AssertionError(sql)

    connection = plain.shop.connection
    with (
        connection.execute_wrapper(nobody_answers),
        connection.schema_editor(collect_sql=True, atomic=False) as editor,
    ):
        plain.backend.keep_in_sync(editor, plain.model, *plain.fields())
        plain.backend.stop_sync(editor, plain.model, *plain.fields())
    printed = " ".join(editor.collected_sql)
    for words in ("CREATE OR REPLACE TRIGGER", "ENABLE ALWAYS", "COMMENT ON", "DROP FUNCTION"):
        assert words in printed


def test_a_failing_write_of_running_code_fails_as_before(plain):
    """The old column's own limit is still its own."""
    with pytest.raises(DatabaseError, match="out of range"):
        plain.insert(old="5000000000")
