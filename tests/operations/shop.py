"""A shop's tables on one database, operations run on them, and what there is in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import Error, migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.deaths import looks

BIG = models.BigAutoField

TABLES = [
    migrations.CreateModel(
        "Customer", [("id", BIG(primary_key=True)), ("name", models.CharField(max_length=50))]
    ),
    migrations.CreateModel(
        "Tag", [("id", BIG(primary_key=True)), ("word", models.CharField(max_length=50))]
    ),
    migrations.CreateModel(
        "Order",
        [
            ("id", BIG(primary_key=True)),
            ("total", models.IntegerField()),
            ("email", models.CharField(max_length=80)),
            ("code", models.CharField(max_length=20, null=True)),
            ("flag", models.BooleanField()),
            ("status", models.CharField(max_length=10, default="new")),
            ("slug", models.CharField(max_length=30, unique=True)),
            ("customer", models.ForeignKey("shop.customer", models.CASCADE)),
            ("giver", models.BigIntegerField(null=True)),
            ("tags", models.ManyToManyField("shop.tag")),
        ],
        options={
            "indexes": [models.Index(fields=["flag"], name="order_flag_idx")],
        },
    ),
    migrations.CreateModel(
        "Ticket",
        [
            ("id", models.AutoField(primary_key=True)),
            ("before", models.ForeignKey("shop.ticket", models.CASCADE, null=True)),
        ],
    ),
    migrations.CreateModel(
        "Seat",
        [
            ("id", BIG(primary_key=True)),
            ("ticket", models.ForeignKey("shop.ticket", models.CASCADE, null=True)),
        ],
    ),
    migrations.CreateModel(
        "Note",
        [
            ("id", BIG(primary_key=True)),
            ("text", models.TextField()),
            ("order", models.ForeignKey("shop.order", models.CASCADE)),
            ("about", models.ManyToManyField("shop.customer")),
        ],
    ),
]

_OPENINGS: dict[tuple[Operation, ...], tuple[str, ProjectState]] = {}


def known_to(connection: BaseDatabaseWrapper, constraint: Any) -> Any:
    """The constraint; the test is skipped where the server came before it."""
    known = connection.features.supports_nulls_distinct_unique_constraints
    asked = getattr(constraint, "nulls_distinct", None) is not None
    if asked and not known and connection.vendor == "postgresql":
        pytest.skip("PostgreSQL 15 has NULLS NOT DISTINCT first")
    return constraint


@dataclass
class Shop:
    """The state of the migrations and the database that follows it, step by step."""

    connection: Any
    state: ProjectState = field(default_factory=ProjectState)

    def open(self, tables: Sequence[Operation] = TABLES) -> Shop:
        if self.connection.vendor == "postgresql":
            self._open_again(tuple(tables))
        else:
            self._open_first(tables)
        return self

    def _open_first(self, tables: Sequence[Operation]) -> None:
        for table in tables:
            self.apply(table)
        self.fill(5)

    def _open_again(self, tables: tuple[Operation, ...]) -> None:
        """With what was sent the first time, in one journey: hundreds of tests begin so."""
        if tables in _OPENINGS:
            with self.connection.cursor() as cursor:
                cursor.execute(_OPENINGS[tables][0])
        else:
            with self.changes() as said:
                Shop(self.connection, self.state)._open_first(tables)
            state = self.after(*tables)
            state.apps  # noqa: B018  (rendered once for all)
            _OPENINGS[tables] = ("; ".join(said), state)
        self.state = _OPENINGS[tables][1]
        # Clones of a state share its classes, and what refers to what is remembered in them.
        self.state.apps.clear_cache()

    def fill(self, rows: int, start: int = 1) -> None:
        Customer, Order = self.model("Customer"), self.model("Order")
        customers = Customer.objects.using(self.connection.alias)
        if not customers.exists():
            customers.create(name="Ann")
        one = customers.first()
        Ticket = self.model("Ticket").objects.using(self.connection.alias)
        ticket = Ticket.create(before=Ticket.first())
        self.model("Seat").objects.using(self.connection.alias).create(ticket=ticket)
        for number in range(start, start + rows):
            Order.objects.using(self.connection.alias).create(
                total=number,
                email=f"o{number}@example.org",
                flag=number % 2 == 0,
                slug=f"s{number}",
                customer=one,
            )

    def model(self, name: str) -> Any:
        return self.state.apps.get_model("shop", name)

    def after(self, *operations: Operation) -> ProjectState:
        state = self.state.clone()
        for operation in operations:
            operation.state_forwards("shop", state)
        return state

    @contextmanager
    def said_under_locks(self) -> Iterator[list[list[str]]]:
        """What is sent from each LOCK TABLE to the next one, that statement included."""
        locked: list[list[str]] = []

        def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            if "LOCK TABLE" in str(sql):
                locked.append([])
            if locked:
                locked[-1].append(str(sql))
            return execute(sql, params, many, context)

        with self.connection.execute_wrapper(note):
            yield locked

    def apply(self, *operations: Operation, atomic: bool = False) -> None:
        """As Django's executor would run them in one migration; the state moves on."""
        for operation in operations:
            before, after = self.state, self.after(operation)
            with self.connection.schema_editor(atomic=atomic) as editor:
                operation.database_forwards("shop", editor, before, after)
            self.state = after

    def again(self, operation: Operation, before: ProjectState) -> None:
        """As a migration that ran before and was not recorded."""
        state = before.clone()
        operation.state_forwards("shop", state)
        with self.connection.schema_editor(atomic=False) as editor:
            operation.database_forwards("shop", editor, before, state)

    def unapply(self, operation: Operation, before: ProjectState) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            operation.database_backwards("shop", editor, self.state, before)
        self.state = before

    def printed(self, operation: Operation, backwards: bool = False) -> list[str]:
        """What ``sqlmigrate`` shows."""
        after = self.after(operation)
        with self.connection.schema_editor(collect_sql=True, atomic=False) as editor:
            if backwards:
                operation.database_backwards("shop", editor, after, self.state)
            else:
                operation.database_forwards("shop", editor, self.state, after)
        return list(editor.collected_sql)

    # What is there -------------------------------------------------------------------------

    def ask(self, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, params)
            return list(cursor.fetchall())

    def schema(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything of the shop that the catalogue knows, but not the order of columns."""
        if self.connection.vendor == "sqlite":
            return self._sqlite_schema()
        return {
            "columns": self.ask(
                """
                SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
                       a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE c.relname LIKE 'shop%%' AND c.relkind = 'r'
                  AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2, 3
                """
            ),
            "indexes": self.ask(
                """
                SELECT pg_get_indexdef(i.indexrelid), i.indisvalid
                FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
                WHERE c.relname LIKE 'shop%%' ORDER BY 1
                """
            ),
            "constraints": self.ask(
                """
                SELECT c.relname::text, k.conname::text, pg_get_constraintdef(k.oid), k.convalidated
                FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                WHERE c.relname LIKE 'shop%%' AND k.contype <> 'n' ORDER BY 1, 2
                """
            ),
            "triggers": self.ask(
                """
                SELECT pg_get_triggerdef(t.oid)
                FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                WHERE c.relname LIKE 'shop%%' AND NOT t.tgisinternal ORDER BY 1
                """
            ),
            "functions": self.ask(
                "SELECT pg_get_functiondef(oid) FROM pg_proc "
                "WHERE pronamespace::regnamespace::text NOT IN "
                "('pg_catalog', 'information_schema') ORDER BY 1"
            ),
        }

    def _sqlite_schema(self) -> dict[str, list[tuple[Any, ...]]]:
        found: dict[str, list[tuple[Any, ...]]] = {"columns": [], "indexes": []}
        tables = self.ask(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'shop%' ORDER BY 1"
        )
        for (table,) in tables:
            columns = self.ask(f"PRAGMA table_info('{table}')")
            found["columns"] += sorted((table, *column[1:]) for column in columns)
            with self.connection.cursor() as cursor:
                constraints = self.connection.introspection.get_constraints(cursor, table)
            found["indexes"] += sorted(
                (table, str(c["columns"]), c["unique"], c["index"]) for c in constraints.values()
            )
        return found

    def data(self) -> dict[str, list[tuple[Any, ...]]]:
        tables = self.connection.introspection.table_names()
        rows = {}
        for table in sorted(t for t in tables if t.startswith("shop")):
            with self.connection.cursor() as cursor:
                description = self.connection.introspection.get_table_description(cursor, table)
            names = sorted(info.name for info in description)
            columns = ", ".join(f'"{name}"' for name in names)
            rows[table] = sorted(self.ask(f'SELECT {columns} FROM "{table}"'), key=repr)
        return rows

    @contextmanager
    def sent(self) -> Iterator[list[str]]:
        """What was sent that changes something: DDL and DML, no look-ups."""
        statements: list[str] = []

        def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            if not looks(sql):
                statements.append(" ".join(str(sql).split()))
            return execute(sql, params, many, context)

        with self.connection.execute_wrapper(note):
            yield statements

    @contextmanager
    def changes(self) -> Iterator[list[str]]:
        """What was sent that changes something, with its values: sent again, it does the same."""
        statements: list[str] = []

        def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            whole = str(self.connection.ops.compose_sql(str(sql), params) if params else sql)
            if not looks(whole) and not whole.lstrip().upper().startswith("LOCK TABLE"):
                statements.append(whole)
            return execute(sql, params, many, context)

        with self.connection.execute_wrapper(note):
            yield statements


class Killed(BaseException):
    """The process is gone: nothing of ours runs after this."""


@dataclass
class Axe:
    """Ends the run at the n-th statement that changes something, before it or after it returned."""

    connection: Any
    at: int
    after: bool
    seen: int = 0
    fallen: bool = False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self.fallen:
            # A dead process sends nothing more; what cleans up after it finds no connection.
            raise Killed
        self.seen += not looks(sql)
        if self.seen < self.at:
            return execute(sql, params, many, context)
        if self.after:
            execute(sql, params, many, context)
        self.fallen = True
        self.connection.connection.close()
        raise Killed


def killed_at(shop: Shop, operation: Operation, at: int, after: bool = False) -> bool:
    """Run ``operation`` with the axe at statement ``at``; False if it came to its end before."""
    before = shop.state
    axe = Axe(shop.connection, at, after)
    with suppress(Killed, Error), shop.connection.execute_wrapper(axe):
        shop.again(operation, before)
    if axe.fallen:
        with suppress(Error):
            shop.connection.close()
        shop.connection.connect()
    return axe.fallen
