"""
Another name for a column that is in use: a column beside it, kept the same, then the old one goes.

Every statement under a lock is instant: rows are only looked at while reads and writes go on.
Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.base import nothing
from safemigrate.backends.fields import column_of, variant
from safemigrate.backends.names import PREFIX
from safemigrate.backends.postgresql.belongings import CHECK, FOREIGN_KEY, Belonging
from safemigrate.backends.postgresql.catalog import left_behind
from safemigrate.backends.postgresql.shadows import Shadows
from safemigrate.backends.together import Shadow
from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model

    from safemigrate.backends.renaming import Renaming


class ColumnNames(Shadows):
    """
    Locks: ACCESS EXCLUSIVE for an instant to add and to drop, had without queueing; SHARE UPDATE
    EXCLUSIVE for the builds and checks in between.
    """

    # Adding --------------------------------------------------------------------------------

    def begin_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        if not editor.collect_sql:
            if self.has_column(renaming.table, column_of(renaming.new)):
                self._refuse_strange_column(editor, renaming)
                return
            self.refuse_old_type(renaming.table, column_of(renaming.old))
            shadow = Shadow(renaming.old, renaming.new, renaming.new, column_of(renaming.new))
            self.refuse_strangers([shadow], [shadow], editor)
        self._locked(editor, [TableLock(renaming.table)], lambda: self._begin(editor, renaming))

    def _begin(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        new, table = renaming.new, renaming.table
        says = new.db_parameters(self.connection)
        collation = says.get("collation")
        words = f" COLLATE {self._quote(collation)}" if collation else ""
        add = f"ADD COLUMN {self._quote(column_of(new))} {says['type']}{words}"
        self._alter(editor, table, add)
        self._set_as(editor, table, column_of(new), column_of(renaming.old))
        if _has_constant(new):
            # In a statement of its own: rows that are there must not have it.
            self._send_default(editor, new.model, new, new.db_default)
        if new.db_comment:
            column = f"{self._quote(table)}.{self._quote(column_of(new))}"
            self._comment(editor, f"COLUMN {column}", new.db_comment)
        self._create_sync(editor, self._sync_of(editor, renaming))

    def _refuse_strange_column(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        """Raise PlanRefused if the column that is there is not kept the same as the old one."""
        table, column = renaming.table, column_of(renaming.new)
        self._refuse_leftover(table, column, str(renaming.new.db_type(self.connection)))
        ways = (self._sync_of(editor, renaming), self._sync_of(editor, renaming.back))
        if not any(self._syncs(pair) for pair in ways):
            raise left_behind(table, column, f"which does not follow {column_of(renaming.old)}")

    def _sync_of(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> Any:
        old, new = renaming.old, renaming.new
        if not _has_constant(new):
            # The old column alone has one that differs from row to row.
            new = variant(new, db_default=NOT_PROVIDED)
        return self._pair(editor, old.model, old, new)

    # Building ------------------------------------------------------------------------------

    def complete_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        things = self._things(editor, renaming)
        new, table = renaming.new, renaming.table
        self._build_things(editor, new.model, things)
        if not new.null and self._as_found(editor, table, renaming.old)[0]:
            self.set_not_null(editor, new.model, new)
        if things and (editor.collect_sql or not self._has_statistics(table, column_of(new))):
            # Without statistics the planner would guess from the rollout on.
            with self.unhurried() if not editor.collect_sql else nothing():
                words = f"ANALYZE {self._quote(table)} ({self._quote(column_of(new))})"
                editor.execute(words, params=None)

    def _build_things(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], things: list[Belonging]
    ) -> None:
        for thing in things:
            if thing.is_index:
                self._build_index(editor, model, thing)
        for thing in things:
            if thing.kind in (CHECK, FOREIGN_KEY):
                others = [thing.parent] if thing.parent else []
                self._add_and_validate(editor, model._meta.db_table, thing, others)

    def _things(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> list[Belonging]:
        """What belongs to the column, under the names that it has from scratch on the new one."""
        old, new = renaming.old.model, renaming.new.model
        # Twice: a statement is changed when its thing is made of it.
        declared = zip(
            self._declared(editor, old),
            self._declared(editor, new),
            self._declared(editor, new),
            strict=True,
        )
        return [
            self._belonging(editor, new, kind, named, built, before)
            for (kind, before), (_, named), (_, built) in declared
            if str(before) != str(built)
        ]

    def _has_statistics(self, table: str, column: str) -> bool:
        query = (
            "SELECT 1 FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname "
            "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename "
            "WHERE c.oid = to_regclass(%s) AND s.attname = %s"
        )
        return bool(self._ask(query, [self._regclass(table), self._bare(column)]))

    # Ending --------------------------------------------------------------------------------

    def end_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        table, column = renaming.table, column_of(renaming.old)
        if not editor.collect_sql and not self.has_column(table, column):
            return
        tables = {table, *(parent for _, _, parent in self._foreign_keys(table, column))}
        things = self._things(editor, renaming)
        if not editor.collect_sql:
            lost = self._lost_with(editor, table, column, things)
            self._build_things(editor, renaming.new.model, lost)
        with self._dependents_named(f"column {table}.{column}"):
            self._locked(
                editor,
                [TableLock(name) for name in tables],
                lambda: self._end_rename(editor, renaming, things),
            )

    def _lost_with(
        self, editor: BaseDatabaseSchemaEditor, table: str, column: str, things: list[Belonging]
    ) -> list[Belonging]:
        """
        What stands on the column that goes, and was not built on the one that stays.

        Over two renamed fields, the way back of their contracts has built what belongs to one old
        column and the other's new one, but nothing over both old ones.
        """
        standing = {name for _, name, *_ in self._dependents(table, column)}
        return [
            thing
            for thing in things
            if (thing.stands or thing.name) in standing
            and not self._has_temporary_name(editor, table, thing)
        ]

    def _end_rename(
        self, editor: BaseDatabaseSchemaEditor, renaming: Renaming, things: list[Belonging]
    ) -> None:
        new, table = renaming.new, renaming.table
        for pair in (self._sync_of(editor, renaming), self._sync_of(editor, renaming.back)):
            if editor.collect_sql or self._syncs(pair):
                self._drop_sync(editor, pair)
        marks = self._marks(table, things)
        # No CASCADE: its own indexes and constraints go with it, other things are not ours.
        self._alter(editor, table, f"DROP COLUMN {self._quote(column_of(renaming.old))}")
        if new.has_db_default() and not _has_constant(new):
            self._send_default(editor, new.model, new, new.db_default)
        unseen = editor.collect_sql and not self.has_column(table, column_of(renaming.old))
        named = [t for t in things if unseen or self._has_temporary_name(editor, table, t)]
        for thing in named:
            self._give_name(editor, table, thing)
        for mark in marks:
            self._alter(editor, table, mark)
        # While sqlmigrate looks, the two columns are still twins.
        ended = {column_of(renaming.old), column_of(new)} if editor.collect_sql else set()
        if self._twins(table).keys() - ended:
            return
        given = {thing.temporary for thing in named}
        for name in self._unclaimed(table, column_of(new)):
            if name in given:
                continue
            editor.execute(f"DROP INDEX {self._beside(editor, table, name)}", params=None)

    def _unclaimed(self, table: str, column: str) -> list[str]:
        """
        Indexes that a contract's way back has built on the old column, and that it never had.

        Those of the new column are gone by now: they came in the same run as its name.
        """
        rows = self._ask(
            """
            SELECT DISTINCT c.relname::text FROM pg_attribute a
            JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.classid = d.refclassid
                AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
            JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('i', 'I')
            WHERE a.attrelid = to_regclass(%s) AND a.attname = %s AND starts_with(c.relname, %s)
            """,
            [self._regclass(table), self._bare(column), f"{PREFIX}_shadow_"],
        )
        return [name for (name,) in rows]

    def _has_temporary_name(
        self, editor: BaseDatabaseSchemaEditor, table: str, thing: Belonging
    ) -> bool:
        """Whether it still has its temporary name; on the way back it never had one."""
        if thing.is_index:
            return self.index_state(table, thing.temporary).value != "absent"
        return self._constraint_is_validated(table, thing.temporary) is not None


def _has_constant(field: Field[Any, Any]) -> bool:
    """Whether the database gives one and the same value where none is said."""
    return default_of(field).kind is DefaultKind.DATABASE_CONSTANT
