"""
Indexes of partitioned tables, which know no CONCURRENTLY: partition by partition.

Source: https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from django.db import DatabaseError
from django.db.backends.utils import split_identifier

from safemigrate.backends.base import IndexState
from safemigrate.backends.names import fitting
from safemigrate.backends.postgresql.locking import Locking, sqlstate
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement

NOT_SUPPORTED = "0A000"


@dataclass(frozen=True)
class Partition:
    """
    One table of a partitioned one, or that itself.

    ``parent``: the oid of what it is a partition of. ``kind``: as ``pg_class.relkind``.
    ``schema``: quoted. ``table`` and ``bare``: as sqlmigrate has printed them by now.
    """

    oid: int
    parent: int | None
    kind: str
    table: str
    bare: str
    schema: str

    def own(self, name: str) -> str:
        """How its part of the index or constraint ``name`` is called."""
        return fitting(f"{self.bare}_{name}".replace('"', ""))


class Partitions(Locking):
    """
    Locks: SHARE on the partitioned table and ACCESS EXCLUSIVE on one partition after the other,
    each for an instant; SHARE UPDATE EXCLUSIVE on a partition while its index is built.
    """

    @abc.abstractmethod
    def _create_index_on(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        name: str,
        build: Callable[[], Statement | str],
    ) -> None: ...

    @abc.abstractmethod
    def _drop_index_on(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None: ...

    def _is_partitioned(self, table: str) -> bool:
        rows = self._ask(
            "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)",
            [self._regclass(table)],
        )
        return bool(rows and rows[0][0])

    def _partitions(self, table: str) -> list[Partition]:
        """The table itself, then what it consists of, from the top."""
        rows = self._ask(
            """
            SELECT t.relid::bigint, t.parentrelid::oid::bigint, c.relkind::text,
                   CASE WHEN pg_table_is_visible(c.oid) THEN ''
                        ELSE replace(n.nspname, '"', '""') || '"."' END
                   || replace(c.relname, '"', '""'), c.relname::text, quote_ident(n.nspname)
            FROM pg_partition_tree(to_regclass(%s)) t
            JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
            ORDER BY t.level, 4
            """,
            [self._regclass(table)],
        )
        found = [self._by_now(Partition(*row)) for row in rows]
        for part in found:
            if part.kind == "f":
                raise PlanRefused(
                    f"{part.table}, a partition of {table}, is a foreign table, which can have "
                    "neither indexes nor such constraints.",
                    do="Detach it, or change the other partitions by hand.",
                )
        return found

    def _by_now(self, part: Partition) -> Partition:
        table = self._printed.table(part.table)
        if table == part.table:
            return part
        return replace(part, table=table, bare=self._bare(split_identifier(table)[1]))

    # Indexes -------------------------------------------------------------------------------

    def _create_index_in_parts(
        self, editor: BaseDatabaseSchemaEditor, table: str, name: str, words: str
    ) -> None:
        """``words``: CREATE INDEX CONCURRENTLY for the whole table, as for one in one piece."""
        if editor.collect_sql:
            self._print_index_in_parts(editor, table, name, words)
            return
        if self.index_state(table, name) is IndexState.ABSENT:
            with self._key_is_in(table, name):
                only = self._for_only(words, table)
                self.patiently(
                    [TableLock(table, LockMode.SHARE)], lambda: editor.execute(only, params=None)
                )
        try:
            while missing := self._without_part(table, name):
                for part in missing:
                    with self._key_is_in(part.table, name):
                        self._create_part(editor, table, part, name)
        except (DataInTheWay, PlanRefused):
            # Parts that are done would refuse rows that the others take.
            self._drop_index_in_parts(editor, table, name)
            raise

    def _print_index_in_parts(
        self, editor: BaseDatabaseSchemaEditor, table: str, name: str, words: str
    ) -> None:
        """The same for the partitions that there are while sqlmigrate runs."""

        def made_of(part_table: str, statement: str) -> None:
            only = self._for_only(statement, part_table)
            locks = [TableLock(part_table, LockMode.SHARE)]
            self._locked(editor, locks, partial(editor.execute, only, params=None))

        made_of(table, words)
        root, *parts = self._partitions(table)
        names = {root.oid: name, **{part.oid: part.own(name) for part in parts}}
        attaching = zip(parts, self._attaching([root, *parts], names), strict=True)
        for part, attach in sorted(attaching, key=lambda pair: pair[0].kind != "p"):
            own = self._of_part(words, table, name, part, part.own(name))
            if part.kind == "p":
                made_of(part.table, own)
            else:
                self._create_index_on(editor, part.table, part.own(name), partial(str, own))
            locks = [TableLock(part.table)]
            self._locked(editor, locks, partial(editor.execute, attach, params=None))

    def _for_only(self, words: str, table: str) -> str:
        """The statement for the partitioned table alone: INVALID until every part is attached."""
        here = f" ON {self._quote(table)}"
        return words.replace(" CONCURRENTLY ", " ", 1).replace(here, here.replace("ON", "ON ONLY"))

    def _create_part(
        self, editor: BaseDatabaseSchemaEditor, table: str, part: Partition, name: str
    ) -> None:
        own = part.own(name)
        unique, definition = self._definition(table, name)
        where = f"{self._quote(own)} ON {{}}{self._quote(part.table)} {definition}"
        if part.kind == "p":
            if self.index_state(part.table, own) is IndexState.ABSENT:
                words = f"CREATE {unique}INDEX {where.format('ONLY ')}"
                self.patiently(
                    [TableLock(part.table, LockMode.SHARE)],
                    lambda: editor.execute(words, params=None),
                )
        else:
            concurrently = f"CREATE {unique}INDEX CONCURRENTLY {where.format('')}"
            self._create_index_on(editor, part.table, own, lambda: concurrently)
        self._attach(editor, self._index_parts(table, name)[part.parent or 0], part, own)

    def _attach(
        self, editor: BaseDatabaseSchemaEditor, parent_index: str, part: Partition, own: str
    ) -> None:
        # It locks the part's index ACCESS EXCLUSIVE, and whoever plans a query on the partition
        # has that index locked: with the table's own lock there is nobody.
        index = self._beside(editor, part.table, own)
        attach = f"ALTER INDEX {parent_index} ATTACH PARTITION {index}"
        self.patiently([TableLock(part.table)], lambda: editor.execute(attach, params=None))

    def _definition(self, table: str, name: str) -> tuple[str, str]:
        """``("UNIQUE ", "USING btree (a, b) WHERE …")`` of an index, in the server's words."""
        rows = self._ask(
            """
            SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, regexp_replace(
                pg_get_indexdef(i.indexrelid),
                '^CREATE (UNIQUE )?INDEX ("([^"]|"")+"|[^" ]+) ON ONLY '
                '(("([^"]|"")+"|[^". ]+)\\.)?("([^"]|"")+"|[^". ]+) ', '')
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(%s) AND c.relname = %s
            """,
            [self._regclass(table), self._bare(name)],
        )
        return rows[0][0], rows[0][1]

    def _index_parts(self, table: str, name: str) -> Mapping[int, str]:
        """The partitions that have their part of the index attached, and how it is called."""
        rows = self._ask(
            """
            SELECT p.indrelid::bigint, t.relid::regclass::text
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            CROSS JOIN pg_partition_tree(i.indexrelid) t
            JOIN pg_index p ON p.indexrelid = t.relid
            WHERE i.indrelid = to_regclass(%s) AND c.relname = %s
            """,
            [self._regclass(table), self._bare(name)],
        )
        return dict(rows)

    def _without_part(self, table: str, name: str) -> list[Partition]:
        """
        Those that are partitioned themselves first: they may lack a column of the index.

        Asked again and again: there may be new ones by now.
        """
        there = self._index_parts(table, name)
        missing = [part for part in self._partitions(table) if part.oid not in there]
        return sorted(missing, key=lambda part: part.kind != "p")

    def _drop_index_in_parts(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
        if editor.collect_sql or self.index_state(table, name) is not IndexState.ABSENT:
            drop = f"DROP INDEX {self._beside(editor, table, name)}"
            self._locked(editor, [TableLock(table)], lambda: editor.execute(drop, params=None))
        if editor.collect_sql:
            return
        for part in self._partitions(table)[1:]:
            # What was built and not attached yet.
            own = part.own(name)
            if self._constraint_is_validated(part.table, own) is None:
                self._drop_index_on(editor, part.table, own)
                continue
            drop = f"ALTER TABLE {self._quote(part.table)} DROP CONSTRAINT {self._quote(own)}"
            self.patiently(
                [TableLock(part.table)],
                partial(editor.execute, drop, params=None),
            )

    @contextmanager
    def _key_is_in(self, table: str, name: str) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if sqlstate(error) != NOT_SUPPORTED:
                raise
            key = self._ask("SELECT pg_get_partkeydef(to_regclass(%s))", [self._regclass(table)])
            raise PlanRefused(
                f"{name} cannot be unique on {table}, which is partitioned by {key[0][0]}: what is "
                "unique on a partitioned table must include the columns of that key.",
                do="Add them to the constraint, or make it unique within each partition by hand.",
            ) from error

    # Foreign keys --------------------------------------------------------------------------

    def _cannot_add_not_valid(self, table: str) -> bool:
        """Whether a foreign key of this table must be valid at once: partitioned, before 18."""
        return self.connection.get_database_version() < (18,) and self._is_partitioned(table)

    def _foreign_key_parts(
        self, table: str, name: str, statement: str
    ) -> Iterator[tuple[str, str, str]]:
        """``(partition, constraint, statement)`` of each partition that holds rows."""
        head = f"ALTER TABLE {self._quote(table)} ADD CONSTRAINT {self._quote(name)} "
        for part in self._partitions(table):
            if part.kind != "p":
                own = part.own(name)
                its = f"ALTER TABLE {self._quote(part.table)} ADD CONSTRAINT {self._quote(own)} "
                yield part.table, own, statement.replace(head, its, 1)

    # Constraints ---------------------------------------------------------------------------

    def _add_unique_in_parts(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        name: str,
        words: str,
        deferrable: str = "",
    ) -> None:
        """
        The constraint on each partition first; then, in one transaction, the one above them.

        ``words``: CREATE UNIQUE INDEX CONCURRENTLY for the whole table.
        """
        if not editor.collect_sql and self._constraint_is_validated(table, name) is not None:
            return
        for part in self._partitions(table):
            if part.kind == "p":
                self._try_key(editor, part.table, name, self._of_part(words, table, name, part))
        if editor.collect_sql:
            self._print_unique_in_parts(editor, table, name, words, deferrable)
            return
        try:
            while not self._completed(editor, table, name, words, deferrable):
                for part in self._partitions(table):
                    if part.kind != "p":
                        self._add_unique_part(editor, table, part, name, words, deferrable)
        except DataInTheWay:
            self._drop_index_in_parts(editor, table, name)
            raise

    def _print_unique_in_parts(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        name: str,
        words: str,
        deferrable: str,
    ) -> None:
        """The same for the partitions that there are while sqlmigrate runs."""
        parts = self._partitions(table)
        for part in parts:
            if part.kind != "p":
                self._add_unique_part(editor, table, part, name, words, deferrable)
        says = self._unique_words([], table, name, words, deferrable)
        self._locked(editor, [TableLock(table)], lambda: self._complete(editor, parts, name, says))

    def _of_part(
        self, words: str, table: str, name: str, part: Partition, own: str | None = None
    ) -> str:
        """CREATE INDEX on the partition instead of the whole."""
        return words.replace(
            f"{self._quote(name)} ON {self._quote(table)}",
            f"{self._quote(own or name)} ON {self._quote(part.table)}",
            1,
        )

    def _try_key(self, editor: BaseDatabaseSchemaEditor, table: str, name: str, words: str) -> None:
        """Hear now, not after the builds, if the partition key is missing."""

        def make_and_drop() -> None:
            editor.execute(self._for_only(words, table), params=None)
            editor.execute(f"DROP INDEX {self._beside(editor, table, name)}", params=None)

        with self._key_is_in(table, name):
            self._locked(editor, [TableLock(table)], make_and_drop)

    def _add_unique_part(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        part: Partition,
        name: str,
        words: str,
        deferrable: str,
    ) -> None:
        own = part.own(name)
        if self._constraint_is_validated(part.table, own) is not None:
            return
        own_words = self._of_part(words, table, name, part, own)
        self._create_index_on(editor, part.table, own, lambda: own_words)
        use = (
            f"ALTER TABLE {self._quote(part.table)} ADD CONSTRAINT {self._quote(own)} "
            f"UNIQUE USING INDEX {self._quote(own)}{deferrable}"
        )
        self._locked(editor, [TableLock(part.table)], lambda: editor.execute(use, params=None))

    def _completed(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        name: str,
        words: str,
        deferrable: str,
    ) -> bool:
        """Whether every partition had its part; then the whole is there now."""

        def complete() -> bool:
            parts = self._partitions(table)
            leaves = [part for part in parts if part.kind != "p"]
            if any(
                self._constraint_is_validated(leaf.table, leaf.own(name)) is None for leaf in leaves
            ):
                return False
            says = self._unique_words(leaves, table, name, words, deferrable)
            self._complete(editor, parts, name, says)
            return True

        return self.patiently([TableLock(table)], complete)

    def _complete(
        self, editor: BaseDatabaseSchemaEditor, parts: Sequence[Partition], name: str, says: str
    ) -> None:
        """``parts``: the table itself first."""
        names = {part.oid: part.own(name) for part in parts} | {parts[0].oid: name}
        add = [
            f"ALTER TABLE ONLY {self._quote(above.table)} "
            f"ADD CONSTRAINT {self._quote(names[above.oid])} {says}"
            for above in parts
            if above.kind == "p"
        ]
        # In one journey: the whole table stands meanwhile.
        editor.execute("; ".join([*add, *self._attaching(parts, names)]), params=None)

    def _attaching(self, parts: Sequence[Partition], names: Mapping[int, str]) -> Iterator[str]:
        """``parts``: the table itself first; ``names``: by oid, of the index of each."""
        where = {part.oid: f"{part.schema}.{self._quote(names[part.oid])}" for part in parts}
        for part in parts[1:]:
            yield f"ALTER INDEX {where[part.parent or 0]} ATTACH PARTITION {where[part.oid]}"

    def _rename_constraint(
        self, editor: BaseDatabaseSchemaEditor, table: str, old: str, new: str
    ) -> None:
        if old != new:
            names = f"{self._quote(old)} TO {self._quote(new)}"
            rename = f"ALTER TABLE {self._quote(table)} RENAME CONSTRAINT {names}"
            editor.execute(rename, params=None)

    def _unique_words(
        self, leaves: list[Partition], table: str, name: str, words: str, deferrable: str
    ) -> str:
        """``UNIQUE (a, b) …`` as the server says it of a partition."""
        if not leaves:
            says = words.partition(f"{self._quote(name)} ON {self._quote(table)} ")[2]
            # An index says it after its columns, a constraint before them.
            nulls = " NULLS NOT DISTINCT" if says.endswith(" NULLS NOT DISTINCT") else ""
            return f"UNIQUE{nulls} {says.removesuffix(nulls)}{deferrable}"
        rows = self._ask(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = to_regclass(%s) AND conname = %s",
            [self._regclass(leaves[0].table), self._bare(leaves[0].own(name))],
        )
        return str(rows[0][0])
