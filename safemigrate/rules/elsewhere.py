"""Whether another migration makes up for what one half of an operation leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

from safemigrate.operations import ContractDrop
from safemigrate.operations.assured import inner
from safemigrate.operations.reading import column_name
from safemigrate.rules.base import model_name_of
from safemigrate.rules.known import is_unknown
from safemigrate.rules.python_reading import texts
from safemigrate.rules.sql import Effect, Unjudged, read_alone, sent
from safemigrate.rules.sql.context import plain

if TYPE_CHECKING:
    from safemigrate.rules.halves import Difference

ModelKey = tuple[str, str]
# Statements that leave every column and table there; and those that never settle one kind.
_ASIDE = (
    *("create-index", "drop-index", "reindex", "validate-", "comment", "analyze"),
    *("add-check", "add-unique", "add-exclusion", "add-fk", "insert", "update", "delete"),
    *("select", "merge", "copy", "vacuum", "lock-table", "grant", "revoke", "truncate"),
    *("set-statistics", "set-storage", "create-trigger", "create-policy", "create-statistics"),
)
_NEVER = {"MISSING": ("drop-column", "drop-table"), "LEFT": ("add-column", "create-table")}
_RUNS = re.compile(
    r"\b(execute|(add|alter|remove)_field|(create|delete)_model|alter_db_table)\b", re.IGNORECASE
)


def mentions(texts: Iterable[str], *names: str) -> bool:
    """Whether one SQL text has all of these names in it, but for empty ones."""
    wanted = [
        re.compile(rf"(?<!\w){re.escape(name.rpartition('.')[2])}(?!\w)", re.IGNORECASE)
        for name in names
        if name
    ]
    return any(all(one.search(text) for one in wanted) for text in texts)


@dataclass(frozen=True)
class Leaf:
    """
    One operation, out of its wrappers.

    ``database``, ``state``: which of the two it changes; an ordinary operation both. ``later``:
    whether it comes after the one that is asked about.
    """

    app_label: str
    operation: Any
    database: bool
    state: bool
    later: bool = False

    @property
    def key(self) -> ModelKey:
        return self.app_label, model_name_of(self.operation)


@dataclass
class Elsewhere:
    """All that the migrations before and after do, but for ``but``."""

    but: Operation
    migrations: Sequence[Migration]

    @cached_property
    def leaves(self) -> list[Leaf]:
        """All of them, in order."""
        once = {id(one): one for one in self.migrations}.values()
        found, later = [], False
        for leaf in (leaf for one in once for leaf in self._of(one.operations, one.app_label)):
            if leaf.operation is self.but:
                later = True
            else:
                found.append(replace(leaf, later=later))
        return found

    def _of(
        self,
        operations: Iterable[Operation],
        app_label: str,
        database: bool = True,
        state: bool = True,
    ) -> Iterator[Leaf]:
        for wrapped in operations:
            bare: Any = inner(wrapped)
            if bare is self.but:
                yield Leaf(app_label, bare, False, False)
                continue
            if isinstance(bare, migrations.SeparateDatabaseAndState):
                if database:
                    yield from self._of(bare.database_operations, app_label, True, False)
                if state:
                    yield from self._of(bare.state_operations, app_label, False, True)
                continue
            yield Leaf(app_label, bare, database, state)
            if state and isinstance(bare, migrations.RunSQL):
                yield from self._of(bare.state_operations, app_label, False, True)

    @cached_property
    def _tables(self) -> dict[ModelKey, set[str]]:
        """Every name that the table of a model has at some time."""
        found: dict[ModelKey, set[str]] = {}
        for leaf in self.leaves:
            op, own = leaf.operation, found.setdefault(leaf.key, set())
            if isinstance(op, migrations.CreateModel):
                own.add(plain(op.options.get("db_table") or f"{leaf.app_label}_{op.name}"))
            elif isinstance(op, migrations.AlterModelTable):
                own.add(plain(op.table or f"{leaf.app_label}_{op.name}"))
            elif isinstance(op, migrations.RenameModel):
                own.add(plain(f"{leaf.app_label}_{op.new_name}"))
        return found

    def tables_of(self, models: Iterable[ModelKey]) -> set[str]:
        """Every name that their tables have at some time."""
        return {table for key in models for table in self._tables.get(key, ())}

    def settles(self, one: Difference, beside: Iterable[Leaf] = ()) -> bool:
        """Whether any of them, or of those ``beside``, brings or takes away what differs."""
        models = self.with_other_names(one.models)
        return any(self._does(leaf, one, models) for leaf in (*beside, *self.leaves))

    def with_other_names(self, models: Iterable[ModelKey]) -> set[ModelKey]:
        """And what they are called before and after."""
        found = set(models)
        pairs = [
            {leaf.key, (leaf.app_label, leaf.operation.new_name_lower)}
            for leaf in self.leaves
            if isinstance(leaf.operation, migrations.RenameModel)
        ]
        for _ in pairs:
            for pair in pairs:
                found |= pair if pair & found else set()
        return found

    def _does(self, leaf: Leaf, one: Difference, models: set[ModelKey]) -> bool:
        op = leaf.operation
        kind = one.kind.name
        if is_unknown(op):
            return leaf.database and may_do(leaf, models, [one.column or one.table], _RUNS)
        if isinstance(op, migrations.RunSQL):
            said = leaf.database and mentions(sent(op.sql), one.table, one.column)
            return said and not is_aside(leaf.app_label, op, kind)
        if kind == "OTHER":
            # What only one of the two sides hears of may be what puts it right.
            return leaf.database is not leaf.state and self._names(leaf, one, models)
        brings, takes = self._brings(leaf, one, models), self._takes(leaf, one, models)
        if kind == "MISSING":
            return (leaf.database and brings) or (not leaf.database and takes)
        whole = not one.column or isinstance(op, migrations.DeleteModel) or drops_model(op)
        gone = takes and (not leaf.state or whole)
        if not leaf.later:
            return leaf.database and gone  # how it came is not how it goes
        return (leaf.database and gone) or (not leaf.database and (brings or takes))

    def _brings(self, leaf: Leaf, one: Difference, models: set[ModelKey]) -> bool:
        op = leaf.operation
        if not one.column:
            return one.table in self._made_by(leaf)
        if leaf.key not in models:
            return False
        if isinstance(op, migrations.CreateModel):
            return any(_is(field, name, one) for name, field in op.fields)
        changes = isinstance(op, (migrations.AlterField, migrations.RenameField))
        if changes and leaf.database and leaf.state:
            return False  # it changes what is there
        return self._names(leaf, one, models)

    def _names(self, leaf: Leaf, one: Difference, models: set[ModelKey]) -> bool:
        """Whether it gives a field of this name, or one with this column."""
        op = leaf.operation
        if leaf.key not in models:
            return False
        if isinstance(op, migrations.RenameField):
            return one.field == op.new_name
        field, name = getattr(op, "field", None), getattr(op, "name", None)
        return field is not None and isinstance(name, str) and _is(field, name, one)

    def _takes(self, leaf: Leaf, one: Difference, models: set[ModelKey]) -> bool:
        op = leaf.operation
        if leaf.key not in models:
            return False
        if isinstance(op, migrations.DeleteModel) or drops_model(op):
            return True
        if not one.column:
            renames = isinstance(op, (migrations.RenameModel, migrations.AlterModelTable))
            return renames and leaf.database is not leaf.state
        gone = op.old_name if isinstance(op, migrations.RenameField) else getattr(op, "name", None)
        takes = (migrations.RemoveField, migrations.RenameField, ContractDrop)
        made_ignorable = isinstance(op, migrations.AlterField) and not leaf.state
        return gone == one.field and (isinstance(op, takes) or made_ignorable)

    def _made_by(self, leaf: Leaf) -> set[str]:
        op = leaf.operation
        fields: Any
        if isinstance(op, migrations.CreateModel):
            fields, tables = op.fields, set(self._tables[leaf.key])
        elif isinstance(op, (migrations.AlterModelTable, migrations.RenameModel)):
            return set(self._tables[leaf.key])
        elif isinstance(op, (migrations.AddField, migrations.AlterField)):
            fields, tables = [(op.name, op.field)], set()
        else:
            return set()
        default = f"{leaf.app_label}_{leaf.key[1]}"
        for name, field in fields:
            if getattr(field, "many_to_many", False):
                own = self._tables.get(leaf.key) or {default}
                tables |= {plain(field.db_table or f"{table}_{name}") for table in own}
        return tables


def is_aside(app_label: str, operation: migrations.RunSQL, kind: str) -> bool:
    """Whether the SQL, as far as it can be read, neither brings nor takes away what is asked."""
    if any("$" in text or _RUNS.search(text) for text in sent(operation.sql)):
        return False
    read = read_alone(app_label, [operation]).items
    items = [item for item in read if isinstance(item, (Effect, Unjudged))]
    aside = (*_ASIDE, *_NEVER.get(kind, ()))
    return bool(items) and all(
        isinstance(item, Effect) and item.fact.key.startswith(aside) for item in items
    )


def may_do(leaf: Leaf, models: set[ModelKey], names: Sequence[str], runs: re.Pattern[str]) -> bool:
    """Whether code that nobody judges here may change what is asked about."""
    read = texts(leaf.operation.code) if isinstance(leaf.operation, migrations.RunPython) else []
    if not read:
        return not models or any(leaf.app_label == app_label for app_label, _ in models)
    whole = "\n".join(read)
    return bool(runs.search(whole)) and mentions([whole], *names)


def _is(field: Any, name: str, one: Difference) -> bool:
    if name == one.field:
        return True
    return field is not None and (column_name(field, name) or "").lower() == one.column


def drops_model(operation: Operation) -> bool:
    """Whether it is the contract of a whole model."""
    return isinstance(operation, ContractDrop) and operation.name is None
