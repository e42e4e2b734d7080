"""
Two rows that mean the same for a while: what is tied to the one is tied to the other.

Tied is a table that refers to them and in which its key columns say it all, such as who has which
permission. What is tied and untied by either release, in whatever way, is followed when the
transaction commits: what it leaves behind counts, not the order in which it came about.
Source: https://www.postgresql.org/docs/current/sql-createtrigger.html (CONSTRAINT)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from safemigrate.backends.names import LEAD, own_name
from safemigrate.backends.postgresql.merging import KEY_OF, Merging
from safemigrate.backends.postgresql.syncing import Syncing
from safemigrate.backends.together import Twins
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BATCH_BLOCKS = 16  # of 8 kB: some two thousand rows
# A setting of the transaction; nobody but us turns it off.
FOLLOWED = "safemigrate.ties"
# What the database makes for each row, ``a`` of pg_attribute.
MADE = """(
    a.attidentity <> '' OR a.attgenerated <> '' OR a.atthasdef AND EXISTS (
        SELECT FROM pg_index k
        WHERE k.indrelid = a.attrelid AND k.indisprimary AND a.attnum = ANY (k.indkey))
)"""
# The columns that tell the rows of a table apart. Those of an index that is partial, computed,
# deferrable or allows NULL cannot be asked for a twin.
KEYS = """
    SELECT i.indkey::int2[] FROM pg_index i
    WHERE i.indrelid = {0} AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts
      AND i.indnkeyatts > 1 AND {1} = ANY (i.indkey)
      AND (SELECT bool_and(a.attnotnull) FROM pg_attribute a
           WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
    ORDER BY i.indexrelid LIMIT 1
"""
QUOTED = """format('"%%s"."%%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""'))"""
TRIGGERS = f"""
    SELECT {QUOTED}, t.tgname::text FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgfoid = to_regprocedure(%s) ORDER BY 1, 2
"""
TIED = f"""
    SELECT {QUOTED}, f.attname::text, quote_ident(f.attname),
           (SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum <> f.attnum
              AND a.attnum = ANY (({KEYS.format("c.oid", "f.attnum")})::int2[])),
           (SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT {MADE})
    FROM pg_constraint o
    JOIN pg_class c ON c.oid = o.conrelid AND c.relkind = 'r' AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute f ON f.attrelid = c.oid AND f.attnum = o.conkey[1]
    WHERE o.contype = 'f' AND cardinality(o.conkey) = 1 AND o.confrelid = to_regclass(%(table)s)
      AND ({KEYS.format("c.oid", "f.attnum")}) IS NOT NULL
      AND NOT EXISTS (  -- a copy would break what is unique whatever the row refers to
          SELECT FROM pg_index i
          WHERE i.indrelid = c.oid AND i.indisunique AND f.attnum <> ALL (i.indkey)
            AND NOT EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND {MADE}))
    ORDER BY 1, 2
"""
BODY = f"""
DECLARE
    other CONSTANT jsonb := %(other)s;
    one %(table)s.%(key)s%%TYPE; two %(table)s.%(key)s%%TYPE;
    columns text; same text; was jsonb; twin jsonb; stays boolean;
BEGIN
    IF (other ? (to_jsonb(OLD) ->> TG_ARGV[0])) IS NOT TRUE
       AND (other ? (to_jsonb(NEW) ->> TG_ARGV[0])) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ') INTO columns FROM pg_attribute a
    WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped AND NOT {MADE};
    SELECT string_agg(format('t.%%1$I = r.%%1$I', a.attname), ' AND ') INTO same
    FROM pg_attribute a, pg_attribute f
    WHERE f.attrelid = TG_RELID AND f.attname = TG_ARGV[0] AND a.attrelid = TG_RELID
      AND a.attnum = ANY (({KEYS.format("TG_RELID", "f.attnum")})::int2[]);
    FOR was IN
        SELECT to_jsonb(OLD) WHERE TG_OP <> 'INSERT'
        UNION ALL SELECT to_jsonb(NEW) WHERE TG_OP <> 'DELETE'
    LOOP
        twin := was || jsonb_build_object(TG_ARGV[0], other -> (was ->> TG_ARGV[0]));
        one := was ->> TG_ARGV[0];
        two := twin ->> TG_ARGV[0];
        -- Who deletes one of the two means that one, not what is tied to both.
        CONTINUE WHEN same IS NULL OR 2 > (
            SELECT count(*) FROM %(table)s p WHERE p.%(key)s IN (one, two));
        EXECUTE format('SELECT EXISTS (SELECT FROM %%1$s t, '
            'jsonb_populate_record(NULL::%%1$s, $1) r WHERE %%2$s)', TG_RELID::regclass, same)
            INTO stays USING was;
        IF stays THEN
            EXECUTE format('INSERT INTO %%1$s (%%2$s) SELECT %%2$s FROM '
                'jsonb_populate_record(NULL::%%1$s, $1) ON CONFLICT DO NOTHING',
                TG_RELID::regclass, columns) USING twin;
        ELSE  -- unless this transaction has given the twin anew, be it in a savepoint
            EXECUTE format('DELETE FROM %%1$s t USING jsonb_populate_record(NULL::%%1$s, $1) r '
                'WHERE %%2$s AND CASE WHEN age(t.xmin) > 0 THEN true ELSE ''committed'' = '
                'pg_xact_status((pg_current_xact_id()::text::bigint - age(t.xmin))::text::xid8) '
                'END',
                TG_RELID::regclass, same) USING twin;
        END IF;
    END LOOP;
    RETURN NULL;
END
"""


@dataclass(frozen=True)
class Tied:
    """
    A table whose ``column`` refers to the rows.

    ``quoted``: that column as in SQL; so are ``keys``, which tell apart what refers to the same
    row, and ``copied``, the columns that the database does not fill.
    """

    table: str
    column: str
    quoted: str
    keys: Sequence[str]
    copied: Sequence[str]

    def trigger(self, names: Sequence[str]) -> str:
        """Without the table, which may get another name meanwhile."""
        return own_name("ties", self.column, *names, lead=LEAD)


class Ties(Syncing, Merging):
    """
    One function, and a deferred constraint trigger on each table that is tied, if not partitioned.

    Not where changes are replicated to: both rows come from the publisher.

    Locks: SHARE ROW EXCLUSIVE on those tables for an instant, then ROW EXCLUSIVE while what is
    there is copied, a batch of rows at a time; so it ends, with ACCESS EXCLUSIVE for an instant.
    """

    def tie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        function = self._tying(editor, twins)
        self._create_tying(editor, twins, function)
        there = self._triggers_of(function)
        for tied in self._tied(twins.table):
            trigger = tied.trigger(twins.names)
            if (tied.table, trigger) not in there:
                lock = TableLock(tied.table, LockMode.SHARE_ROW_EXCLUSIVE)
                make = partial(self._create_tie, editor, tied, trigger, function)
                self._locked(editor, [lock], make)
            self._in_batches(tied.table, partial(self._copy_ties, tied, twins))

    def untie(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> None:
        function = self._tying(editor, twins)
        untied = {
            (tied.table, tied.trigger(twins.names)): partial(self._drop_ties, tied, twins)
            for tied in self._tied(twins.table)
            if not self._referring(tied.table)
        }
        for child, trigger in self._triggers_of(function):
            drop = untied.get((child, trigger))
            if drop is not None:
                self._in_batches(child, drop)
            end = partial(self._end_tie, editor, child, trigger, drop)
            self._locked(editor, [TableLock(child)], end)
        editor.execute(f"DROP FUNCTION IF EXISTS {function}", params=None)

    def _in_batches(self, table: str, work: Callable[[str], None]) -> None:
        """
        Do ``work``, which is told which rows ``t``, in a transaction for each part of the table.

        What comes or moves meanwhile is followed, and whoever wants a row waits for one part.
        """
        size = "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int"
        ((blocks,),) = self._ask(size, [table])
        for block in range(0, blocks, BATCH_BLOCKS):
            rows = f"t.ctid >= '({block},0)' AND t.ctid < '({block + BATCH_BLOCKS},0)'"
            self.patiently([], partial(work, rows))

    @contextmanager
    def _unfollowed(self) -> Iterator[Any]:
        """What is done to both of two rows at once, so that nothing has to follow."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {FOLLOWED} = off")
            yield cursor
            cursor.execute(f"SET LOCAL {FOLLOWED} = on")

    def _tying(self, editor: BaseDatabaseSchemaEditor, twins: Twins) -> str:
        return self._beside(editor, twins.table, own_name("ties", twins.table, *twins.names)) + "()"

    def _triggers_of(self, function: str) -> list[tuple[Any, ...]]:
        """Shape: (table, trigger)."""
        return self._ask(TRIGGERS, [function])

    def _tied(self, table: str) -> list[Tied]:
        return [Tied(*row) for row in self._ask(TIED, {"table": self._regclass(table)})]

    def _create_tying(self, editor: BaseDatabaseSchemaEditor, twins: Twins, function: str) -> None:
        table = twins.table
        ((key,),) = self._ask(KEY_OF.format("to_regclass(%s)"), [self._regclass(table)])
        body = BODY % {
            "other": editor.quote_value(json.dumps(_both_ways(twins.pairs), default=str)),
            "table": self._beside(editor, table, self._bare(table)),
            "key": self._quote(key),
        }
        editor.execute(
            f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql "
            f"AS {editor.quote_value(body)}",
            params=None,
        )
        says = f"safemigrate: what refers to one of {' and '.join(twins.names)} refers to both"
        self._comment(editor, f"FUNCTION {function}", says)

    def _create_tie(
        self, editor: BaseDatabaseSchemaEditor, tied: Tied, trigger: str, function: str
    ) -> None:
        called = function.removesuffix("()") + f"({editor.quote_value(tied.column)})"
        editor.execute(
            f"CREATE CONSTRAINT TRIGGER {self._quote(trigger)} "
            f"AFTER INSERT OR UPDATE OR DELETE ON {self._quote(tied.table)} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            f"WHEN (current_setting('{FOLLOWED}', true) IS DISTINCT FROM 'off') "
            f"EXECUTE FUNCTION {called}",
            params=None,
        )

    def _copy_ties(self, tied: Tied, twins: Twins, rows: str) -> None:
        values = ["%(other)s" if name == tied.quoted else _in_sql(name) for name in tied.copied]
        table, into = _in_sql(tied.table), _in_sql(", ".join(tied.copied))
        # FOR SHARE: who takes one away meanwhile waits, and takes away both.
        words = (
            f"WITH tied AS (SELECT * FROM {table} t WHERE {_in_sql(tied.quoted)} = %(one)s "
            f"AND {rows} FOR SHARE) INSERT INTO {table} ({into}) "
            f"SELECT {', '.join(values)} FROM tied ON CONFLICT DO NOTHING"
        )
        with self._unfollowed() as cursor:
            for one, other in twins.pairs.items():
                cursor.execute(words, {"one": one, "other": other})

    def _drop_ties(self, tied: Tied, twins: Twins, rows: str) -> None:
        one, table = _in_sql(tied.quoted), _in_sql(tied.table)
        same = " AND ".join(f"r.{_in_sql(key)} = t.{_in_sql(key)}" for key in tied.keys)
        words = (
            f"DELETE FROM {table} t WHERE t.{one} = %(gone)s AND {rows} AND EXISTS ("
            f"SELECT FROM {table} r WHERE r.{one} = %(kept)s AND {same})"
        )
        with self._unfollowed() as cursor:
            for gone, kept in twins.pairs.items():
                cursor.execute(words, {"gone": gone, "kept": kept})

    def _end_tie(
        self,
        editor: BaseDatabaseSchemaEditor,
        child: str,
        trigger: str,
        drop: Callable[[str], None] | None,
    ) -> None:
        if drop is not None:
            drop("true")  # what has come since, before the table was locked
        words = f"DROP TRIGGER {self._quote(trigger)} ON {self._quote(child)}"
        editor.execute(words, params=None)


def _in_sql(name: str) -> str:
    """With parameters beside it a percent sign of a name would be one of them."""
    return name.replace("%", "%%")


def _both_ways(pairs: Mapping[Any, Any]) -> dict[str, Any]:
    """As JSON has them: a key is a text, a value is what the column holds."""
    return {str(a): b for pair in pairs.items() for a, b in (pair, pair[::-1])}
