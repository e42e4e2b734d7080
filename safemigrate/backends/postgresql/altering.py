"""A column that stays and changes: instant statements together, scans and builds apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from safemigrate.backends.base import IndexState
from safemigrate.backends.fields import column_of, deletes_itself, has_index, parent_of
from safemigrate.backends.names import own_name
from safemigrate.backends.postgresql.belongings import FOREIGN_KEY, Belonging
from safemigrate.backends.postgresql.carrying import Carrying
from safemigrate.backends.postgresql.columns import CHECK_VIOLATION, check_name, not_null_name
from safemigrate.backends.postgresql.locking import sqlstate
from safemigrate.backends.statements import (
    comment_on,
    default_sql,
    foreign_key_of,
    like_index_of,
    name_of,
    unique_of,
)
from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.facts.errors import DataInTheWay
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model


class Altering(Carrying):
    """
    Locks: ACCESS EXCLUSIVE, had without queueing, for what touches the catalogue alone.

    Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    def alter_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
        *,
        for_both: bool,
    ) -> None:
        if for_both and not editor.collect_sql and _lets_go(old, new):
            self.refuse_old_type(model._meta.db_table, column_of(old))
        instant = list(self._instant(editor, model, old, new, for_both))
        if instant:
            self._locked(
                editor,
                [TableLock(model._meta.db_table)],
                lambda: _send_all(editor, instant),
            )
        if moved := _reference(old) != _reference(new):
            self._drop_other_foreign_keys(editor, model, new)
        elif deletes_itself(old) != deletes_itself(new) and (deletes_itself(new) or not for_both):
            self.replace_foreign_key(editor, model, new)
        self._alter_indexes(editor, model, old, new)
        if for_both:
            return
        if old.null and not new.null:
            self.set_not_null(editor, model, new)
        if self._check_of(new) != self._check_of(old):
            self.add_field_check(editor, model, new)
        if moved:
            self.add_foreign_key(editor, model, new)

    def _instant(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
        for_both: bool,
    ) -> Iterator[tuple[str, Any]]:
        """The statements that are still to be sent, each an instant's work."""
        table, column = model._meta.db_table, column_of(new)
        blind = editor.collect_sql
        alter = f"ALTER TABLE {self._quote(table)} ALTER COLUMN {self._quote(column)}"
        kind = str(new.db_type(self.connection))
        changed = kind != str(old.db_type(self.connection))
        if changed and (blind or self._type(table, column) != _as_catalogued(kind)):
            yield f"{alter} TYPE {kind}", None
        if new.null and (not old.null if blind else self._found(table, column)[0]):
            yield f"{alter} DROP NOT NULL", None
        commented = blind or self._column_comment(table, column) != (new.db_comment or None)
        if old.db_comment != new.db_comment and commented:
            yield comment_on(editor, model, new), None
        if new.has_db_default():
            sql, params = default_sql(editor, new)
            if blind or not self._has_default(table, new, sql, params):
                yield f"{alter} SET DEFAULT {sql}", params or None
        elif old.has_db_default() and not for_both and (blind or self._found(table, column)[1]):
            yield f"{alter} DROP DEFAULT", None
        if self._check_of(old) and self._check_of(old) != self._check_of(new):
            for name in self._field_checks(editor, model, column):
                drop = f"DROP CONSTRAINT {self._quote(name)}"
                yield f"ALTER TABLE {self._quote(table)} {drop}", None

    def _has_default(self, table: str, field: Field[Any, Any], sql: str, params: Any) -> bool:
        """
        Whether the column has this default already, as far as that can be told.

        The server keeps an expression in words of its own; only constants can be compared.
        """
        current = self._found(table, column_of(field))[1]
        constant = default_of(field).kind is DefaultKind.DATABASE_CONSTANT
        if current is None or not constant or "(" in current:
            return False
        kind = field.db_type(self.connection)
        wanted = self.composed(sql, params or None)
        same = f"SELECT ({current})::{kind}::text IS NOT DISTINCT FROM ({wanted})::{kind}::text"
        return bool(self._ask(same.replace("%", "%%"), [])[0][0])

    # Checks that come with a type ---------------------------------------------------------

    def _field_checks(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], column: str
    ) -> list[str]:
        """The CHECKs on this column alone that no constraint of the model is."""
        table = model._meta.db_table
        others = {constraint.name for constraint in model._meta.constraints}
        others.add(not_null_name(table, column))
        found = [name for name in self._constraints_of(table, column, "c") if name not in others]
        if editor.collect_sql and not found:
            return [check_name(editor, table, column)]
        return found

    def add_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table, column = model._meta.db_table, column_of(field)
        condition = self._check_of(field)
        if not condition:
            return
        there = [] if editor.collect_sql else self._field_checks(editor, model, column)
        name = there[0] if there else check_name(editor, table, column)
        if not there:
            self._note_made(editor, "CONSTRAINT", table, name, [column])
            self._locked(
                editor,
                [TableLock(table)],
                lambda: self._add_check(editor, table, condition, name),
            )
        if not editor.collect_sql and self._constraint_is_validated(table, name):
            return
        try:
            self._validate(editor, table, name)
        except DatabaseError as error:
            if sqlstate(error) != CHECK_VIOLATION:
                raise
            self.drop_field_check(editor, model, field)
            raise self._check_broken(table, condition) from error

    def _check_broken(self, table: str, condition: str) -> DataInTheWay:
        where = f"FROM {self._quote(table)} WHERE NOT ({condition})"
        count = self._ask(f"SELECT count(*) {where}", [])[0][0]
        return DataInTheWay(
            f"{count:,} row{'' if count == 1 else 's'} of {table} break the CHECK {condition}.",
            do=f"Correct them (SELECT * {where}), then run the same command again.",
        )

    def drop_field_check(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table = model._meta.db_table
        for name in self._field_checks(editor, model, column_of(field)):
            drop = f"DROP CONSTRAINT {self._quote(name)}"
            self._locked(editor, [TableLock(table)], lambda: self._alter(editor, table, drop))  # noqa: B023

    # Foreign keys and indexes -------------------------------------------------------------

    def _drop_other_foreign_keys(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], new: Field[Any, Any]
    ) -> None:
        keep = name_of(foreign_key_of(editor, model, new)) if parent_of(new) else None
        self.drop_foreign_keys(editor, model, new, but_not=keep)

    def replace_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        other = parent_of(field)
        if other is None:
            return
        table, parent, does = model._meta.db_table, other._meta.db_table, deletes_itself(field)
        statement: Any = foreign_key_of(editor, model, field)
        name = name_of(statement)
        if not editor.collect_sql and self._does_to_rows(table, name) == does:
            self.drop_foreign_keys(editor, model, field, but_not=name)
            return
        beside = own_name("fk", table, name, does)
        statement.parts["name"] = self._quote(beside)
        # Both stand until the new one is validated: rows always have one that does its work.
        self._add_key(editor, table, parent, statement)
        old = self._dropping_keys(editor, table, column_of(field), beside)
        key = Belonging(FOREIGN_KEY, name, beside, str(statement), parent=parent)

        def swap() -> None:
            for drop, _ in old:
                editor.execute(drop, params=None)
            self._give_name(editor, table, key)

        both = [TableLock(table), TableLock(parent)]
        locks = [*both, *(lock for _, taken in old for lock in taken)]
        self._locked(editor, list(dict.fromkeys(locks)), swap)

    def _does_to_rows(self, table: str, name: str) -> str | None:
        """What a foreign key does when a row's parent is deleted; None if none is validated."""
        rows = self._ask(
            """
            SELECT CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL'
                   WHEN 'd' THEN 'SET DEFAULT' WHEN 'a' THEN '' END
            FROM pg_constraint
            WHERE conrelid = to_regclass(%s) AND conname = %s AND contype = 'f' AND convalidated
            """,
            [self._regclass(table), self._bare(name)],
        )
        return rows[0][0] if rows else None

    def _alter_indexes(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
    ) -> None:
        """Build before dropping: queries of either release always find one of the two."""
        if new.primary_key or old.primary_key:
            return
        if (new.unique and not old.unique) or (_own_index(new) and not _own_index(old)):
            self._add_field_indexes(editor, model, new, self._field_indexes(editor, model, old))
        if old.unique and not new.unique:
            self._drop_unique(editor, model, old)
        if _own_index(old) and not _own_index(new):
            for name in self._plain_indexes(editor, model, old):
                self.drop_index(editor, model, name)
        like = like_index_of(editor, model, old)
        if like is not None and like_index_of(editor, model, new) is None:
            self.drop_index(editor, model, name_of(like))

    def _drop_unique(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table, name = model._meta.db_table, name_of(unique_of(editor, model, field))
        others = {constraint.name for constraint in model._meta.constraints}
        found = [n for n in self._constraints_of(table, column_of(field), "u") if n not in others]
        for one in found:
            drop = f"DROP CONSTRAINT {self._quote(one)}"
            self._locked(editor, [TableLock(table)], lambda: self._alter(editor, table, drop))  # noqa: B023
        if editor.collect_sql:
            if not found:
                # CREATE TABLE gives another name than ALTER TABLE.
                said = f"what the unique constraint of {table}.{column_of(field)} is called."
                self._left_open(editor, said)
                self._drop_unique_named(editor, model, name)
            return
        if self.index_state(table, name) is not IndexState.ABSENT:
            self.drop_index(editor, model, name)  # built, and not yet made the constraint

    def _plain_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> list[str]:
        """What ``db_index`` built, under the name that it had then."""
        others = {index.name for index in model._meta.indexes}
        names = self._field_index_names(model._meta.db_table, column_of(field))
        found = [name for name in names if name not in others]
        if editor.collect_sql and not found:
            return [n for n in self._field_indexes(editor, model, field) if "_like" not in n]
        return found


def _send_all(editor: BaseDatabaseSchemaEditor, statements: list[tuple[str, Any]]) -> None:
    for sql, params in statements:
        editor.execute(sql, params)


def _own_index(field: Field[Any, Any]) -> bool:
    return has_index(field) and not field.unique


def _reference(field: Field[Any, Any]) -> tuple[str, str] | None:
    """The table and column that a foreign key in the database refers to."""
    parent = parent_of(field)
    target: Any = field
    return (parent._meta.db_table, target.target_field.column) if parent else None


def _lets_go(old: Any, new: Any) -> bool:
    """Whether the type of the column no longer follows from what it did."""
    return bool(old.remote_field) and _target(old) != _target(new)


def _target(field: Any) -> tuple[str, str] | None:
    if not field.remote_field:
        return None
    target = field.target_field
    return target.model._meta.label_lower, target.name


def _as_catalogued(kind: str) -> str:
    """A type as ``format_type`` spells it, for those that change without a look at the rows."""
    return kind.lower().replace(", ", ",").replace("varchar", "character varying")
