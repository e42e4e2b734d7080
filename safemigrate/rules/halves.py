"""Where the state half of one operation and the database as it is then do not agree."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import IndexOperation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models import IntegerField

from safemigrate.facts.types import TypeChange, change, parsed
from safemigrate.operations import ContractDrop
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import column_name, db_type, has_table, is_counted
from safemigrate.rules.base import Step, model_name_of, table_of
from safemigrate.rules.elsewhere import Elsewhere, Leaf, is_aside, mentions
from safemigrate.rules.known import is_unknown
from safemigrate.rules.sql import Context, read_alone, sent
from safemigrate.rules.sql.context import plain

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ModelKey = tuple[str, str]
_OF_NO_COLUMN = (IndexOperation, migrations.AlterModelOptions, migrations.AlterModelManagers)
# They change the state of their own model; others may change what refers to it.
_OF_ONE_MODEL = (
    *_OF_NO_COLUMN,
    *(migrations.AddField, migrations.AlterField, migrations.RemoveField, ContractDrop),
    *(migrations.CreateModel, migrations.DeleteModel, migrations.AlterModelTable),
)
_ORDER = IntegerField(null=True)  # older code leaves it out, and so it is no more than that
# Of others, such as citext, enums and domains, it cannot be told what they hold.
_TOLD_APART = frozenset(
    (
        *("smallint", "integer", "bigint", "numeric", "real", "double precision", "varchar"),
        *("text", "boolean", "uuid", "date", "interval", "bytea", "inet", "jsonb"),
        "timestamp with time zone",
    )
)


class Kind(enum.Enum):
    MISSING = "the state has it, the database has not"
    LEFT = "the database has it, the state has not"
    OTHER = "both have it, and not the same"


@dataclass(frozen=True)
class Column:
    """One column as a state has it."""

    key: ModelKey
    name: str
    field: Any

    @property
    def is_required(self) -> bool:
        """Whether an INSERT that leaves it out fails."""
        field = self.field
        given = field.null or field.generated or field.has_db_default() or is_counted(field)
        return not given


@dataclass(frozen=True)
class Difference:
    """
    ``column``: empty if it is about the whole table. ``models``: all that have the table.
    ``says``: of columns that are not the same, how. ``required``: as ``Column.is_required``.
    """

    kind: Kind
    table: str
    models: frozenset[ModelKey]
    column: str = ""
    field: str = ""
    says: str = ""
    required: bool = False

    @property
    def thing(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table


Columns = Mapping[str, Column | None]
"""None: a column of a table that Django makes for a many-to-many field."""


def differences(step: Step) -> list[Difference]:
    """
    What the state half says and the database does not have, or the other way round.

    Not what another migration, before or after, makes up for. Empty where nobody can know.
    """
    return step.once(_found)


def database_half(operation: Any) -> list[Operation]:
    """What reaches the database, at any depth."""
    if isinstance(operation, migrations.RunSQL):
        return [operation]
    return list(flat(operation.database_operations))


def _found(step: Step) -> list[Difference]:
    op: Any = step.operation
    if step.ancestors is None or step.after is None or not has_state_half(op):
        return []
    if all(isinstance(one, _OF_NO_COLUMN) for one in op.state_operations):
        return []
    found = list(Halves(step).differences())
    if not found:
        return []
    code = [one for one in database_half(op) if is_unknown(one)]
    beside = [Leaf(step.app_label, one, True, False) for one in code]
    elsewhere = Elsewhere(op, [*step.ancestors(), *step.after()])
    return [one for one in found if not elsewhere.settles(one, beside)]


def has_state_half(operation: Any) -> bool:
    return bool(getattr(operation, "state_operations", None))


@dataclass
class Halves:
    """The states that the two halves of ``step``'s operation lead to."""

    step: Step

    @cached_property
    def stated(self) -> ProjectState:
        op: Any = self.step.operation
        return self._after(op.state_operations)

    @cached_property
    def made(self) -> ProjectState:
        half = database_half(self.step.operation)
        return self._after([one for one in half if not isinstance(one, migrations.RunSQL)])

    def _after(self, operations: Collection[Operation]) -> ProjectState:
        state = self._copied(operations)
        for operation in operations:
            operation.state_forwards(self.step.app_label, state)
        return state

    def _copied(self, operations: Collection[Operation]) -> ProjectState:
        """The state before, of which no more is copied than ``operations`` will change."""
        before = self.step.before
        if not all(isinstance(one, _OF_ONE_MODEL) for one in operations):
            return before.clone()
        models = dict(before.models)
        for one in operations:
            key = (self.step.app_label, model_name_of(one))
            if key in models:
                models[key] = models[key].clone()
        return ProjectState(models=models, real_apps=before.real_apps)

    @cached_property
    def _sql(self) -> list[migrations.RunSQL]:
        half = database_half(self.step.operation)
        return [one for one in half if isinstance(one, migrations.RunSQL)]

    def _mentioned(self, kind: Kind, *names: str) -> bool:
        """Whether the SQL beside it may be what makes up for it."""
        said = [one for one in self._sql if mentions(sent(one.sql), *names)]
        return any(not is_aside(self.step.app_label, one, kind.name) for one in said)

    @cached_property
    def read(self) -> Context:
        return read_alone(self.step.app_label, self._sql)

    def changed(self) -> set[ModelKey]:
        """The models that one of the halves changes, of those that have a table."""
        before, stated, made = self.step.before, self.stated, self.made
        keys = _changed(before, stated) | _changed(before, made)
        return {key for key in keys if _are_tables(key, before, stated, made)}

    def differences(self) -> Iterator[Difference]:
        stated, made, keys = self.stated, self.made, self.changed()
        has, had = _tables(stated, keys), _tables(made, keys)
        for table in sorted({*has, *had}):
            if table in had and table in has:
                yield from self._of_columns(table, has[table], had[table])
            elif table in had:
                yield from self._of_table(Kind.LEFT, table)
            elif table in self.read.columns:
                yield from self._of_sql(table, has[table])
            else:
                yield from self._of_table(Kind.MISSING, table)

    def _models(self, table: str) -> frozenset[ModelKey]:
        return frozenset(
            key
            for state in (self.step.before, self.stated, self.made)
            for key, model in state.models.items()
            if plain(table_of(model)) == table
        )

    def _of_table(self, kind: Kind, table: str) -> Iterator[Difference]:
        still = self.step.before if kind is Kind.MISSING else self.stated
        shared = any(plain(table_of(model)) == table for model in still.models.values())
        if not shared and not self._mentioned(kind, table):
            yield Difference(kind, table, self._models(table))

    def _of_columns(self, table: str, has: Columns, had: Columns) -> Iterator[Difference]:
        for column in sorted({*has, *had}):
            here, there = has.get(column), had.get(column)
            if here and there:
                yield from self._of_both(table, column, here, there)
            elif here and column not in had:
                yield from self._missing(table, column, here)
            elif there and column not in has and not self._mentioned(Kind.LEFT, table, column):
                yield self._difference(Kind.LEFT, table, column, there)

    def _of_sql(self, table: str, has: Columns) -> Iterator[Difference]:
        """Of a table that the SQL creates with columns that can be read."""
        for column in sorted(has):
            if here := has[column]:
                yield from self._missing(table, column, here)

    def _missing(self, table: str, column: str, here: Column) -> Iterator[Difference]:
        kind = self._type_in_sql(table, column)
        if kind is not None:
            stated = self._type(self.stated, here)
            said = _contradicts(stated, kind)
            if said:
                yield self._difference(Kind.OTHER, table, column, here, said)
        elif not self._mentioned(Kind.MISSING, table, column):
            yield self._difference(Kind.MISSING, table, column, here)

    def _type_in_sql(self, table: str, column: str) -> str | None:
        types = {(t, c.lower()): kind for (t, c), kind in self.read.types.items()}
        return types.get((table, column))

    def _of_both(
        self, table: str, column: str, here: Column, there: Column
    ) -> Iterator[Difference]:
        if here.field is there.field:
            return
        in_sql = self._type_in_sql(table, column)
        if in_sql is None and self._mentioned(Kind.OTHER, table, column):
            return
        stated, was = self._type(self.stated, here), self._type(self.made, there)
        said = _contradicts(stated, in_sql or was)
        if not said and in_sql is None and _is_another(stated, was):
            said = f"{stated} in the state, {was} in the database"
        if not said and here.field.null and not there.field.null and not there.field.primary_key:
            said = "NULL in the state, NOT NULL in the database"
        if not said and here.field.has_db_default() and not there.field.has_db_default():
            said = "with a database default in the state, without one in the database"
        if said:
            yield self._difference(Kind.OTHER, table, column, here, said)

    def _difference(
        self, kind: Kind, table: str, column: str, of: Column, says: str = ""
    ) -> Difference:
        models = self._models(table) | {of.key}
        return Difference(kind, table, models, column, of.name, says, of.is_required)

    def _type(self, state: ProjectState, column: Column) -> str | None:
        model = state.models[column.key]
        asking = _Asking(None, column.key[0], state, self.step.connection, model)
        return db_type(asking, column.field, column.name)


@dataclass(frozen=True)
class _Asking:
    """As much as ``db_type`` wants to know."""

    operation: Any
    app_label: str
    before: ProjectState
    connection: BaseDatabaseWrapper | None
    model: ModelState


def _changed(one: ProjectState, other: ProjectState) -> set[ModelKey]:
    """Models that are not the same in both; a state shares fields with the one it is made of."""
    return {
        key
        for key in {*one.models, *other.models}
        if not _is_same(one.models.get(key), other.models.get(key))
    }


def _is_same(one: ModelState | None, other: ModelState | None) -> bool:
    if one is other:
        return True
    if one is None or other is None:
        return False
    if table_of(one) != table_of(other) or one.fields.keys() != other.fields.keys():
        return False
    if one.options != other.options:
        return False
    return all(field is other.fields[name] for name, field in one.fields.items())


def _are_tables(key: ModelKey, *states: ProjectState) -> bool:
    return all(has_table(state.models[key]) for state in states if key in state.models)


def _tables(state: ProjectState, keys: Collection[ModelKey]) -> dict[str, Columns]:
    found: dict[str, Columns] = {}
    for key in keys:
        if (model := state.models.get(key)) is None:
            continue
        columns = dict(found.get(plain(table_of(model)), {}))
        for name, field in model.fields.items():
            if field.many_to_many:
                if field.remote_field.through is None:
                    table = plain(field.db_table or f"{table_of(model)}_{name}")
                    found[table] = dict.fromkeys(_many_to_many_columns(key, field))
            elif (column := column_name(field, name)) is not None:
                columns[column.lower()] = Column(key, name, field)
        if model.options.get("order_with_respect_to"):
            columns["_order"] = Column(key, "_order", _ORDER)
        found[plain(table_of(model))] = columns
    return found


def _many_to_many_columns(key: ModelKey, field: Any) -> Iterator[str]:
    """As Django names them: ``django/db/models/fields/related.py:1318`` (5.2)."""
    own, other = key[1], resolve_relation(field.remote_field.model, *key)[1]
    yield "id"
    for end in (f"from_{own}", f"to_{other}") if own == other else (own, other):
        yield f"{end}_id"


def _contradicts(stated: str | None, made: str | None) -> str:
    """What the state's type writes and the database's cannot hold."""
    if stated is None or made is None:
        return ""
    old, new = parsed(stated), parsed(made)
    if old.dimensions or new.dimensions or not {old.name, new.name} <= _TOLD_APART:
        return ""
    if change(stated, made) in (TypeChange.FREE, TypeChange.SHARED):
        return ""
    return f"{stated} in the state, {made} in the database"


def _is_another(stated: str | None, made: str | None) -> bool:
    """Whether one of two fields has a type of its own, and the other has not that one."""
    if stated is None or made is None:
        return False
    names = {parsed(stated).name, parsed(made).name}
    return len(names) == 2 and not names <= _TOLD_APART
