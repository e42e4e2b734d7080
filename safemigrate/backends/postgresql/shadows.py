"""
Another type for a column that is in use: a column beside it, filled, then the names exchanged.

Every statement under a lock is instant: rows are only looked at while reads and writes go on.
Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.models import Func
from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.base import nothing
from safemigrate.backends.fields import column_of, variant
from safemigrate.backends.names import PREFIX, own_name
from safemigrate.backends.postgresql.belongings import (
    CHECK,
    FOREIGN_KEY,
    INDEX,
    Belonging,
)
from safemigrate.backends.postgresql.carrying import Carrying
from safemigrate.backends.postgresql.journeys import in_one_journey
from safemigrate.backends.postgresql.stand_ins import StandIn, StandIns
from safemigrate.backends.postgresql.syncing import Pair, Syncing
from safemigrate.backends.postgresql.types import cast, fitting
from safemigrate.backends.together import Shadow
from safemigrate.facts.errors import DataInTheWay, WrongOperation
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field


class Converted(Func):
    """A column's value in another type, NULL where it does not fit."""

    def __init__(self, value: Any, was: str, becomes: str, **extra: Any) -> None:
        self.was, self.becomes = was, becomes
        super().__init__(value, **extra)

    def as_sql(  # type: ignore[override]  # the stub of 6.1 wants a tuple, Django 5.2 gives lists
        self, compiler: Any, connection: Any, **extra: Any
    ) -> tuple[str, list[Any]]:
        # A column has no parameters, so it may be said more than once.
        sql, _ = compiler.compile(self.get_source_expressions()[0])
        return cast(sql, self.was, self.becomes), []


@dataclass(frozen=True)
class Counter:
    """
    What gives a column its next number.

    Shape:   sequence: quoted. identity: "BY DEFAULT", "ALWAYS", or "" for a serial column.
             stands_at: its last value, and whether that was given away.
    """

    sequence: str
    identity: str
    options: str
    stands_at: tuple[int, bool] = (1, False)


class Shadows(Carrying, Syncing, StandIns):
    """
    Locks: ACCESS EXCLUSIVE for an instant to add, to swap and to drop, had without queueing;
    SHARE UPDATE EXCLUSIVE for the builds and checks.
    """

    def _kinds(self, shadow: Shadow) -> tuple[str, str]:
        return str(shadow.old.db_type(self.connection)), str(shadow.new.db_type(self.connection))

    def converted(self, shadow: Shadow, value: Any) -> Any:
        return Converted(value, *self._kinds(shadow), output_field=_base_of(shadow.new))

    # Adding --------------------------------------------------------------------------------

    def add_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        missing = [
            shadow
            for shadow in shadows
            if editor.collect_sql
            or not (
                self.has_column(shadow.table, column_of(shadow.beside))
                or self.has_column(shadow.table, shadow.aside)
            )
        ]
        if not editor.collect_sql:
            self._refuse_leftovers(shadows)
        if missing and not editor.collect_sql:
            self.refuse_strangers(missing, shadows, editor)
        for shadow in missing:
            self._locked(
                editor,
                [TableLock(shadow.table)],
                partial(self._add_shadow, editor, shadow),
            )

    def _refuse_leftovers(self, shadows: Sequence[Shadow]) -> None:
        """A column beside that another change has left is not of the type that this one wants."""
        for shadow in shadows:
            _, wanted = self._kinds(shadow)
            self._refuse_leftover(shadow.table, column_of(shadow.beside), wanted)
            if self.has_column(shadow.table, shadow.aside):
                self._refuse_leftover(shadow.table, column_of(shadow.new), wanted)

    def _add_shadow(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> None:
        says = shadow.beside.db_parameters(self.connection)
        collation = says.get("collation")
        words = f" COLLATE {self._quote(collation)}" if collation else ""
        column = self._quote(column_of(shadow.beside))
        self._alter(editor, shadow.table, f"ADD COLUMN {column} {says['type']}{words}")
        self._set_as(editor, shadow.table, column_of(shadow.beside), column_of(shadow.old))
        old, beside = _without_default(shadow.old), _without_default(shadow.beside)
        self._create_sync(editor, self._pair(editor, shadow.old.model, old, beside))

    # Swapping ------------------------------------------------------------------------------

    def swap_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        groups = by_table(shadows)
        if not editor.collect_sql:
            groups = [group for group in groups if self._waits(group)]
            self.refuse_strangers([shadow for group in groups for shadow in group], shadows, editor)
        wanted = [self._of(editor, group) for group in groups]
        # The tables that refer to another one come before it; its index is needed first.
        for group, things in reversed(list(zip(groups, wanted, strict=True))):
            self._build(editor, group, things)
        for group, things in zip(groups, wanted, strict=True):
            self._add_keys(editor, group, things)
        for group, things in zip(groups, wanted, strict=True):
            self._swap_table(editor, group, things)

    def _waits(self, group: Sequence[Shadow]) -> bool:
        """Whether the columns of one table are still to be exchanged; they are all at once."""
        beside = [self.has_column(shadow.table, column_of(shadow.beside)) for shadow in group]
        for shadow, there in zip(group, beside, strict=True):
            if not there and not self.has_column(shadow.table, shadow.aside):
                raise WrongOperation(
                    f"{shadow.table}.{column_of(shadow.old)} has no column of the new type "
                    "beside it; the field that it belongs to may be newer than AddShadowField.",
                    do="Unapply and apply again the migration with AddShadowField.",
                )
        return any(beside)

    def _of(self, editor: BaseDatabaseSchemaEditor, group: Sequence[Shadow]) -> list[Belonging]:
        things = self._belongings(editor, group[0].new.model, group[0].beside.model)
        return [thing for thing in things if editor.collect_sql or self._is_kept(group, thing)]

    def _is_kept(self, group: Sequence[Shadow], thing: Belonging) -> bool:
        """
        Not a foreign key that is gone already, of a field that is about to go.

        Newer code, which knows nothing of it, would fail at it where it deletes what it refers to.
        """
        table = group[0].table
        if thing.kind != FOREIGN_KEY or self._constraint_is_validated(table, thing.temporary):
            return True
        column = next(
            column_of(shadow.old)
            for shadow in group
            if f"FOREIGN KEY ({self._quote(column_of(shadow.beside))})" in thing.build
        )
        return bool(self._foreign_keys(table, column))

    def _build(
        self,
        editor: BaseDatabaseSchemaEditor,
        group: Sequence[Shadow],
        things: Sequence[Belonging],
    ) -> None:
        """While reads and writes go on: indexes, CHECKs, and the proof that all is copied."""
        model, table = group[0].new.model, group[0].table
        for thing in things:
            if thing.is_index:
                self._build_index(editor, model, thing)
            elif thing.kind == CHECK:
                self._add_and_validate(editor, table, thing, [])
        for shadow in group:
            self._prove_copied(editor, shadow)
        columns = ", ".join(self._quote(column_of(shadow.beside)) for shadow in group)
        # Without statistics of the new column the planner would guess from the swap on.
        with self.unhurried() if not editor.collect_sql else nothing():
            editor.execute(f"ANALYZE {self._quote(table)} ({columns})", params=None)

    def _prove_copied(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> None:
        """A valid CHECK: no value is lost by the swap, and SET NOT NULL need not look again."""
        old, beside = (self._quote(column_of(f)) for f in (shadow.old, shadow.beside))
        filled = f"{beside} IS NOT NULL"
        condition = filled if self._is_required(editor, shadow) else f"{old} IS NULL OR {filled}"
        name = _proof(shadow)
        add = f"ADD CONSTRAINT {self._quote(name)} CHECK ({condition}) NOT VALID"
        build = f"ALTER TABLE {self._quote(shadow.table)} {add}"
        try:
            self._add_and_validate(editor, shadow.table, Belonging(CHECK, "", name, build), [])
        except DataInTheWay as error:
            raise self._unfit(shadow, f"{old} IS NOT NULL AND {beside} IS NULL") from error

    def _is_required(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> bool:
        # The column may yet be nullable for older code, whatever the field is.
        return not shadow.new.null and self._as_found(editor, shadow.table, shadow.old)[0]

    def _as_found(
        self, editor: BaseDatabaseSchemaEditor, table: str, field: Field[Any, Any]
    ) -> tuple[bool, str | None]:
        """Whether it is NOT NULL, and its default; for sqlmigrate as the model has a new column."""
        if editor.collect_sql and not self.has_column(table, column_of(field)):
            return not field.null, None
        return self._found(table, column_of(field))

    def refuse_unfit(self, shadows: Sequence[Shadow]) -> None:
        for shadow in shadows:
            column = self._quote(column_of(shadow.old))
            fits = fitting(column, *self._kinds(shadow))
            if not fits or self.has_column(shadow.table, shadow.aside):
                continue
            where = f"NOT ({fits})"
            if self._ask(f"SELECT 1 FROM {self._quote(shadow.table)} WHERE {where} LIMIT 1", []):
                raise self._unfit(shadow, where)

    def _unfit(self, shadow: Shadow, where: str) -> DataInTheWay:
        table = self._quote(shadow.table)
        count = self._ask(f"SELECT count(*) FROM {table} WHERE {where}", [])[0][0]
        rows = "1 row has a value" if count == 1 else f"{count:,} rows have values"
        return DataInTheWay(
            f"{rows} of {shadow.table}.{column_of(shadow.old)} that {self._kinds(shadow)[1]} "
            "cannot hold.",
            changed="The column keeps its type.",
            do=f"Correct them (SELECT * FROM {table} WHERE {where}), then run the same command "
            "again.",
        )

    def _add_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        group: Sequence[Shadow],
        things: Sequence[Belonging],
    ) -> None:
        for thing in things:
            if thing.kind == FOREIGN_KEY:
                self._add_and_validate(editor, group[0].table, thing, [thing.parent])

    def _swap_table(
        self,
        editor: BaseDatabaseSchemaEditor,
        group: Sequence[Shadow],
        things: Sequence[Belonging],
    ) -> None:
        table = group[0].table
        tables = {table}
        for shadow in group:
            keys = self._foreign_keys(table, column_of(shadow.old))
            tables |= {parent for _, _, parent in keys}
        columns = [column_of(shadow.old) for shadow in group]
        tables |= {child for child, _ in self._keys_to(table, columns)}

        def swap() -> None:
            if not editor.collect_sql and not self._keys_are_built(table, things):
                return
            keys = self._key_names(table)
            marks = self._marks(table, things)
            with in_one_journey(editor, self.composed) as journey:
                self._drop_keys_to(journey, table, columns)
                self._drop_belongings(journey, group)
                for shadow in group:
                    self._exchange(journey, shadow)
            with in_one_journey(editor, self.composed) as journey:
                for thing in things:
                    self._give_name(journey, table, thing, keys)
                for mark in marks:
                    self._alter(journey, table, mark)

        self._locked(editor, [TableLock(name) for name in tables], swap)
        if not editor.collect_sql and self._waits(group):
            # There is a partition that was made since they were built.
            self._build(editor, group, things)
            self._swap_table(editor, group, things)

    def _drop_belongings(self, editor: BaseDatabaseSchemaEditor, group: Sequence[Shadow]) -> None:
        """The old column keeps none: it would be one more thing to keep up, or refuse a row."""
        table, columns = group[0].table, [column_of(shadow.old) for shadow in group]
        standing = self._standing(table, columns)
        if editor.collect_sql and not standing:
            on = f"{table} ({', '.join(columns)})"
            self._left_open(editor, f"indexes and constraints on {on} are dropped; here are none.")
        for kind, name in standing:
            if kind == INDEX:
                editor.execute(f"DROP INDEX {self._beside(editor, table, name)}", params=None)
            else:
                self._drop_once(editor, table, name)

    def _drop_keys_to(
        self, editor: BaseDatabaseSchemaEditor, table: str, columns: Sequence[str]
    ) -> None:
        """
        Those of tables whose turn is still to come: a table may refer to one before it as well.

        The new ones are there and valid, so nothing comes to refer to a row that is not there.
        """
        for child, name in self._keys_to(table, columns):
            self._drop_once(editor, child, name)

    def _drop_once(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
        drop = f"ALTER TABLE {self._quote(table)} DROP CONSTRAINT {self._quote(name)}"
        if not self._is_printed(editor, drop):
            editor.execute(drop, params=None)

    def _exchange(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> None:
        """The new column takes the name, and all that the old one was besides its type."""
        table, column = shadow.table, self._quote(column_of(shadow.old))
        # All questions come before the first statement: those go out together.
        counter = self._counter(table, column_of(shadow.old))
        was_required, default = self._as_found(editor, table, shadow.old)
        required = was_required and not shadow.new.null
        comment = self._comment_of(shadow)
        pair = self._pair(editor, shadow.old.model, shadow.old, _without_default(shadow.beside))
        self._drop_sync(editor, pair)
        if counter and counter.identity:
            self._alter(editor, table, f"ALTER COLUMN {column} DROP IDENTITY")
        elif default:
            self._alter(editor, table, f"ALTER COLUMN {column} DROP DEFAULT")
        if was_required:
            self._alter(editor, table, f"ALTER COLUMN {column} DROP NOT NULL")
        self._alter(editor, table, f"RENAME COLUMN {column} TO {self._quote(shadow.aside)}")
        beside = self._quote(column_of(shadow.beside))
        self._alter(editor, table, f"RENAME COLUMN {beside} TO {column}")
        if required:
            self._alter(editor, table, f"ALTER COLUMN {column} SET NOT NULL")
        proof = self._quote(_proof(shadow))
        self._alter(editor, table, f"DROP CONSTRAINT IF EXISTS {proof}")
        self._set_default_again(editor, shadow, counter, default)
        if comment:
            self._comment(editor, f"COLUMN {self._quote(table)}.{column}", comment)
        self._create_sync(editor, self._pair_after(editor, shadow))

    def _pair_after(self, editor: BaseDatabaseSchemaEditor, shadow: Shadow) -> Pair:
        aside = _without_default(variant(shadow.old, column=shadow.aside))
        return self._pair(editor, shadow.new.model, shadow.new, aside)

    def _set_default_again(
        self,
        editor: BaseDatabaseSchemaEditor,
        shadow: Shadow,
        counter: Counter | None,
        default: str | None,
    ) -> None:
        table, column = shadow.table, self._quote(column_of(shadow.new))
        if (
            editor.collect_sql
            and not counter
            and shadow.new.get_internal_type().endswith("AutoField")
        ):
            counter = Counter("", "BY DEFAULT", "")
        if counter and counter.identity:
            words = f"GENERATED {counter.identity} AS IDENTITY {counter.options}".strip()
            self._alter(editor, table, f"ALTER COLUMN {column} ADD {words}")
            which = [self._quote(table), self._bare(column_of(shadow.new))]
            if editor.collect_sql:
                said = "where the sequence stood before; by hand, at the highest number:"
                self._left_open(editor, said)
                highest = f"greatest(max({column}), 1), max({column}) IS NOT NULL"
                words = f"SELECT setval(pg_get_serial_sequence(%s, %s), {highest})"
                editor.execute(f"{words} FROM {self._quote(table)}", which)
                return
            editor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, %s), %s, %s)",
                [*which, *counter.stands_at],
            )
            return
        if counter:
            kind = self._kinds(shadow)[1]
            owned = f"AS {kind} OWNED BY {self._quote(table)}.{column}"
            editor.execute(f"ALTER SEQUENCE {counter.sequence} {owned}", params=None)
        if shadow.new.has_db_default():
            self._send_default(editor, shadow.new.model, shadow.new, shadow.new.db_default)
        elif default:
            self._alter(editor, table, f"ALTER COLUMN {column} SET DEFAULT {default}")

    def _counter(self, table: str, column: str) -> Counter | None:
        rows = self._ask(
            """
            SELECT s.seqrelid::regclass::text,
                   CASE a.attidentity WHEN 'd' THEN 'BY DEFAULT' WHEN 'a' THEN 'ALWAYS' ELSE '' END,
                   format('(START WITH %%s INCREMENT BY %%s CACHE %%s%%s)', s.seqstart,
                          s.seqincrement, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END)
            FROM pg_attribute a
            JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
                AND d.refobjsubid = a.attnum AND d.classid = 'pg_class'::regclass
            JOIN pg_sequence s ON s.seqrelid = d.objid
            WHERE a.attrelid = to_regclass(%s) AND a.attname = %s
            """,
            [self._regclass(table), self._bare(column)],
        )
        if not rows:
            return None
        # Nobody draws a number from it meanwhile: that takes a write to the table.
        sequence, identity, options = rows[0]
        last_value, is_called = self._ask(f"SELECT last_value, is_called FROM {sequence}", [])[0]
        return Counter(sequence, identity, options, (last_value, is_called))

    def _comment_of(self, shadow: Shadow) -> str | None:
        """What its column says, by the model or by hand."""
        if shadow.new.db_comment or shadow.old.db_comment:
            return shadow.new.db_comment
        return self._column_comment(shadow.table, column_of(shadow.old))

    # A table that got another name meanwhile ---------------------------------------------------

    def name_by_table(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        if editor.collect_sql:
            return
        for shadow in shadows:
            wanted = (column_of(shadow.beside), shadow.aside)
            followers = self._followers(shadow.table, column_of(shadow.old))
            for strange in sorted({other for _, _, other in followers}):
                if strange not in wanted:
                    self._locked(
                        editor,
                        [TableLock(shadow.table)],
                        partial(self._name_by_table, editor, shadow, strange),
                    )

    def _name_by_table(
        self, editor: BaseDatabaseSchemaEditor, shadow: Shadow, strange: str
    ) -> None:
        table, beside = shadow.table, column_of(shadow.beside)
        is_beside = _kind(strange) == _kind(beside)
        self._end_followers(editor, table, column_of(shadow.old))
        named = self._quote(beside if is_beside else shadow.aside)
        self._alter(editor, table, f"RENAME COLUMN {self._quote(strange)} TO {named}")
        pair = self._pair(editor, shadow.old.model, shadow.old, _without_default(shadow.beside))
        self._create_sync(editor, pair if is_beside else self._pair_after(editor, shadow))

    # Ending --------------------------------------------------------------------------------

    def drop_asides(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        for shadow in shadows:
            if editor.collect_sql or self.has_column(shadow.table, shadow.aside):
                # One of the old name shows what had its column's name when it was made.
                known = not editor.collect_sql
                views = self._stand_ins(shadow.table, shadow.aside) if known else []
                with self._dependents_named(f"column {shadow.table}.{shadow.aside}"):
                    self._locked(
                        editor,
                        [*(TableLock(view.name) for view in views), TableLock(shadow.table)],
                        partial(self._drop_aside, editor, shadow, views),
                    )

    def _drop_aside(
        self, editor: BaseDatabaseSchemaEditor, shadow: Shadow, views: Sequence[StandIn]
    ) -> None:
        self._drop_sync(editor, self._pair_after(editor, shadow))
        for view in views:
            self._show_instead(editor, view, shadow.aside, column_of(shadow.new))
        # What a swap that did not come to its end has built on it goes with it.
        self._alter(editor, shadow.table, f"DROP COLUMN {self._quote(shadow.aside)}")


def by_table(shadows: Sequence[Shadow]) -> list[list[Shadow]]:
    """The columns of each table together; a table comes where its last column does."""
    groups: dict[str, list[Shadow]] = {}
    for shadow in shadows:
        groups[shadow.table] = [*groups.pop(shadow.table, []), shadow]
    return list(groups.values())


def _kind(column: str) -> str:
    """Of a column beside: "shadow" or "aside"."""
    return column.removeprefix(f"{PREFIX}_").partition("_")[0]


def _proof(shadow: Shadow) -> str:
    return own_name("copied", shadow.table, column_of(shadow.beside))


def _without_default(field: Field[Any, Any]) -> Field[Any, Any]:
    """The column beside has none: NULL is what an INSERT leaves there."""
    return variant(field, db_default=NOT_PROVIDED)


def _base_of(field: Any) -> Any:
    """The field whose type a foreign key's column has."""
    while field.remote_field:
        field = field.target_field
    return field
