"""
What was built beside a column's indexes and constraints, and takes their names in the end.

On a partitioned table that is done partition by partition.
Source: https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from django.db import DatabaseError

from safemigrate.backends.base import IndexState
from safemigrate.backends.postgresql.belongings import FOREIGN_KEY, Belonging
from safemigrate.backends.postgresql.columns import CHECK_VIOLATION, Columns
from safemigrate.backends.postgresql.indexes import Indexes
from safemigrate.backends.postgresql.locking import sqlstate
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
        if thing.use and not editor.collect_sql and self._is_partitioned(table):
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
        if (
            not editor.collect_sql
            and thing.kind == FOREIGN_KEY
            and self._cannot_add_not_valid(table)
        ):
            statement = thing.build.removesuffix(" NOT VALID")
            self._add_foreign_key_in_parts(editor, table, name, thing.parent, statement)
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
            # Left behind, it would refuse what running code has always written.
            drop = f"DROP CONSTRAINT IF EXISTS {self._quote(name)}"
            self._locked(editor, locks, lambda: self._alter(editor, table, drop))
            raise DataInTheWay(
                f"Rows of {table} break its constraint {thing.name or name}.",
                changed="The column keeps its type.",
                do=f"Correct them, then run the same command again: {thing.build}",
            ) from error

    def _give_name(self, editor: BaseDatabaseSchemaEditor, table: str, thing: Belonging) -> None:
        partitioned = not editor.collect_sql and self._is_partitioned(table)
        if thing.use and not partitioned:
            self._alter(editor, table, thing.use)
            return
        self._rename_thing(editor, table, thing, thing.temporary, thing.name)
        for part in self._partitions(table)[1:] if partitioned else ():
            names = [(part.own(thing.temporary), part.own(thing.name))]
            if thing.kind == FOREIGN_KEY:
                # The server gives the parts that it makes by itself the name of the whole.
                names.append((thing.temporary, thing.name))
            for old, new in names:
                if self._is_called(part.table, old):
                    self._rename_thing(editor, part.table, thing, old, new)

    def _is_called(self, table: str, name: str) -> bool:
        is_index = self.index_state(table, name) is not IndexState.ABSENT
        return is_index or self._constraint_is_validated(table, name) is not None

    def _rename_thing(
        self, editor: BaseDatabaseSchemaEditor, table: str, thing: Belonging, old: str, new: str
    ) -> None:
        if thing.is_index and not thing.use:
            where = self._beside(editor, table, old)
            editor.execute(f"ALTER INDEX {where} RENAME TO {self._quote(new)}", params=None)
        else:
            self._rename_constraint(editor, table, old, new)
