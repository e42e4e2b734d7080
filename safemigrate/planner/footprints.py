"""What an operation touches, so that two migrations can be told to be strangers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, singledispatch
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation
from django.db.migrations.utils import resolve_relation

from safemigrate.operations import (
    AddFieldIndexConcurrently,
    AddForeignKey,
    AddIndexConcurrently,
    AddOrderColumn,
    AddRenamedField,
    AddShadowField,
    AlterIndex,
    AlterUniqueTogetherConcurrently,
    Assured,
    BatchedBackfill,
    CompleteRenamedField,
    ContractAlterManyToMany,
    ContractDrop,
    ContractFieldCheck,
    ContractForeignKey,
    ContractRenameField,
    ContractRenameModel,
    ContractRenamePrimaryKey,
    ContractRenameTable,
    CopyRenamedField,
    CopyShadowField,
    DropDatabaseDefault,
    DropRenamedField,
    DropShadowField,
    ExpandRenamePrimaryKey,
    MakeModelIgnorable,
    RenameConstraint,
    ReplaceConstraint,
    ReplaceIndex,
    SetNotNull,
    StopFilling,
    SwapShadowField,
)
from safemigrate.operations.contrib import is_contrib, is_validation
from safemigrate.operations.redefining import fields_of, fields_read

WHOLE = "*"
"""The table itself: it meets everything of its model."""
TABLE_NAME = "db_table"
"""The table's name: other names, and the end of the model, meet it."""
REFERENCE = "->"
"""A foreign key to the table: it meets what is about the whole table, or all that refer to it."""
REFERRERS = "<-"
"""The columns that refer to the table, which change with what they refer to."""


@dataclass(frozen=True)
class Touch:
    """
    A column, index or constraint (``member``, lower case) of a model, or its whole table.

    ``gentle``: its name, type and values stay as they are, as under an index or a NOT NULL; in
    whatever order two such come, the end is the same.
    """

    app_label: str
    model: str
    member: str = WHOLE
    gentle: bool = False

    def meets(self, other: Touch) -> bool:
        if (self.app_label, self.model) != (other.app_label, other.model):
            return False
        if self.gentle and other.gentle:
            return False
        # Two foreign keys to one table are strangers to each other.
        same = self.member == other.member != REFERENCE
        both = {self.member, other.member}
        return same or WHOLE in both or both == {REFERENCE, REFERRERS}

    @property
    def may_meet(self) -> tuple[str, ...]:
        """The members that it can meet at all; none means every one of its model."""
        return () if self.member == WHOLE else (self.member, WHOLE, REFERENCE, REFERRERS)

    def __str__(self) -> str:
        name = f"{self.app_label}.{self.model}"
        return name if self.member in (WHOLE, REFERENCE, REFERRERS) else f"{name}.{self.member}"


@dataclass(frozen=True)
class Footprint:
    """
    Everything a migration touches.

    ``texts``: code and SQL that nobody has parsed; they meet whatever they mention by name.
    ``unknown``: nothing is known, so it meets everything.
    """

    touches: frozenset[Touch] = frozenset()
    texts: tuple[str, ...] = field(default=())
    unknown: bool = False

    def meets(self, other: Footprint) -> bool:
        if self.unknown or other.unknown:
            return True
        if self.collides(other):
            return True
        return _mentions(self.words, other.touches) or _mentions(other.words, self.touches)

    def collides(self, other: Footprint) -> bool:
        """Whether they meet in what is known of them, all guesses aside."""
        return any(mine.meets(theirs) for mine in self.touches for theirs in other.touches)

    @cached_property
    def words(self) -> frozenset[str]:
        """What its texts mention."""
        return frozenset(word.lower() for text in self.texts for word in re.findall(r"\w+", text))

    def softened(self) -> Footprint:
        """The same, of an operation that changes nothing in the database."""
        return replace(self, touches=frozenset(replace(t, gentle=True) for t in self.touches))

    def models(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (t.app_label, t.model) for t in self.touches if t.member not in (REFERENCE, REFERRERS)
        )


def footprint(migration: Migration) -> Footprint:
    return union(footprint_of(o, migration.app_label) for o in migration.operations)


def union(parts: Iterable[Footprint]) -> Footprint:
    touches: set[Touch] = set()
    texts: list[str] = []
    unknown = False
    for part in parts:
        touches |= part.touches
        texts += part.texts
        unknown = unknown or part.unknown
    return Footprint(frozenset(touches), tuple(texts), unknown)


def footprint_of(operation: Operation, app_label: str) -> Footprint:
    """The footprint of one operation; a class that nobody knows touches everything."""
    return _of(operation, app_label)


@singledispatch
def _of(operation: Operation, app_label: str) -> Footprint:
    named: Any = operation
    if is_validation(operation):
        return _touching(Touch(app_label, named.model_name.lower(), named.name.lower()))
    if is_contrib(operation, "CreateExtension", "CreateCollation"):
        return Footprint()  # nothing can have used what is only coming
    return Footprint(unknown=True)


def _touching(*touches: Touch) -> Footprint:
    return Footprint(frozenset(touches))


@_of.register
def _(operation: Assured, app_label: str) -> Footprint:
    return footprint_of(operation.operation, app_label)


@_of.register
def _(operation: migrations.SeparateDatabaseAndState, app_label: str) -> Footprint:
    both = [*operation.database_operations, *operation.state_operations]
    return union(footprint_of(o, app_label) for o in both)


@_of.register(migrations.AlterModelOptions)
@_of.register(migrations.AlterModelManagers)
def _(operation: Operation, app_label: str) -> Footprint:
    return Footprint()


@_of.register
def _(operation: migrations.CreateModel, app_label: str) -> Footprint:
    own = Touch(app_label, operation.name_lower)
    related = [t for _, f in operation.fields for t in _references(f, app_label, own.model)]
    return _touching(own, *related)


@_of.register(migrations.DeleteModel)
@_of.register(MakeModelIgnorable)
@_of.register(migrations.AlterModelTable)
@_of.register(migrations.AlterModelTableComment)
@_of.register(migrations.AlterUniqueTogether)
@_of.register(migrations.AlterIndexTogether)
@_of.register(migrations.AlterOrderWithRespectTo)
def _(operation: Any, app_label: str) -> Footprint:
    return _touching(Touch(app_label, operation.name.lower()))


@_of.register
def _(operation: AddOrderColumn, app_label: str) -> Footprint:
    # The state must know the field that it counts within.
    members = ("_order", str(operation.order_with_respect_to).lower())
    return _touching(*(Touch(app_label, operation.name_lower, member) for member in members))


@_of.register
def _(operation: migrations.RenameModel, app_label: str) -> Footprint:
    names = (operation.old_name, operation.new_name)
    return _touching(*(Touch(app_label, name.lower()) for name in names))


@_of.register
def _(operation: ContractRenameModel, app_label: str) -> Footprint:
    new = Touch(app_label, operation.new_name.lower(), TABLE_NAME)
    return _touching(new, Touch(app_label, operation.old_name.lower()))


@_of.register
def _(operation: ContractRenameTable, app_label: str) -> Footprint:
    return _touching(Touch(app_label, operation.name.lower(), TABLE_NAME))


@_of.register(migrations.RenameField)
@_of.register(ContractRenameField)
@_of.register(AddRenamedField)
@_of.register(CopyRenamedField)
@_of.register(CompleteRenamedField)
def _(operation: Any, app_label: str) -> Footprint:
    model = operation.model_name.lower()
    names = (operation.old_name, operation.new_name)
    return _touching(*(Touch(app_label, model, name.lower()) for name in names))


@_of.register
def _(operation: DropRenamedField, app_label: str) -> Footprint:
    model = operation.model_name.lower()
    old = Touch(app_label, model, operation.old_name.lower())
    # The new column stays as it is: an index that it gets in the same run may come before.
    gentle = operation.field is None
    return _touching(old, Touch(app_label, model, operation.new_name.lower(), gentle=gentle))


@_of.register(ExpandRenamePrimaryKey)
@_of.register(ContractRenamePrimaryKey)
def _(operation: Any, app_label: str) -> Footprint:
    # In between the table is a view, with which nothing else can be done.
    return _touching(Touch(app_label, operation.model_name.lower()))


@_of.register(FieldOperation)
@_of.register(ContractAlterManyToMany)
def _(operation: Any, app_label: str) -> Footprint:
    model = operation.model_name.lower()
    own = Touch(app_label, model, operation.name.lower())
    return _touching(own, *_references(getattr(operation, "field", None), app_label, model))


@_of.register(AddShadowField)
@_of.register(CopyShadowField)
@_of.register(SwapShadowField)
def _(operation: Any, app_label: str) -> Footprint:
    model = operation.model_name.lower()
    own = Touch(app_label, model, operation.name.lower())
    referred = operation.field.primary_key or operation.field.unique
    return _touching(own, *([Touch(app_label, model, REFERRERS)] if referred else []))


@_of.register
def _(operation: ContractDrop, app_label: str) -> Footprint:
    member = operation.name.lower() if operation.name else WHOLE
    return _touching(Touch(app_label, operation.model_name_lower, member))


@_of.register(AddFieldIndexConcurrently)
@_of.register(AddForeignKey)
@_of.register(ContractFieldCheck)
@_of.register(DropDatabaseDefault)
@_of.register(DropShadowField)
@_of.register(SetNotNull)
@_of.register(StopFilling)
def _(operation: Any, app_label: str) -> Footprint:
    gentle = not (isinstance(operation, ContractForeignKey) and operation.field)
    column = Touch(app_label, operation.model_name.lower(), operation.name.lower(), gentle=gentle)
    return _touching(column)


@_of.register
def _(operation: BatchedBackfill, app_label: str) -> Footprint:
    if operation.values is None:
        names = {WHOLE}
    else:
        # What it reads counts as well: a column must not be dropped before it was copied.
        names = {name.lower() for name in operation.values}
        names |= fields_read(operation.where, *operation.values.values())
        # A key may be named by its column, and is dropped by its own name.
        names |= {name.removesuffix("_id") for name in names}
    return _touching(*(Touch(app_label, operation.model_name_lower, name) for name in names))


@_of.register(migrations.AddIndex)
@_of.register(AddIndexConcurrently)
def _(operation: migrations.AddIndex, app_label: str) -> Footprint:
    return _of_members(operation, app_label, operation.index)


@_of.register
def _(operation: migrations.AddConstraint, app_label: str) -> Footprint:
    return _of_members(operation, app_label, operation.constraint)


@_of.register(migrations.RemoveIndex)
@_of.register(migrations.RemoveConstraint)
@_of.register(migrations.AlterConstraint)
@_of.register(AlterIndex)
def _(operation: Any, app_label: str) -> Footprint:
    # Its columns are in the state alone; where they are dropped, it goes with them.
    return _touching(Touch(app_label, operation.model_name_lower, operation.name.lower()))


@_of.register(migrations.RenameIndex)
@_of.register(RenameConstraint)
def _(operation: Any, app_label: str) -> Footprint:
    names = [operation.new_name, operation.old_name or "index_together"]
    return _touching(*(Touch(app_label, operation.model_name_lower, n.lower()) for n in names))


@_of.register(ReplaceIndex)
@_of.register(ReplaceConstraint)
def _(operation: Any, app_label: str) -> Footprint:
    names = [operation.name, operation.by]
    return _touching(*(Touch(app_label, operation.model_name_lower, n.lower()) for n in names))


@_of.register
def _(operation: AlterUniqueTogetherConcurrently, app_label: str) -> Footprint:
    used = {name.lower() for names in operation.option_value or () for name in names}
    columns = (Touch(app_label, operation.name_lower, name, gentle=True) for name in used)
    return _touching(Touch(app_label, operation.name_lower, "unique_together"), *columns)


@_of.register
def _(operation: IndexOperation, app_label: str) -> Footprint:
    # Contrib's and others' own: what they touch is in the state alone.
    return _touching(Touch(app_label, operation.model_name_lower))


def _of_members(operation: Any, app_label: str, thing: Any) -> Footprint:
    """The name of an index or a constraint, and the columns it rests on; else the table."""
    model = operation.model_name.lower()
    under = {name.lower() for name in fields_of(thing)} or {WHOLE}
    own = Touch(app_label, model, thing.name.lower())
    return _touching(own, *(Touch(app_label, model, name, gentle=True) for name in under))


@_of.register
def _(operation: migrations.RunSQL, app_label: str) -> Footprint:
    statements = operation.sql if isinstance(operation.sql, list | tuple) else [operation.sql]
    return Footprint(
        texts=tuple(str(s[0] if isinstance(s, list | tuple) else s) for s in statements)
    )


@_of.register
def _(operation: migrations.RunPython, app_label: str) -> Footprint:
    try:
        return Footprint(texts=(inspect.getsource(operation.code),))
    except (OSError, TypeError):
        return Footprint(unknown=True)


def _references(value: Any, app_label: str, model: str) -> Iterator[Touch]:
    remote = getattr(value, "remote_field", None)
    if remote is None or not getattr(remote, "model", None):
        return
    app, name = resolve_relation(remote.model, app_label, model)
    yield Touch(app, name, REFERENCE)
    if getattr(remote, "through", None):
        app, name = resolve_relation(remote.through, app_label, model)
        yield Touch(app, name, REFERENCE)


def _mentions(words: frozenset[str], touches: Iterable[Touch]) -> bool:
    return bool(words) and any(
        touch.member in words
        if touch.member not in (WHOLE, REFERENCE, REFERRERS)
        else bool(words & {touch.model, f"{touch.app_label}_{touch.model}".lower()})
        for touch in touches
        if not touch.gentle
    )
