"""Operations whose state and database halves differ or agree, in plans of several migrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import migrations as m
from django.db import models

from safemigrate.operations import Assured, ContractDrop, MakeFieldIgnorable

Int, Big, Char = models.IntegerField, models.BigIntegerField, models.CharField
FK, CASCADE = models.ForeignKey, models.CASCADE
LOOSE_FK = FK(
    "shop.Shop", CASCADE, null=True, db_column="shop_id", db_constraint=False, db_index=False
)
ID = ("id", models.BigAutoField(primary_key=True))


def state(*operations: Any) -> Any:
    return m.SeparateDatabaseAndState(state_operations=list(operations))


def database(*operations: Any) -> Any:
    return m.SeparateDatabaseAndState(database_operations=list(operations))


def both(stated: Any, *made: Any) -> Any:
    return m.SeparateDatabaseAndState(
        database_operations=list(made),
        state_operations=stated if isinstance(stated, list) else [stated],
    )


def sql(text: str, *stated: Any) -> m.RunSQL:
    return m.RunSQL(text, m.RunSQL.noop, state_operations=list(stated) or None)


def add(name: str, field: Any = None, model: str = "order") -> m.AddField:
    return m.AddField(model, name, field or Int(null=True))


def alter(name: str, field: Any) -> m.AlterField:
    return m.AlterField("order", name, field)


def made(name: str, *fields: Any, **options: Any) -> m.CreateModel:
    return m.CreateModel(name, [ID, *fields], options=options)


@dataclass
class Plan:
    """
    ``before`` and ``after``: operations of other migrations of the app; ``rules``: what is said
    about ``operation`` by the rules of the halves.
    """

    says: str
    operation: Any
    rules: tuple[str, ...] = ()
    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return self.says


INDEX = m.AddIndex("order", models.Index(fields=["total"], name="i"))
BUILD = "CREATE INDEX CONCURRENTLY i ON shop_order (total)"
CHECK = m.AddConstraint("order", models.CheckConstraint(condition=models.Q(total__gt=0), name="c"))
UNNAMED = "ALTER TABLE shop_order ADD CHECK (total > 0) NOT VALID"
UNIQUE = m.AddConstraint("order", models.UniqueConstraint(fields=["number"], name="u"))
ADD_X = "ALTER TABLE shop_order ADD COLUMN x int"
THING = made("Thing", ("n", Int()))
NUMBER = state(m.RemoveField("order", "number"))
NOTE = state(m.RemoveField("order", "note"))


def executes(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("ALTER TABLE shop_order ADD x int")


def builds(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("CREATE INDEX i ON shop_order (total)")


def fills(apps: Any, schema_editor: Any) -> None:
    apps.get_model("shop", "order").objects.filter(pk=1).update(x=1)


class Own(m.RunSQL):
    """Nobody has read what it does."""

    def database_forwards(self, *args: Any) -> None:
        pass


def authorship(*more: tuple[str, models.Field], table: str) -> list[Any]:
    """A many-to-many field gets a model."""
    return [
        made(
            "OrderTag",
            ("order", FK("shop.Order", CASCADE)),
            ("customer", FK("shop.Customer", CASCADE)),
            *more,
            db_table=table,
        ),
        m.AlterField(
            "order",
            "tags",
            models.ManyToManyField("shop.Customer", related_name="+", through="shop.OrderTag"),
        ),
    ]


AUTHORSHIP = authorship(table="shop_ordertag")

DANGEROUS = [
    Plan("another field", both(add("x"), add("y")), ("E207",)),
    Plan("another model", both(add("x"), add("x", model="shop")), ("E207",)),
    Plan("another column", both(add("x"), add("x", Int(null=True, db_column="ex"))), ("E207",)),
    Plan("another type", both(add("x"), add("x", models.TextField(null=True))), ("E207",)),
    Plan("a narrower type", both(add("x", Big(null=True)), add("x")), ("E207",)),
    Plan("NULL in the state alone", both(add("x"), add("x", Int(db_default=1))), ("E207",)),
    Plan("another table", both(made("A", db_table="one"), made("A")), ("E207",)),
    Plan(
        "another column in SQL", both(add("x"), sql("ALTER TABLE shop_order ADD xx int")), ("E207",)
    ),
    Plan("another table in SQL", both(add("x"), sql("ALTER TABLE shop_shop ADD x int")), ("E207",)),
    Plan("another type in SQL", both(add("x", Big(null=True)), sql(ADD_X)), ("E207",)),
    Plan("SQL in other letters", both(add("x", Big(null=True)), sql(ADD_X.upper())), ("E207",)),
    Plan(
        "a column that CREATE TABLE leaves out",
        both(THING, sql("CREATE TABLE shop_thing (id bigserial PRIMARY KEY)")),
        ("E207",),
    ),
    Plan(
        "a type in CREATE TABLE",
        both(THING, sql("CREATE TABLE shop_thing (id bigserial, n varchar(5) NOT NULL)")),
        ("E207",),
    ),
    Plan("the halves of RunSQL", sql("ALTER TABLE shop_order ADD xx int", add("x")), ("E207",)),
    Plan("an altered type", both(alter("total", Big(null=True)), sql("SELECT 1")), ("E207",)),
    Plan("nested in the database half", both(add("x"), database(database(add("y")))), ("E207",)),
    Plan("nested in the state half", both(state(state(add("x"))), add("y")), ("E207",)),
    Plan(
        "a half that is state alone inside",
        both(add("x"), state(add("x")), sql("SELECT 1")),
        ("E207",),
    ),
    Plan("vouched for inside", both(add("x"), Assured(add("y"), because="y")), ("E207",)),
    Plan("an index under another name", both(INDEX, sql(BUILD.replace(" i ", " j "))), ("E207",)),
    Plan(
        "a constraint under another name",
        both(CHECK, sql("ALTER TABLE shop_order ADD CONSTRAINT d CHECK (total > 0) NOT VALID")),
        ("E207",),
    ),
    Plan(
        "an index under another name beside a constraint",
        both(INDEX, sql(f"{BUILD.replace(' i ', ' j ')}; {ADD_X}; {UNNAMED}")),
        ("E207",),
    ),
    Plan(
        "a unique index under another name",
        both(UNIQUE, sql("CREATE UNIQUE INDEX k ON shop_order (number)")),
        ("E207",),
    ),
    Plan(
        "the index of RunSQL",
        sql("create index concurrently j on shop_order (total)", INDEX),
        ("E207",),
    ),
    Plan("a field of nobody", state(add("x")), ("E208",)),
    Plan("a model of nobody", state(THING), ("E208",)),
    Plan("a wider type", state(alter("total", Big(null=True))), ("E208",)),
    Plan("a longer text", state(alter("number", Char(max_length=40))), ("E208",)),
    Plan("a column renamed", state(m.RenameField("order", "note", "notes")), ("E208",)),
    Plan("a table renamed", state(m.AlterModelTable("order", "sales")), ("E208", "E208")),
    Plan("a model renamed", state(m.RenameModel("Order", "Sale")), ("E208", "E208")),
    Plan("a required column", state(m.RemoveField("order", "number")), ("E208",)),
    Plan("another field elsewhere", state(add("x")), ("E208",), after=(database(add("y")),)),
    Plan(
        "SQL for another table", state(add("x")), ("E208",), after=(sql("ALTER TABLE a ADD x int"),)
    ),
    Plan(
        "a table of many-to-many", state(add("m", models.ManyToManyField("shop.Shop"))), ("E208",)
    ),
    Plan(
        "a column more than the table of many-to-many",
        state(*authorship(("note", models.TextField(null=True)), table="shop_order_tags")),
        ("E208",),
    ),
    Plan("an optional column", state(m.RemoveField("order", "note")), ("W410",)),
    Plan("a table", state(m.DeleteModel("Kept")), ("W410",)),
    Plan("a table of many-to-many that goes", state(m.RemoveField("order", "tags")), ("W410",)),
    Plan(
        "a required column made ignorable",
        state(m.RemoveField("order", "number")),
        ("W410",),
        before=(MakeFieldIgnorable("order", "number"),),
    ),
    *(
        Plan(f"{what} in SQL settles nothing", NUMBER, ("E208",), before=(sql(text),))
        for what, text in (
            ("an index", "CREATE INDEX CONCURRENTLY n ON shop_order (number)"),
            ("rows written", "UPDATE shop_order SET number = '1' WHERE id = 1"),
            ("a CHECK", "ALTER TABLE shop_order ADD CHECK (number > '') NOT VALID"),
            ("how it came", "ALTER TABLE shop_order ADD number varchar(20) NOT NULL"),
        )
    ),
    Plan(
        "how it came settles nothing",
        state(m.RemoveField("order", "x")),
        ("W410",),
        before=(both(add("x"), add("x")),),
    ),
    Plan(
        "nor how it came in SQL",
        state(m.RemoveField("order", "x")),
        ("W410",),
        before=(sql(ADD_X, add("x")),),
    ),
    Plan(
        "nor that the state had it before",
        NOTE,
        ("W410",),
        before=(
            state(m.RemoveField("order", "note")),
            state(add("note", models.TextField(null=True))),
        ),
    ),
    Plan(
        "rows written later",
        state(add("x")),
        ("E208",),
        after=(sql("UPDATE shop_order SET x = 1 WHERE id = 1"),),
    ),
    Plan(
        "a column dropped before",
        state(add("x")),
        ("E208",),
        before=(sql("ALTER TABLE shop_order DROP COLUMN IF EXISTS x"),),
    ),
    Plan("rows written by Python", state(add("x")), ("E208",), before=(m.RunPython(fills),)),
    Plan("Python about another", state(add("y")), ("E208",), before=(m.RunPython(executes),)),
    Plan(
        "another column dropped",
        state(m.RemoveField("order", "note")),
        ("W410",),
        after=(sql("ALTER TABLE shop_order DROP COLUMN notes"),),
    ),
]

HARMLESS = [
    Plan("the table of many-to-many", state(*authorship(table="shop_order_tags"))),
    Plan(
        "a column more, and an operation that makes it",
        state(*authorship(("note", models.TextField(null=True)), table="shop_order_tags")),
        after=(database(m.AddField("ordertag", "note", models.TextField(null=True))),),
    ),
    Plan("the same field", both(add("x"), add("x"))),
    Plan("the same field, nested", both(state(add("x")), database(database(add("x"))))),
    Plan("the same in SQL", both(add("x"), sql(ADD_X))),
    Plan(
        "the same in odd SQL", both(add("x"), sql('alter table\n "shop_order" add "x" INT4 -- x'))
    ),
    Plan("the same in a block", both(add("x"), sql(f"DO $$ BEGIN {ADD_X}; END $$"))),
    Plan("a wider column", both(add("x"), sql("ALTER TABLE shop_order ADD x bigint"))),
    Plan(
        "text for varchar", both(add("x", Char(null=True, max_length=5)), sql(ADD_X[:-3] + "text"))
    ),
    Plan(
        "a type of its own", both(add("x", Char(null=True, max_length=5)), sql(ADD_X[:-3] + "mood"))
    ),
    Plan("NOT NULL in the state alone", both(add("x", Int(default=1)), add("x"))),
    Plan("the halves of RunSQL agree", sql(ADD_X, add("x"))),
    Plan("SQL without a state", sql(ADD_X)),
    Plan("the database alone", database(add("x"))),
    Plan("code that nobody reads", both(add("x"), m.RunPython(print, m.RunPython.noop))),
    Plan(
        "a whole table in SQL",
        both(
            THING, sql("CREATE TABLE IF NOT EXISTS shop_thing (id bigserial, n integer NOT NULL)")
        ),
    ),
    Plan("a table like another", both(THING, sql("CREATE TABLE shop_thing (LIKE shop_shop)"))),
    Plan(
        "a table of a many-to-many field that gets a model",
        both(AUTHORSHIP, sql("ALTER TABLE shop_order_tags RENAME TO shop_ordertag")),
    ),
    Plan(
        "an index built by SQL",
        both(
            m.AddIndex("order", models.Index(fields=["total"], name="i")),
            sql("CREATE INDEX CONCURRENTLY i ON shop_order (total)"),
        ),
    ),
    Plan("an index in odd letters", both(INDEX, sql(BUILD.upper().replace(" I ", ' "i" ')))),
    Plan("an index without a name", both(INDEX, sql(BUILD.replace(" i ", " ")))),
    Plan(
        "an index of another table beside",
        both(INDEX, sql("CREATE INDEX j ON shop_shop (name)")),
        before=(sql(BUILD),),
    ),
    Plan("an index that is there", both(INDEX, sql("SELECT 1")), before=(sql(BUILD),)),
    Plan(
        "an index renamed",
        both(INDEX, sql(BUILD.replace(" i ", " j ") + "; ALTER INDEX j RENAME TO i")),
    ),
    Plan(
        "an index made before", both(INDEX, sql(BUILD.replace(" i ", " j "))), before=(sql(BUILD),)
    ),
    Plan(
        "a constraint of an index",
        both(
            m.AddConstraint("order", models.UniqueConstraint(fields=["number"], name="u")),
            sql("CREATE UNIQUE INDEX CONCURRENTLY k ON shop_order (number)"),
            sql("ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE USING INDEX k"),
        ),
    ),
    Plan("what Python alone sees", state(alter("total", Int(null=True, help_text="x")))),
    Plan("a narrower text", state(alter("number", Char(max_length=10)))),
    Plan(
        "a column under its old name",
        state(
            m.AlterField("order", "note", models.TextField(null=True, db_column="note")),
            m.RenameField("order", "note", "notes"),
        ),
    ),
    Plan(
        "a number made a key",
        state(alter("shop_id", LOOSE_FK)),
    ),
    Plan(
        "a field with the same column",
        state(
            m.RemoveField("order", "shop_id"),
            add("shop", FK("shop.Shop", CASCADE, null=True, db_constraint=False, db_index=False)),
        ),
    ),
    Plan("unmanaged", state(made("Seen2", managed=False))),
    Plan("a field of an unmanaged model", state(m.RemoveField("elsewhere", "total"))),
    Plan("the database first", state(add("x")), before=(database(add("x")),)),
    Plan("the database later", state(add("x")), after=(database(add("x")),)),
    Plan("SQL first", state(add("x")), before=(sql(ADD_X),)),
    Plan(
        "SQL later",
        state(m.RemoveField("order", "note")),
        after=(sql("alter table shop_order drop note"),),
    ),
    Plan(
        "dropped later",
        state(m.RemoveField("order", "note")),
        after=(state(add("note", models.TextField(null=True))), ContractDrop("order", "note")),
    ),
    Plan(
        "a required one dropped later",
        state(m.RemoveField("order", "number")),
        after=(sql("ALTER TABLE shop_order DROP COLUMN number"),),
    ),
    Plan(
        "a table dropped later",
        state(m.DeleteModel("Kept")),
        after=(state(made("Kept", db_table="kept_table")), ContractDrop("Kept")),
    ),
    Plan(
        "a table dropped later by SQL",
        state(m.DeleteModel("Kept")),
        after=(sql("DROP TABLE kept_table"),),
    ),
    Plan(
        "it comes back",
        state(m.RemoveField("order", "note")),
        after=(state(add("note", models.TextField(null=True))),),
    ),
    Plan("it was taken away", state(add("note")), before=(state(m.RemoveField("order", "note")),)),
    Plan("moved to another model", state(made("Keep", ("total", Int()), db_table="kept_table"))),
    Plan(
        "and away from the first",
        state(m.DeleteModel("Kept")),
        before=(state(made("Keep", db_table="kept_table")),),
    ),
    Plan(
        "renamed before",
        state(add("x", model="sale")),
        before=(m.RenameModel("Order", "Sale"), database(m.AddField("sale", "x", Int(null=True)))),
    ),
    Plan("the model goes", state(m.RemoveField("order", "note")), after=(ContractDrop("order"),)),
    Plan(
        "the type follows",
        state(alter("total", Big(null=True))),
        after=(database(alter("total", Big(null=True))),),
    ),
    Plan(
        "the type follows in SQL",
        state(alter("total", Big(null=True))),
        after=(sql("ALTER TABLE shop_order ALTER total TYPE bigint"),),
    ),
    Plan(
        "a constraint that the server names beside an index",
        both(CHECK, sql(f"{UNNAMED}; CREATE INDEX helper ON shop_order (total)")),
    ),
    Plan(
        "a unique constraint beside an index",
        both(UNIQUE, sql("SELECT 1"), sql("CREATE INDEX helper ON shop_order (number)")),
        before=(sql("ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE (number)"),),
    ),
    Plan(
        "an index that Python may build",
        both(INDEX, sql(BUILD.replace(" i ", " j ")), m.RunPython(builds)),
    ),
    Plan(
        "an index that Python builds elsewhere",
        both(INDEX, sql(BUILD.replace(" i ", " j "))),
        before=(m.RunPython(builds),),
    ),
    Plan("Python before", state(add("x")), before=(m.RunPython(executes),)),
    Plan("Python later", state(add("x")), after=(m.RunPython(executes),)),
    Plan("Python that nobody reads", state(add("x")), before=(m.RunPython(print),)),
    Plan("an operation of one's own", state(add("x")), before=(Own("SELECT 1"),)),
    Plan("a column dropped first", NOTE, before=(sql("ALTER TABLE shop_order DROP COLUMN note"),)),
    Plan("a field dropped first", NOTE, before=(database(m.RemoveField("order", "note")),)),
    Plan(
        "a default in SQL",
        NUMBER,
        before=(sql("ALTER TABLE shop_order ALTER number SET DEFAULT ''"),),
    ),
    Plan(
        "a block of SQL",
        NOTE,
        after=(sql("DO $$ BEGIN ALTER TABLE shop_order DROP COLUMN note; END $$"),),
    ),
    Plan(
        "a table moved to another app and back",
        state(m.DeleteModel("Kept")),
        before=(
            state(made("Keep", db_table="kept_table")),
            state(made("Keeper", db_table="kept_table")),
            state(m.DeleteModel("Keep")),
        ),
    ),
    Plan("nothing at all", state()),
    Plan("options", state(m.AlterModelOptions("order", {"ordering": ["id"]}))),
]
