"""Indexes, constraints and defaults of one half alone, and of both, in plans: data, no test."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres import operations as pg
from django.db import migrations as m
from django.db import models
from django.db.models import F, Q

from safemigrate.operations import (
    AddIndexConcurrently,
    AddUniqueConstraintConcurrently,
    Assured,
    ContractDrop,
    RemoveIndexConcurrently,
)
from tests.rules.corpus_halves import (
    BUILD,
    CASCADE,
    CHECK,
    FK,
    INDEX,
    UNIQUE,
    Char,
    Int,
    Plan,
    add,
    alter,
    both,
    database,
    made,
    sql,
    state,
)

IS_UNIQUE = alter("number", Char(max_length=20, unique=True))
INDEXED = alter("total", Int(null=True, db_index=True))
TOGETHER = m.AlterUniqueTogether("order", {("number", "customer"), ("number", "shop_id")})
TO_SHOP = alter("shop_id", FK("shop.Shop", CASCADE, null=True, db_column="shop_id"))
DEFAULT = alter("total", Int(null=True, db_default=5))
NO_U, NO_I = m.RemoveConstraint("order", "u"), m.RemoveIndex("order", "i")
BUILD_U = "ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE (number)"
UNNAMED_U = "ALTER TABLE shop_order ADD UNIQUE (number)"
BUILD_FK = "ALTER TABLE shop_order ADD FOREIGN KEY (shop_id) REFERENCES shop_shop NOT VALID"
OTHER_U = m.AddConstraint("order", models.UniqueConstraint(fields=["total"], name="u"))


class Named(models.Field):
    """A column of a type that somebody made: an enum, a domain or an extension's."""

    def __init__(self, kind: str = "mood", **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def db_type(self, connection: Any) -> str:
        return self.kind

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "kind": self.kind}


def builds(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE (number)")


def counts(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("SELECT count(*) FROM shop_order")


DANGEROUS = [
    Plan(
        "an index of another column by the name of one there is",
        state(m.RemoveIndex("order", "i"), m.AddIndex("order", models.Index("number", name="i"))),
        ("E208",),
        (INDEX,),
    ),
    Plan("a unique constraint of nobody", state(UNIQUE), ("E208",)),
    Plan("a check of nobody", state(CHECK), ("E208",)),
    Plan("an index of nobody", state(INDEX), ("E208",)),
    Plan("unique_together of nobody", state(TOGETHER), ("E208",)),
    Plan("unique=True of nobody", state(IS_UNIQUE), ("E208",)),
    Plan("db_index=True of nobody", state(INDEXED), ("E208",)),
    Plan("an index and a foreign key of nobody", state(TO_SHOP), ("E208", "E208")),
    Plan("a default of nobody", state(DEFAULT), ("E208",)),
    Plan("a renamed index", state(m.RenameIndex("order", "j", old_name="i")), ("E208",), (INDEX,)),
    Plan("the order of rows", state(m.AlterOrderWithRespectTo("order", "customer")), ("E208",)),
    Plan("nested", state(state(state(UNIQUE))), ("E208",)),
    Plan("vouched for beside", state(UNIQUE), ("E208",), (Assured(INDEX, because="x"),)),
    Plan("of RunSQL", sql("SELECT 1", UNIQUE), ("E207",)),
    Plan("of another table", state(UNIQUE), ("E208",), after=(sql(BUILD_U.replace("order", "x")),)),
    Plan("unique_together of others", state(TOGETHER), ("E208",), (sql(UNNAMED_U),)),
    *(
        Plan(f"{what} makes no constraint", state(UNIQUE), ("E208",), (sql(text),))
        for what, text in (
            ("a look", "SELECT count(*) AS u FROM shop_order"),
            ("a drop", "ALTER TABLE shop_order DROP CONSTRAINT IF EXISTS u"),
            ("a drop of an index", "DROP INDEX CONCURRENTLY IF EXISTS u"),
            ("a comment", "COMMENT ON CONSTRAINT u ON shop_order IS 'u'"),
            ("another one", "ALTER TABLE shop_order ADD CONSTRAINT v UNIQUE (total)"),
            ("rows written", "UPDATE shop_order SET number = 'u' WHERE id = 1"),
        )
    ),
    Plan("a look beside it", both(UNIQUE, sql("SELECT number AS u FROM shop_order")), ("E207",)),
    Plan("a look at a column", state(add("x")), ("E208",), (sql("SELECT x FROM shop_order"),)),
    Plan("a look beside a column", both(add("x"), sql("SELECT x FROM shop_order")), ("E207",)),
    Plan("another index beside", both(UNIQUE, INDEX), ("E207",)),
    Plan("Python that only looks", state(UNIQUE), ("E208",), (m.RunPython(counts),)),
    Plan("it changes in the state alone", state(NO_U, OTHER_U), ("E208",), (UNIQUE,)),
    Plan("a default beside nothing", both(add("x", Int(db_default=1)), add("x")), ("E207",)),
    Plan(
        "a type of one's own", state(alter("x", Named("feeling"))), ("E208",), (add("x", Named()),)
    ),
    Plan("a type of one's own for another", state(alter("note", Named(null=True))), ("E208",)),
    Plan("and back", state(alter("x", models.TextField())), ("E208",), (add("x", Named()),)),
    Plan("two of one's own", both(add("x", Named()), add("x", Named("feeling"))), ("E207",)),
    Plan("an array of them", state(alter("x", Named("a[]"))), ("E208",), (add("x", Named("b[]")),)),
    Plan("a unique constraint forgotten", state(NO_U), ("E208",), (UNIQUE,)),
    Plan("a check forgotten", state(m.RemoveConstraint("order", "c")), ("E208",), (CHECK,)),
    Plan("unique_together forgotten", state(m.AlterUniqueTogether("order", set())), ("E208",)),
    Plan(
        "unique=True forgotten",
        state(alter("number", Char(max_length=20))),
        ("E208",),
        (IS_UNIQUE,),
    ),
    Plan(
        "a foreign key forgotten",
        state(alter("customer", FK("shop.Customer", CASCADE, db_constraint=False))),
        ("E208",),
    ),
    Plan("how it came is no drop", state(NO_U), ("E208",), (both(UNIQUE, sql(BUILD_U)),)),
    Plan("an index forgotten", state(NO_I), ("W410",), (INDEX,)),
    Plan("SQL that never runs", state(m.RunSQL("SELECT 1")), ("E208",)),
    Plan("Python that never runs", state(m.RunPython(counts)), ("E208",)),
    Plan("an extension that never comes", state(pg.CreateExtension("citext")), ("E208",)),
    Plan("a validation that never runs", state(pg.ValidateConstraint("order", "c")), ("E208",)),
    Plan("a database half inside of a state half", state(database(add("x"))), ("E208",)),
]

OTHER_NAME = state(
    alter("number", Char(max_length=20, db_column="number")),
    m.RenameField("order", "number", "label"),
)
OTHER_NAMES = state(
    alter("customer", FK("shop.Customer", CASCADE, db_column="customer_id")),
    m.RenameField("order", "customer", "buyer"),
)

HARMLESS = [
    Plan("a foreign key is called otherwise in Python", OTHER_NAMES),
    Plan("what is unique is called otherwise in Python", OTHER_NAME, (), (UNIQUE,)),
    Plan(
        "what a condition is about is called otherwise in Python",
        OTHER_NAME,
        (),
        (
            m.AddConstraint(
                "order", models.CheckConstraint(condition=Q(number__gt=F("note")), name="c")
            ),
            m.AddIndex(
                "order", models.Index(fields=["-number"], condition=Q(number="a"), name="i")
            ),
            m.AddIndex("order", models.Index(F("number").desc(), name="e")),
        ),
    ),
    Plan("a unique constraint of both", both(UNIQUE, UNIQUE)),
    Plan(
        "by one of ours", both(UNIQUE, AddUniqueConstraintConcurrently("order", UNIQUE.constraint))
    ),
    Plan("an index by one of ours", both(INDEX, AddIndexConcurrently("order", INDEX.index))),
    Plan("SQL before", state(UNIQUE), before=(sql(BUILD_U),)),
    Plan("SQL later", state(UNIQUE), after=(sql(BUILD_U.lower()),)),
    Plan("SQL beside", both(UNIQUE, sql(BUILD_U))),
    Plan("the halves of RunSQL", sql(BUILD_U, UNIQUE)),
    Plan("without a name", state(UNIQUE), before=(sql(UNNAMED_U),)),
    Plan("unique=True in SQL", state(IS_UNIQUE), after=(sql(UNNAMED_U),)),
    Plan(
        "the same type of one's own",
        state(alter("x", Named(help_text="x"))),
        (),
        (add("x", Named()),),
    ),
    Plan("a type of one's own in both", both(alter("note", Named()), alter("note", Named()))),
    Plan(
        "a type of one's own in SQL",
        both(
            alter("note", Named()),
            sql("ALTER TABLE shop_order ALTER note TYPE mood USING note::mood"),
        ),
    ),
    Plan(
        "a type of one's own in SQL later",
        state(alter("note", Named())),
        after=(sql("ALTER TABLE shop_order ALTER note TYPE public.mood USING note::mood"),),
    ),
    Plan("unique=True in both", both(IS_UNIQUE, IS_UNIQUE)),
    Plan(
        "unique=True by an index",
        both(
            IS_UNIQUE,
            sql("CREATE UNIQUE INDEX CONCURRENTLY k ON shop_order (number)"),
            sql("ALTER TABLE shop_order ADD CONSTRAINT k UNIQUE USING INDEX k"),
        ),
    ),
    Plan("db_index in SQL", both(INDEXED, sql(BUILD))),
    Plan(
        "a foreign key in SQL",
        both(TO_SHOP, sql(f"CREATE INDEX ON shop_order (shop_id); {BUILD_FK}")),
    ),
    Plan(
        "a default in SQL", both(DEFAULT, sql("ALTER TABLE shop_order ALTER total SET DEFAULT 5"))
    ),
    Plan("a default later", state(DEFAULT), after=(database(DEFAULT),)),
    Plan(
        "unique_together in SQL",
        state(TOGETHER),
        before=(sql("CREATE UNIQUE INDEX ON shop_order (number, shop_id)"),),
    ),
    Plan("the database first", state(UNIQUE), before=(database(UNIQUE),)),
    Plan("the database later", state(INDEX), after=(database(INDEX),)),
    Plan("Python before", state(UNIQUE), before=(m.RunPython(builds),)),
    Plan("Python beside", both(UNIQUE, m.RunPython(builds))),
    Plan("a block", state(UNIQUE), before=(sql(f"DO $$ BEGIN {BUILD_U}; END $$"),)),
    Plan("taken back", state(UNIQUE), after=(state(NO_U),)),
    Plan("forgotten and back", state(UNIQUE), before=(UNIQUE, state(NO_U))),
    Plan("forgotten for a while", state(NO_U), before=(UNIQUE,), after=(state(UNIQUE),)),
    Plan("dropped in both", both(NO_U, NO_U), before=(UNIQUE,)),
    Plan(
        "dropped in SQL",
        both(NO_U, sql("ALTER TABLE shop_order DROP CONSTRAINT u")),
        before=(UNIQUE,),
    ),
    Plan(
        "dropped later",
        state(NO_U),
        before=(UNIQUE,),
        after=(sql("ALTER TABLE shop_order DROP CONSTRAINT u"),),
    ),
    Plan(
        "an index dropped later",
        state(NO_I),
        before=(INDEX,),
        after=(sql("DROP INDEX CONCURRENTLY i"),),
    ),
    Plan(
        "an index dropped beside",
        both(NO_I, RemoveIndexConcurrently("order", "i")),
        before=(INDEX,),
    ),
    Plan(
        "renamed in both",
        both(m.RenameIndex("order", "j", old_name="i"), sql("ALTER INDEX i RENAME TO j")),
        before=(INDEX,),
    ),
    Plan(
        "with its column",
        both([NO_U, m.RemoveField("order", "number")], NO_U, m.RemoveField("order", "number")),
        before=(UNIQUE,),
    ),
    Plan(
        "the column goes later",
        state(NO_U),
        before=(UNIQUE,),
        after=(ContractDrop("order", "number"),),
    ),
    Plan("the model goes later", state(UNIQUE), after=(m.DeleteModel("Order"),)),
    Plan(
        "a model that moves with what it has",
        state(
            made("Keep", ("total", Int(unique=True)), db_table="kept_table"),
            m.DeleteModel("Kept"),
        ),
        before=(m.AlterField("kept", "total", Int(unique=True)),),
    ),
    Plan(
        "other words for the same check",
        state(
            m.RemoveConstraint("order", "c"),
            m.AddConstraint(
                "order",
                models.CheckConstraint(
                    condition=Q(total__gt=0), name="c", violation_error_message="no"
                ),
            ),
        ),
        before=(CHECK,),
    ),
    Plan(
        "a model of nobody's",
        state(m.AddIndex("elsewhere", models.Index(fields=["total"], name="e"))),
    ),
    Plan("RunSQL that says nothing", state(m.RunSQL(m.RunSQL.noop))),
]
