"""
What was built beside a column's indexes and constraints, and takes their names in the end.

On a partitioned table that is done partition by partition.
Source: https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from django.db import DatabaseError

from safemigrate.backends.postgresql.belongings import (
    CHECK,
    FOREIGN_KEY,
    PRIMARY_KEY,
    Belonging,
)
from safemigrate.backends.postgresql.columns import CHECK_VIOLATION, Columns
from safemigrate.backends.postgresql.indexes import Indexes
from safemigrate.backends.postgresql.locking import sqlstate
from safemigrate.backends.postgresql.partitions import Partition
from safemigrate.backends.postgresql.tables import FOREIGN_KEY_VIOLATION
from safemigrate.facts.errors import DataInTheWay
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Model


class Carrying(Columns, Indexes):
    """
    Locks: SHARE UPDATE EXCLUSIVE while things are built and checked, ACCESS EXCLUSIVE for an
    instant to add a constraint.
    """

    def _build_index(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], thing: Belonging
    ) -> None:
        table = model._meta.db_table
        partitioned = self._is_partitioned(table)
        if partitioned and thing.kind == PRIMARY_KEY:
            for part in self._leaves(table):
                own = part.own(thing.temporary)
                words = self._of_part(thing.build, table, thing.temporary, part, own)
                self._create_index_on(editor, part.table, own, partial(str, words))
        elif partitioned and thing.use:
            # There it is made as a constraint at once: it cannot become one.
            self._add_unique_in_parts(editor, table, thing.temporary, thing.build, thing.deferrable)
        else:
            self.create_index(editor, model, thing.temporary, partial(str, thing.build))

    def _add_and_validate(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        thing: Belonging,
        others: Sequence[str],
    ) -> None:
        name = thing.temporary
        if thing.kind == FOREIGN_KEY and self._cannot_add_not_valid(table):
            statement = thing.build.removesuffix(" NOT VALID")
            try:
                self._add_foreign_key_in_parts(editor, table, name, thing.parent, statement)
            except DataInTheWay as error:
                for part, own, _ in self._foreign_key_parts(table, name, statement):
                    self._drop_broken(editor, part, own, [part, thing.parent])
                raise _broken(table, thing) from error
            return
        mode = LockMode.SHARE_ROW_EXCLUSIVE if others else LockMode.ACCESS_EXCLUSIVE
        locks = [TableLock(one, mode) for one in (table, *others)]
        validated = None if editor.collect_sql else self._constraint_is_validated(table, name)
        if validated is None:
            self._locked(editor, locks, lambda: editor.execute(thing.build, params=None))
        if validated:
            return
        try:
            self._validate(editor, table, name)
        except DatabaseError as error:
            if sqlstate(error) not in (CHECK_VIOLATION, FOREIGN_KEY_VIOLATION):
                raise
            self._drop_broken(editor, table, name, [table, *others])
            raise _broken(table, thing) from error

    def _drop_broken(
        self, editor: BaseDatabaseSchemaEditor, table: str, name: str, tables: Sequence[str]
    ) -> None:
        """Left behind, it would refuse what running code has always written."""
        drop = f"DROP CONSTRAINT IF EXISTS {self._quote(name)}"
        locks = [TableLock(one) for one in tables]
        self._locked(editor, locks, lambda: self._alter(editor, table, drop))

    # What somebody has set by hand ------------------------------------------------------------

    def _settings_of(self, table: str, column: str) -> list[str]:
        """How the planner and the disk are to treat the column, as ``ALTER COLUMN`` says it."""
        rows = self._ask(
            """
            SELECT CASE WHEN a.attstattarget >= 0
                        THEN format('SET STATISTICS %%s', a.attstattarget) END,
                   CASE WHEN a.attoptions IS NOT NULL
                        THEN format('SET (%%s)', array_to_string(a.attoptions, ', ')) END,
                   CASE WHEN a.attstorage <> t.typstorage THEN 'SET STORAGE '
                        || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                             WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
                   CASE a.attcompression WHEN 'p' THEN 'SET COMPRESSION pglz'
                                         WHEN 'l' THEN 'SET COMPRESSION lz4' END
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = to_regclass(%s) AND a.attname = %s
            """,
            [self._quote(table), self._bare(column)],
        )
        return [words for row in rows for words in row if words]

    def _set_as(self, editor: BaseDatabaseSchemaEditor, table: str, column: str, like: str) -> None:
        for words in self._settings_of(table, like):
            self._alter(editor, table, f"ALTER COLUMN {self._quote(column)} {words}")

    def _marks(self, table: str, things: Sequence[Belonging]) -> list[str]:
        """
        What the table says of these indexes, which it forgets with them.

        Without its replica identity a published table refuses every UPDATE and DELETE.
        """
        names = {self._bare(thing.stands or thing.name): thing.name for thing in things}
        rows = self._ask(
            """
            SELECT c.relname::text, i.indisreplident, i.indisclustered
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(%s) AND c.relname = ANY (%s)
            """,
            [self._quote(table), [*names]],
        )
        marks = []
        for found, identifies, clusters in rows:
            index = self._quote(names[found])
            marks += [f"REPLICA IDENTITY USING INDEX {index}"] if identifies else []
            marks += [f"CLUSTER ON {index}"] if clusters else []
        return marks

    # A primary key of partitions -------------------------------------------------------------

    def _leaves(self, table: str) -> list[Partition]:
        return [part for part in self._partitions(table) if part.kind != "p"]

    def _keys_are_built(self, table: str, things: Sequence[Belonging]) -> bool:
        """Whether every partition has the index for its key: there may be new ones by now."""
        if not self._is_partitioned(table):
            return True
        keys = [thing.temporary for thing in things if thing.kind == PRIMARY_KEY]
        names = self._names_in_parts(table)
        return all(
            names[part.oid].get(self._bare(part.own(key)))
            for key in keys
            for part in self._leaves(table)
        )

    def _names_in_parts(self, table: str) -> dict[int, dict[str, bool]]:
        """By oid of each part, its indexes and constraints, and whether they are valid."""
        rows = self._ask(
            """
            WITH parts AS (SELECT relid FROM pg_partition_tree(to_regclass(%s)))
            SELECT p.relid::bigint, c.relname::text, i.indisvalid AND i.indisready
            FROM parts p LEFT JOIN pg_index i ON i.indrelid = p.relid
            LEFT JOIN pg_class c ON c.oid = i.indexrelid
            UNION ALL
            SELECT conrelid::bigint, conname::text, convalidated
            FROM pg_constraint WHERE conrelid IN (SELECT relid FROM parts)
            """,
            [self._regclass(table)],
        )
        found: dict[int, dict[str, bool]] = {}
        for oid, name, valid in rows:
            found.setdefault(oid, {})[name] = valid
        return found

    def _key_names(self, table: str) -> dict[int, str]:
        """By the oid of each part, what its primary key is called."""
        rows = self._ask(
            "SELECT conrelid::bigint, conname::text FROM pg_constraint WHERE contype = 'p' "
            "AND conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass(%s)))",
            [self._regclass(table)],
        )
        return {part: self._printed.name(name) for part, name in rows}

    def _give_key(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        thing: Belonging,
        was: Mapping[int, str],
    ) -> None:
        """``was``: the names of the keys before they were dropped."""
        parts = self._partitions(table)
        names = {part.oid: was.get(part.oid, part.own("pkey")) for part in parts}
        statements = []
        for part in parts:
            only, words = "ONLY ", thing.use
            if part.kind != "p":
                own = self._quote(part.own(thing.temporary))
                only, words = "", f"PRIMARY KEY USING INDEX {own}"
            statements.append(
                f"ALTER TABLE {only}{self._quote(part.table)} "
                f"ADD CONSTRAINT {self._quote(names[part.oid])} {words}"
            )
        # In one journey: the whole table stands meanwhile.
        statements += self._attaching(parts, names)
        editor.execute("; ".join(statements), params=None)

    # Names ---------------------------------------------------------------------------------

    def _give_name(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        thing: Belonging,
        keys: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """``keys``: of a partitioned table, how its primary keys were called."""
        partitioned = self._is_partitioned(table)
        if partitioned and thing.kind == PRIMARY_KEY:
            self._give_key(editor, table, thing, keys)
            return
        if thing.use and not partitioned:
            self._alter(editor, table, thing.use)
            return
        if thing.is_index and not thing.use:
            where = self._beside(editor, table, thing.temporary)
            rename = f"ALTER INDEX {where} RENAME TO {self._quote(thing.name)}"
            editor.execute(rename, params=None)
        else:
            self._rename_constraint(editor, table, thing.temporary, thing.name)
        if partitioned and (statements := list(self._renaming_in_parts(editor, table, thing))):
            # In one journey: the whole table stands meanwhile.
            editor.execute("; ".join(statements), params=None)

    def _renaming_in_parts(
        self, editor: BaseDatabaseSchemaEditor, table: str, thing: Belonging
    ) -> Iterator[str]:
        there = self._names_in_parts(table)
        for part in self._partitions(table)[1:]:
            names = [(part.own(thing.temporary), part.own(thing.name))]
            if thing.kind == FOREIGN_KEY:
                # The server gives the parts that it makes by itself the name of the whole.
                names.append((thing.temporary, thing.name))
            for old, new in names:
                if editor.collect_sql:
                    stands = self._will_be_in_part(table, thing, part, old)
                else:
                    stands = self._bare(old) in there[part.oid]
                if old == new or not stands:
                    continue
                if thing.is_index and not thing.use:
                    where = f"{part.schema}.{self._quote(old)}"
                    yield f"ALTER INDEX {where} RENAME TO {self._quote(new)}"
                else:
                    change = f"RENAME CONSTRAINT {self._quote(old)} TO {self._quote(new)}"
                    yield f"ALTER TABLE {self._quote(part.table)} {change}"

    def _will_be_in_part(self, table: str, thing: Belonging, part: Partition, name: str) -> bool:
        """Whether the part will have it: what sqlmigrate asks before any of it is built."""
        if thing.kind == CHECK:
            return False  # renamed with the whole
        by_itself = thing.kind == FOREIGN_KEY and (
            part.kind == "p" or not self._cannot_add_not_valid(table)
        )
        return name == (thing.temporary if by_itself else part.own(thing.temporary))


def _broken(table: str, thing: Belonging) -> DataInTheWay:
    return DataInTheWay(
        f"Rows of {table} break its constraint {thing.name or thing.temporary}.",
        changed="The column keeps its type.",
        do=f"Correct them, then run the same command again: {thing.build}",
    )
