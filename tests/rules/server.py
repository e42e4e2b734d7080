"""The corpus on a real server: which tables stop, and which statements Django sends."""

from __future__ import annotations

from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.operations.base import Operation

from safemigrate.facts.locks import LockMode
from tests.rules.asking import shop

TABLES = ("shop_order", "shop_customer", "shop_shop", "kept_table")
STOPS_WRITES = {mode for mode in LockMode if LockMode.ROW_EXCLUSIVE in mode.conflicts()}
MODES = {mode.pg_locks_name: mode for mode in LockMode}
ROWS = 5000


class Server:
    """The shop's tables with rows; what is done to them is undone."""

    def __init__(self) -> None:
        self.state = shop()
        del self.state.models["shop", "seen"]  # nothing to stand for here
        del self.state.models["shop", "order"].options["index_together"]
        with connection.schema_editor() as editor:
            for name in ("customer", "shop", "order", "kept"):
                editor.create_model(self.state.apps.get_model("shop", name))
        with connection.cursor() as cursor:
            for table, columns, values in (
                ("shop_customer", "email, key", "g, gen_random_uuid()"),
                ("shop_shop", "name", "g"),
                ("kept_table", "total", "g"),
                (
                    "shop_order",
                    "total, number, note, price, customer_id, shop_id, fixed",
                    "g, g, 'x', g, g, g, g",
                ),
            ):
                cursor.execute(
                    f"INSERT INTO {table} ({columns}) "
                    f"SELECT {values} FROM generate_series(1, {ROWS}) g"
                )
            cursor.execute("CREATE INDEX old_idx ON shop_order (total)")
            cursor.execute("ALTER TABLE shop_order ADD CONSTRAINT old_check CHECK (fixed > 0)")
            cursor.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
            cursor.execute("ANALYZE")
            self.tables = {table: self._now(cursor, table) for table in TABLES}

    def _now(self, cursor, table):
        """Shape: (oid, file, pages)."""
        cursor.execute(
            "SELECT oid, relfilenode, greatest(pg_relation_size(oid) / 8192, 1) FROM pg_class "
            "WHERE oid = %s::regclass",
            [table],
        )
        return cursor.fetchone()

    def stops(self, operation: Operation) -> set[str]:
        """
        The tables that it reads or writes whole while nobody can write to them.

        Empty for what the server refuses: new rows without a value, say.
        """
        before, after = self.state.clone(), self.state.clone()
        if "old_" in str(vars(operation)):
            self._know_the_old(before, after)
        operation.state_forwards("shop", after)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                read = {table: self._read(cursor, table) for table in TABLES}
                with connection.schema_editor(atomic=False) as editor:
                    operation.database_forwards("shop", editor, before, after)
                found = self._slow(cursor, read)
                transaction.set_rollback(True)
        except IntegrityError:
            return set()
        return found

    def sent_by(self, operation: Operation) -> list[str]:
        """The statements that Django sends for it, whether the server takes them or not."""
        sent: list[str] = []

        def note(execute, sql, params, many, context):
            if "pg_catalog" not in sql and not sql.lstrip().startswith(("SELECT", "SAVEPOINT")):
                sent.append(str(sql) % tuple(map(_literal, params)) if params else str(sql))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            self.stops(operation)
        return sent

    def _know_the_old(self, *states) -> None:
        for state in states:
            options = state.models["shop", "order"].options
            options["indexes"] = [models.Index(fields=["total"], name="old_idx")]
            check = models.CheckConstraint(condition=models.Q(named__gt=0), name="old_check")
            options["constraints"] = [check]

    def _read(self, cursor, table) -> int:
        """Pages asked for so far; of transactions that are over, too."""
        sql = "SELECT pg_stat_get_xact_blocks_fetched(%s)"
        cursor.execute(sql, [self.tables[table][0]])
        return cursor.fetchone()[0]

    def _slow(self, cursor, read) -> set[str]:
        locks: dict[int, set[LockMode]] = {}
        cursor.execute(
            "SELECT relation, mode FROM pg_locks "
            "WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
        for oid, mode in cursor.fetchall():
            locks.setdefault(oid, set()).add(MODES[mode])
        found = set()
        for table, (oid, file, pages) in self.tables.items():
            cursor.execute("SELECT relfilenode FROM pg_class WHERE oid = %s", [oid])
            written = cursor.fetchone() not in ((file,), None)
            whole = written or self._read(cursor, table) - read[table] >= pages
            if whole and locks.get(oid, set()) & STOPS_WRITES:
                found.add(table)
        return found


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
