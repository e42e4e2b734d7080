"""What belongs to a column: its indexes and constraints, as the models say and as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from django.db.models import CheckConstraint, UniqueConstraint

from safemigrate.backends.fields import column_of, parent_of
from safemigrate.backends.names import PREFIX, own_name
from safemigrate.backends.postgresql.catalog import TWO_OF_A_TRIGGER
from safemigrate.backends.postgresql.partitions import Partitions
from safemigrate.backends.postgresql.syncing import ON_UPDATE
from safemigrate.backends.statements import (
    foreign_key_of,
    index_of,
    like_index_of,
    name_of,
    unique_of,
)
from safemigrate.facts.errors import PlanRefused

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import Model

    from safemigrate.backends.together import Shadow

STANDS_IN = "safemigrate: the names of "
"""How the comment begins of a view that has the old names of a table."""
INDEX, UNIQUE, CHECK, FOREIGN_KEY, PRIMARY_KEY = "index", "unique", "check", "foreign key", "pk"
OF_A_FIELD = re.compile(r"_check\d*$")


@dataclass(frozen=True)
class Belonging:
    """
    An index or constraint that the models ask for.

    ``build`` makes it, or the index that it will use, while writes go on; under ``name``, which
    it has at last, or under ``temporary`` beside the one that is in use. ``use``: how a built
    index becomes the constraint, which may be ``deferrable``; ``parent``: the table that a foreign
    key refers to; ``stands``: what it takes the place of is called so, if not ``name``.
    """

    kind: str
    name: str
    temporary: str
    build: str
    use: str = ""
    parent: str = ""
    deferrable: str = ""
    stands: str = ""

    @property
    def is_index(self) -> bool:
        """Whether it is an index until the swap."""
        return self.kind in (INDEX, UNIQUE, PRIMARY_KEY)


class Belongings(Partitions):
    """Nothing here changes anything."""

    def _belongings(
        self, editor: BaseDatabaseSchemaEditor, final: type[Model], beside: type[Model]
    ) -> list[Belonging]:
        """
        What must be built because some fields of ``beside`` have another column than in ``final``.

        Django's own statements for both are compared: whatever differs is about such a column,
        be it in a condition or an expression.
        """
        pairs = zip(self._declared(editor, final), self._declared(editor, beside), strict=True)
        things = [
            self._belonging(editor, final, kind, one, other)
            for (kind, one), (_, other) in pairs
            if str(one) != str(other)
        ]
        table = final._meta.db_table
        if not self._is_partitioned(table):
            return things
        both = (model._meta.local_concrete_fields for model in (final, beside))
        names = {
            self._bare(column_of(one)): self._bare(column_of(other))
            for one, other in zip(*both, strict=True)
        }
        known = [thing for thing in things if thing.kind != PRIMARY_KEY]
        return [*known, *self._key_of_parts(table, names)]

    def _key_of_parts(self, table: str, beside: Mapping[str, str]) -> Iterator[Belonging]:
        """The primary key as it is: it has what the table is partitioned by, unlike the model's."""
        rows = self._ask(
            """
            SELECT o.conname::text, a.attname::text
            FROM pg_constraint o
            CROSS JOIN LATERAL unnest(o.conkey) WITH ORDINALITY k (number, place)
            JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.number
            WHERE o.conrelid = to_regclass(%s) AND o.contype = 'p' ORDER BY k.place
            """,
            [self._regclass(table)],
        )
        columns = [column for _, column in rows]
        built = [beside.get(column, column) for column in columns]
        if built == columns:
            return
        name = self._printed.name(rows[0][0])
        temporary = own_name("shadow", table, name)
        final, other = (", ".join(map(self._quote, names)) for names in (columns, built))
        build = (
            f"CREATE UNIQUE INDEX CONCURRENTLY {self._quote(temporary)} "
            f"ON {self._quote(table)} ({other})"
        )
        yield Belonging(PRIMARY_KEY, name, temporary, build, f"PRIMARY KEY ({final})")

    def _declared(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model]
    ) -> Iterator[tuple[str, Statement]]:
        for field in model._meta.local_concrete_fields:
            if field.primary_key:
                yield PRIMARY_KEY, _primary_key_of(editor, model)
            elif field.unique:
                yield UNIQUE, unique_of(editor, model, field)
            for index in (
                index_of(editor, model, field, concurrently=True),
                like_index_of(editor, model, field),
            ):
                if index is not None:
                    yield INDEX, index
            if check := field.db_check(self.connection):
                yield CHECK, self._field_check(editor, model, column_of(field), check)
            if parent_of(field):
                yield FOREIGN_KEY, foreign_key_of(editor, model, field)
        yield from self._declared_by_meta(editor, model)

    def _declared_by_meta(self, editor: Any, model: type[Model]) -> Iterator[tuple[str, Statement]]:
        if len(model._meta.pk_fields) > 1:
            yield PRIMARY_KEY, _primary_key_of(editor, model)
        for names in model._meta.unique_together:
            fields = [_field(model, name) for name in names]
            yield UNIQUE, editor._create_unique_sql(model, fields)
        for index in model._meta.indexes:
            yield INDEX, index.create_sql(model, editor, concurrently=True)
        for constraint in model._meta.constraints:
            kind = {UniqueConstraint: UNIQUE, CheckConstraint: CHECK}.get(type(constraint))
            statement: Any = constraint.create_sql(model, editor) if kind else None
            if kind and statement:
                yield kind, statement

    def _field_check(self, editor: Any, model: type[Model], column: str, check: str) -> Statement:
        """As PostgreSQL names it in CREATE TABLE."""
        table = model._meta.db_table.rpartition('"."')[2]
        name = f"{table}_{column}_check"
        if len(name.encode()) > 63:
            name = editor._create_index_name(model._meta.db_table, [column], suffix="_check")
        statement: Statement = editor._create_check_sql(model, name, check)
        return statement

    def _belonging(
        self, editor: Any, final: type[Model], kind: str, one: Any, other: Any, before: Any = None
    ) -> Belonging:
        """``before``: what it takes the place of, if that is not the one of its name."""
        table = final._meta.db_table
        stands = self._name_standing(table, kind, before) if before else ""
        columns = str(one.parts.get("columns", ""))
        name = self._standing_name(table, kind, name_of(one), columns)
        # While one change of the table waits for its contract, another may be under way.
        temporary = own_name("shadow", table, name, *_identifiers(str(other)))
        other.parts["name"] = self._quote(temporary)
        if kind in (CHECK, FOREIGN_KEY):
            # to_table is a reference of Django's that prints itself quoted.
            parent = str(other.parts.get("to_table", "")).strip('"')
            if kind == FOREIGN_KEY and not other.parts.get("on_delete_db"):
                column = str((before or one).parts["column"]).strip('"')
                other.parts["deferrable"] = (
                    f"{self._actions_of(table, column)}{other.parts['deferrable']}"
                )
            return Belonging(kind, name, temporary, f"{other} NOT VALID", parent=parent)
        if kind == INDEX or other.template != editor.sql_create_unique:
            if kind == UNIQUE:
                # Not a constraint but an index: it has a condition, expressions or INCLUDE.
                other.template = _concurrently(other.template)
                kind = INDEX
            return Belonging(kind, name, temporary, str(other), stands=stands)
        return replace(self._by_index(editor, table, kind, name, temporary, other), stands=stands)

    def _by_index(
        self, editor: Any, table: str, kind: str, name: str, temporary: str, other: Any
    ) -> Belonging:
        nulls = str(other.parts.get("nulls_distinct") or "")
        build = (
            f"CREATE UNIQUE INDEX CONCURRENTLY {self._quote(temporary)} "
            f"ON {self._quote(table)} ({other.parts['columns']}){nulls}"
        )
        words = "PRIMARY KEY" if kind == PRIMARY_KEY else "UNIQUE"
        deferrable = str(other.parts.get("deferrable") or "")
        use = (
            f"ADD CONSTRAINT {self._quote(name)} {words} USING INDEX {self._quote(temporary)}"
            f"{deferrable}"
        )
        return Belonging(kind, name, temporary, build, use, deferrable=deferrable)

    def _standing_name(self, table: str, kind: str, name: str, columns: str) -> str:
        """What a constraint on just these columns is called now; PostgreSQL may have named it."""
        letter = {UNIQUE: "u", PRIMARY_KEY: "p"}.get(kind)
        if letter is None or self._constraint_is_validated(table, name) is not None:
            return name
        wanted = sorted(_columns(columns))
        rows = self._ask(
            """
            SELECT c.conname FROM pg_constraint c
            WHERE c.conrelid = to_regclass(%s) AND c.contype = %s AND %s = (
                SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
                FROM pg_attribute a
                WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey))
            """,
            [self._regclass(table), letter, wanted],
        )
        return self._printed.name(rows[0][0]) if rows else name

    def _name_standing(self, table: str, kind: str, statement: Any) -> str:
        columns = str(statement.parts.get("columns", ""))
        return self._standing_name(table, kind, name_of(statement), columns)

    def _actions_of(self, table: str, column: str) -> str:
        """
        What the server does, by somebody's hand, where a row that is referred to goes or changes.

        Code may leave it to that, with DO_NOTHING.
        """
        rows = self._ask(
            """
            SELECT string_agg(format(' ON %%s %%s', event, does), '' ORDER BY event)
            FROM pg_constraint c
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
            CROSS JOIN LATERAL (
                VALUES ('DELETE', c.confdeltype::text), ('UPDATE', c.confupdtype::text)
            ) e (event, letter)
            JOIN (VALUES ('c', 'CASCADE'), ('n', 'SET NULL'), ('d', 'SET DEFAULT'),
                         ('r', 'RESTRICT')) w (letter, does) USING (letter)
            WHERE c.conrelid = to_regclass(%s) AND a.attname = %s AND c.contype = 'f'
            GROUP BY c.oid LIMIT 1
            """,
            [self._quote(table), column],
        )
        return str(rows[0][0]) if rows else ""

    # What is there -------------------------------------------------------------------------

    def refuse_strangers(
        self,
        shadows: Sequence[Shadow],
        together: Sequence[Shadow],
        editor: BaseDatabaseSchemaEditor,
    ) -> None:
        """
        Raise PlanRefused for what hangs on these columns and the models do not know.

        It would stay with the old column, and be lost or stand in the way when that one goes.
        """
        own = {(shadow.table, column_of(shadow.old)) for shadow in together}
        for shadow in shadows:
            column = column_of(shadow.old)
            renamed = column != column_of(shadow.new)
            parts = self._refuse_special_table(shadow.table, column, renamed)
            known = self._known(editor, shadow.old.model) | self._indexed(editor, shadow)
            hanging = (
                (table, *found)
                for table in (shadow.table, *parts)
                for found in self._dependents(table, column)
            )
            for table, kind, name, words, child in hanging:
                ours = name.startswith((PREFIX, f"zz_{PREFIX}"))
                if not renamed and name.startswith(f"{PREFIX}_shadow_"):
                    raise PlanRefused(
                        f"{words} rests on {table}.{column} and on a field that was renamed, which "
                        "is not done: what it was built over would be gone.",
                        do="Wait until migrate has applied the contract of that rename "
                        "(safemigrate status), then run it again.",
                    )
                if ours or child in own or self._knows(known, shadow, kind, name):
                    continue
                if child and any((child[0], twin) in own for twin in self._twins_of(*child)):
                    raise PlanRefused(
                        f"{child[0]}.{child[1]} refers to {table}.{column} and is the old column "
                        "of a renamed field, which is not done: it would keep its type.",
                        do="Wait until migrate has applied the contract of that rename "
                        "(safemigrate status), then run it again.",
                    )
                raise PlanRefused(
                    f"{words} depends on {table}.{column} and is in no model, so it would stay "
                    "behind when the column gets its new type or name.",
                    do="Drop it, or declare it in the model, then run migrate again.",
                )

    def _known(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> set[str]:
        """The names of all that the model declares, as they are or as Django would give them."""
        names: set[str] = set()
        table = model._meta.db_table
        twins = self._twins(table)
        for kind, statement in self._declared(editor, model):
            name, columns = name_of(statement), str(statement.parts.get("columns", ""))
            names.add(name)
            # While another column of it is renamed, it stands on that one's old column.
            alike = ([column, *twins.get(column, ())] for column in _columns(columns))
            for spelled in product(*alike):
                names.add(self._standing_name(table, kind, name, ",".join(spelled)))
        return names

    def _indexed(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> set[str]:
        """The indexes that are those of `db_index` or `unique`, whatever they are called."""
        model, field = shadow.old.model, shadow.old
        made = {False: index_of(editor, model, field), True: like_index_of(editor, model, field)}
        found = self._indexes_on(shadow.table, column_of(field))
        return {name for name, like in found if made[like] is not None}

    def _twins(self, table: str) -> dict[str, list[str]]:
        """``{column: [column that is kept the same]}``, by the triggers that keep them so."""
        found: dict[str, list[str]] = {}
        rows = self._ask(
            f"""
            SELECT one.attname::text, other.attname::text
            {TWO_OF_A_TRIGGER}
            WHERE t.tgrelid = to_regclass(%s) AND t.tgname LIKE %s
            """,
            [self._regclass(table), f"{ON_UPDATE}%"],
        )
        for column, twin in rows:
            found.setdefault(column, []).append(twin)
        return found

    def _twins_of(self, table: str, column: str) -> list[str]:
        return self._twins(table).get(column, [])

    def _knows(self, known: set[str], shadow: Shadow, kind: str, name: str) -> bool:
        # Django, and the server where nobody names it, end its name so.
        alone = kind == "c1" and bool(OF_A_FIELD.search(name))
        alone = alone and bool(shadow.old.db_check(self.connection))
        return name in known or alone or (kind == "f1" and parent_of(shadow.old) is not None)

    def _dependents(
        self, table: str, column: str
    ) -> list[tuple[str, str, str, tuple[str, str] | None]]:
        """
        ``[(kind, name, the server's description, (table, column) of a FK from elsewhere)]``.

        ``kind``: ``c1`` a CHECK of this column alone, ``f1`` a FK of it, else what it is.
        """
        return [
            (kind, name or "", words, (child, key) if child else None)
            for kind, name, words, child, key in self._ask(
                """
                SELECT DISTINCT
                    CASE WHEN k.conrelid = a.attrelid AND cardinality(k.conkey) = 1
                         THEN k.contype::text || '1' ELSE d.classid::regclass::text END,
                    coalesce(k.conname, c.relname, t.tgname)::text,
                    pg_describe_object(d.classid, d.objid, d.objsubid),
                    CASE WHEN k.contype = 'f' AND k.confrelid = a.attrelid
                              AND a.attnum = ANY (k.confkey)
                         THEN CASE WHEN pg_table_is_visible(r.oid) THEN r.relname::text
                                   ELSE n.nspname || '"."' || r.relname END END,
                    (SELECT attname::text FROM pg_attribute
                     WHERE attrelid = k.conrelid AND attnum = k.conkey[1])
                FROM pg_attribute a
                JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
                LEFT JOIN pg_constraint k
                    ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
                LEFT JOIN pg_class r ON r.oid = k.conrelid
                LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
                LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
                LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
                LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
                LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
                WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = %(column)s
                  -- The view of a table that is being renamed goes before the old column does.
                  AND coalesce(obj_description(w.ev_class, 'pg_class'), '') NOT LIKE %(view)s
                  AND NOT a.attisdropped AND k.contype IS DISTINCT FROM 'n'
                  AND c.relkind IS DISTINCT FROM 'S'
                  AND (f.adrelid, f.adnum) IS DISTINCT FROM (a.attrelid, a.attnum)
                  -- A partition's part of something comes and goes with the whole.
                  AND (k.conparentid <> 0 OR k.coninhcount > 0 OR t.tgparentid <> 0) IS NOT TRUE
                  AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
                UNION ALL
                SELECT 'acl', NULL, 'A privilege on the column', NULL, NULL FROM pg_attribute
                WHERE attrelid = to_regclass(%(table)s) AND attname = %(column)s
                  AND attacl IS NOT NULL
                ORDER BY 1, 2
                """,
                {
                    "table": self._regclass(table),
                    "column": self._bare(column),
                    "view": f"{STANDS_IN}%",
                },
            )
        ]

    def _standing(self, table: str, columns: Sequence[str]) -> list[tuple[str, str]]:
        """``[(kind, name)]`` of what must go before the columns can be given away, FKs first."""
        rows = self._ask(
            """
            SELECT CASE WHEN k.oid IS NULL THEN 'index' ELSE 'constraint' END,
                   coalesce(k.conname, i.relname)::text
            FROM pg_attribute a
            JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
            LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass
                AND k.oid = d.objid AND k.conrelid = a.attrelid AND k.contype <> 'n'
            LEFT JOIN pg_class i ON d.classid = 'pg_class'::regclass
                AND i.oid = d.objid AND i.relkind IN ('i', 'I')
            WHERE a.attrelid = to_regclass(%s) AND a.attname = ANY (%s)
              AND coalesce(k.oid, i.oid) IS NOT NULL
            GROUP BY 1, 2, k.contype ORDER BY k.contype IS NOT DISTINCT FROM 'f' DESC, 1, 2
            """,
            [self._regclass(table), [self._bare(column) for column in columns]],
        )
        return [(kind, self._printed.name(name)) for kind, name in rows]

    def _keys_to(self, table: str, columns: Sequence[str]) -> list[tuple[str, str]]:
        """``[(table, name)]`` of foreign keys that other tables have to these columns."""
        return self._ask(
            """
            SELECT CASE WHEN pg_table_is_visible(r.oid) THEN ''
                        ELSE replace(n.nspname, '"', '""') || '"."' END
                   || replace(r.relname, '"', '""'),
                   replace(k.conname, '"', '""')
            FROM pg_constraint k
            JOIN pg_class r ON r.oid = k.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
            WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = to_regclass(%s)
              AND k.conrelid <> k.confrelid AND EXISTS (
                  SELECT FROM pg_attribute a WHERE a.attrelid = k.confrelid
                  AND a.attnum = ANY (k.confkey) AND a.attname = ANY (%s))
            ORDER BY 1, 2
            """,
            [self._quote(table), [self._bare(column) for column in columns]],
        )

    def _refuse_special_table(self, table: str, column: str, renamed: bool) -> list[str]:
        """The partitions, or PlanRefused where the column cannot be exchanged for another one."""
        rows = self._ask(
            """
            SELECT c.relkind = 'p', EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
            FROM pg_class c WHERE c.oid = to_regclass(%s)
            """,
            [self._regclass(table)],
        )
        is_partitioned, has_children = rows[0] if rows else (False, False)
        if has_children and not is_partitioned:
            raise PlanRefused(
                f"{table} has tables that inherit from it; the type and name of its columns are "
                "not changed by safemigrate.",
                do="Add a field of the new type, copy with BatchedBackfill, remove the old one.",
            )
        if not is_partitioned:
            return []
        self._refuse_keys_of_partitions(table, column, renamed)
        return [part.table for part in self._partitions(table)[1:]]

    def _refuse_keys_of_partitions(self, table: str, column: str, renamed: bool) -> None:
        """What makes the partitions is part of the table: it keeps it whatever is exchanged."""
        rows = self._ask(
            """
            SELECT 'what it is partitioned by' FROM pg_partition_tree(to_regclass(%s)) t
            JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = %s
            WHERE EXISTS (
                SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.refclassid = d.classid
                  AND d.objid = a.attrelid AND d.objsubid = a.attnum
                  AND d.refobjid = a.attrelid AND d.refobjsubid = 0 AND d.deptype = 'i')
            UNION ALL
            SELECT 'its primary key' FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = to_regclass(%s) AND a.attname = %s AND i.indisprimary AND %s
            """,
            [*[self._regclass(table), self._bare(column)] * 2, renamed],
        )
        if rows:
            # Names are Python's own business; another type is another table.
            raise PlanRefused(
                f"{table} is partitioned, and {column} is part of {rows[0][0]}, which PostgreSQL "
                "cannot give to another column while the table is in use.",
                do=f'Rename it in the code alone, with db_column="{self._bare(column)}": unapply '
                "what is applied of this change, delete its files, run makemigrations again."
                if renamed
                else "Unapply what is applied of this change, delete its files, and keep the "
                "column. For another type give a model of its own a table that is partitioned by "
                "it; deploy code that writes both; copy the rows with "
                "BatchedBackfill(function=..., after_rollout=True); deploy code that reads the "
                "new table; remove the old model.",
            )


def _field(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name)


def _primary_key_of(editor: Any, model: type[Model]) -> Statement:
    """Django has no statement of its own for it outside of CREATE TABLE."""
    table = model._meta.db_table.rpartition('"."')[2]
    name = f"{table}_pkey"
    statement: Statement = editor._create_unique_sql(model, list(model._meta.pk_fields), name=name)
    return statement


def _identifiers(statement: str) -> list[str]:
    """In one order, whatever the words between them are in this version of Django."""
    return sorted(set(re.findall(r'"([^"]+)"', statement)))


def _columns(quoted: str) -> list[str]:
    return [part.strip().strip('"') for part in quoted.split(",")]


def _concurrently(template: str) -> str:
    return template.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1)
