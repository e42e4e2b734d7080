"""Indexes and constraints that one half of an operation makes or takes away, and the other not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Index, UniqueConstraint

from safemigrate.operations.assured import inner
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import column_name, has_foreign_key, has_table
from safemigrate.rules.base import Step, table_of
from safemigrate.rules.elsewhere import Elsewhere, Leaf, drops_model, may_do, mentions
from safemigrate.rules.halves import Halves, Kind, ModelKey, database_half, has_state_half
from safemigrate.rules.known import is_unknown
from safemigrate.rules.sql import Effect, read_alone, sent
from safemigrate.rules.sql.context import plain

_OF_PYTHON_ALONE = (migrations.AlterModelOptions, migrations.AlterModelManagers)
INDEX, _UNIQUE, _FK = "index", "unique constraint", "foreign key"
# Statements that no index and no constraint comes by or goes by; and those that never settle one.
_ASIDE = (
    *("select", "insert", "update", "delete", "merge", "copy", "comment", "analyze", "vacuum"),
    *("lock-table", "grant", "revoke", "truncate", "create-view", "harmless"),
)
_NEVER = {
    Kind.MISSING: ("drop-index", "drop-constraint", "drop-fk", "drop-table", "drop-column"),
    Kind.LEFT: ("create-index", "add-", "validate-"),
}
_SAYS = {
    INDEX: re.compile(r"\bindex\b", re.IGNORECASE),
    _UNIQUE: re.compile(r"\b(unique|primary)\b", re.IGNORECASE),
    _FK: re.compile(r"\b(references|foreign)\b", re.IGNORECASE),
}
_RUNS = re.compile(
    r"\b(execute|(add|alter|remove)_(field|index|constraint)|alter_(unique|index)_together)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?<=['(-])[^\W\d]\w*?(?=__|')")  # perhaps a field: 'a', '-a', 'a__gt', F(a)
_IS_INDEX = ("create-index", "create-index-concurrently", "create-index-only")


@dataclass(frozen=True)
class Belonging:
    """
    ``name``: empty where the server makes it up; then ``columns`` tell which it is. ``fields``:
    those it is about, by names that only Python knows; None where it is about expressions.
    """

    table: str
    kind: str
    name: str = ""
    columns: tuple[str, ...] = ()
    fields: frozenset[str] | None = field(default=None, compare=False)

    @property
    def words(self) -> str:
        if self.name:
            return f"{self.name} of {self.table}"
        return f"the {self.kind} on {', '.join(self.columns)} of {self.table}"


@dataclass(frozen=True)
class Apart:
    """``kind``: MISSING or LEFT. ``models``: all that have the table."""

    kind: Kind
    thing: Belonging
    models: frozenset[ModelKey]


def apart(step: Step) -> list[Apart]:
    """
    The indexes and constraints of the state alone, or of the database alone.

    Not what another migration makes up for, nor what belongs to a column or a table that is
    itself on one side alone. Empty where nobody can know.
    """
    return step.once(_found)


def _found(step: Step) -> list[Apart]:
    op: Any = step.operation
    if step.ancestors is None or step.after is None or not has_state_half(op):
        return []
    if all(isinstance(one, _OF_PYTHON_ALONE) for one in op.state_operations):
        return []
    found = list(_differences(step))
    if not found:
        return []
    half = database_half(op)
    own = [Leaf(step.app_label, one, True, False) for one in half]
    elsewhere = Elsewhere(op, [*step.ancestors(), *step.after()])
    return [one for one in found if not _is_settled(one, [*own, *elsewhere.leaves], elsewhere)]


def _differences(step: Step) -> Iterator[Apart]:
    halves = Halves(step)
    keys = halves.changed()
    has, had = _Side(halves.stated, keys), _Side(halves.made, keys)
    for table in sorted(has.columns.keys() & had.columns.keys()):
        models = has.models[table] | had.models[table]
        shared = has.columns[table] & had.columns[table]
        here, there = has.things[table], had.things[table]
        for kind, some in (
            (Kind.MISSING, _less(here, there)),
            (Kind.LEFT, _less(there, here)),
        ):
            for thing in some:
                if shared >= {*thing.columns}:
                    yield Apart(kind, thing, models)


def _less(some: dict[Belonging, Any], others: dict[Belonging, Any]) -> list[Belonging]:
    """Those of the first that the second has not, or has as something else."""
    names = {(thing.name, said) for thing, said in others.items() if thing.name}
    return [
        thing
        for thing, said in some.items()
        if ((thing.name, said) not in names if thing.name else thing not in others)
    ]


class _Side:
    """What the tables of some models have, as one state says it."""

    def __init__(self, state: ProjectState, keys: Collection[ModelKey]) -> None:
        self.columns: dict[str, set[str]] = {}
        self.things: dict[str, dict[Belonging, Any]] = {}
        self.models: dict[str, frozenset[ModelKey]] = {}
        tables = {plain(table_of(state.models[key])) for key in keys if key in state.models}
        for key, model in state.models.items():
            table = plain(table_of(model))
            if table not in tables or not has_table(model):
                continue
            columns = _columns(model)
            self.columns.setdefault(table, set()).update(columns.values())
            self.things.setdefault(table, {}).update(_belongings(model, table, columns))
            self.models[table] = self.models.get(table, frozenset()) | {key}


def _columns(model: ModelState) -> dict[str, str]:
    pairs = ((name, column_name(field, name)) for name, field in model.fields.items())
    return {name: column.lower() for name, column in pairs if column is not None}


def _belongings(
    model: ModelState, table: str, columns: dict[str, str]
) -> Iterator[tuple[Belonging, Any]]:
    """Shape: (what it is, how it is defined)."""
    for name, own in model.fields.items():
        if (column := columns.get(name)) is None:
            continue
        for kind in _kinds(own):
            yield Belonging(table, kind, "", (column,), frozenset({name})), ()
    options = model.options
    for option, kind in (("unique_together", _UNIQUE), ("index_together", INDEX)):
        for group in options.get(option) or ():
            if columns.keys() >= {*group}:
                named = tuple(columns[name] for name in group)
                yield Belonging(table, kind, "", named, frozenset(group)), ()
    for thing in (*(options.get("indexes") or ()), *(options.get("constraints") or ())):
        if not thing.name:
            continue
        names = _fields(thing)
        known = tuple(columns[name] for name in names or () if name in columns)
        if names is not None and len(known) < len(names):
            known = (*known, "")  # of a field that is gone; what becomes of it goes with that
        said = _definition(thing, columns)
        yield Belonging(table, kind_of(thing), thing.name, known, names), said


def _kinds(field: Any) -> Iterator[str]:
    if field.unique and not field.primary_key:
        yield _UNIQUE
    elif field.db_index and not field.unique:
        yield INDEX
    if has_foreign_key(field):
        yield _FK


def kind_of(thing: Any) -> str:
    """What an index or constraint of a model is, for people."""
    if isinstance(thing, Index):
        return INDEX
    return _UNIQUE if isinstance(thing, UniqueConstraint) else "constraint"


def _fields(thing: Any) -> frozenset[str] | None:
    names = {name.lstrip("-") for name in getattr(thing, "fields", ())}
    return frozenset(names) or None


def _definition(thing: Any, columns: dict[str, str]) -> str:
    """As the database sees it: by columns, and without the words for people."""
    _, args, options = thing.deconstruct()
    said = {key: value for key, value in options.items() if not key.startswith("violation_error")}
    text = repr((type(thing).__name__, args, sorted(said.items())))
    return _NAMED.sub(lambda found: columns.get(found[0], found[0]), text)


# Whether anything makes up for it --------------------------------------------------------------


def _is_settled(one: Apart, leaves: Sequence[Leaf], elsewhere: Elsewhere) -> bool:
    about = _About(one, elsewhere)
    if any(about.is_settled_by(leaf) for leaf in leaves):
        return True
    if one.kind is Kind.MISSING or not any(about.is_stated_by(leaf) for leaf in leaves):
        return False
    # The state alone had it, unless something made it in the database then.
    made = _About(replace(one, kind=Kind.MISSING), elsewhere)
    return not any(leaf.database and made.is_settled_by(leaf) for leaf in leaves)


class _About:
    """What makes up for one of them."""

    def __init__(self, one: Apart, elsewhere: Elsewhere) -> None:
        self.kind, self.thing = one.kind, one.thing
        self.models = elsewhere.with_other_names(one.models)
        self.tables = {one.thing.table, *elsewhere.tables_of(self.models)}

    def is_stated_by(self, leaf: Leaf) -> bool:
        """Whether the state alone, before, got it there."""
        before = leaf.state and not leaf.database and not leaf.later
        return before and leaf.key in self.models and _touches(leaf.operation, self.thing)[0]

    def is_settled_by(self, leaf: Leaf) -> bool:
        op, thing = leaf.operation, self.thing
        if is_unknown(op):
            names = [thing.name] if thing.name else list(thing.columns)
            return leaf.database and may_do(leaf, self.models, names, _RUNS)
        if isinstance(op, migrations.RunSQL):
            return leaf.database and self._is_settled_by_sql(leaf)
        if leaf.key not in self.models:
            return False
        if isinstance(op, migrations.DeleteModel) or drops_model(op):
            return True
        if leaf.database is leaf.state:
            return leaf.later and self.kind is Kind.LEFT and _drops_a_field(op, thing)
        brings, takes = _touches(op, thing)
        if self.kind is Kind.MISSING:
            return brings if leaf.database else takes
        return takes if leaf.database else brings and leaf.later

    def _is_settled_by_sql(self, leaf: Leaf) -> bool:
        texts, thing = list(sent(leaf.operation.sql)), self.thing
        if thing.name and mentions(texts, thing.name):
            return not self._is_aside(leaf)
        if not any(mentions(texts, table) for table in self.tables):
            return False
        if thing.name:
            return self.kind is Kind.MISSING and self._is_made_without_a_name(leaf)
        said = any(_SAYS[thing.kind].search(text) for text in texts)
        named = mentions(["\n".join(texts)], *thing.columns)
        by_name = self.kind is Kind.LEFT and any("constraint" in text.lower() for text in texts)
        return ((said and named) or by_name) and not self._is_aside(leaf)

    def _is_made_without_a_name(self, leaf: Leaf) -> bool:
        """Whether the server gives one of this kind a name that nobody knows."""
        made = read_alone(leaf.app_label, [leaf.operation]).items
        return any(
            not effect.name and effect.table in self.tables and is_alike(self.thing.kind, effect)
            for effect in made
            if isinstance(effect, Effect)
        )

    def _is_aside(self, leaf: Leaf) -> bool:
        """Whether it is read to the end, and none of it makes or drops what is asked about."""
        if any("$" in text for text in sent(leaf.operation.sql)):
            return False
        items = read_alone(leaf.app_label, [leaf.operation]).items
        aside = (*_ASIDE, *_NEVER[self.kind])
        return bool(items) and all(
            isinstance(item, Effect)
            and (item.fact.key.startswith(aside) or (item.table and item.table not in self.tables))
            for item in items
        )


def _touches(op: Any, thing: Belonging) -> tuple[bool, bool]:
    """Whether an operation brings it, and whether it takes it away."""
    if isinstance(op, (migrations.AddField, migrations.AlterField, migrations.CreateModel)):
        fields = op.fields if isinstance(op, migrations.CreateModel) else [(op.name, op.field)]
        about = [field for name, field in fields if thing.fields == frozenset({name})]
        brings = any(thing.kind in _kinds(field) for field in about)
        return brings and not thing.name, bool(about) and not brings and not thing.name
    if isinstance(op, migrations.RemoveField):
        return False, op.name in (thing.fields or ())
    if isinstance(op, migrations.RenameIndex):
        return op.new_name == thing.name, op.old_name == thing.name
    if isinstance(op, (migrations.RemoveIndex, migrations.RemoveConstraint)):
        return False, op.name == thing.name
    if isinstance(op, (migrations.AlterUniqueTogether, migrations.AlterIndexTogether)):
        brings = thing.fields in [frozenset(group) for group in op.option_value or ()]
        return brings and not thing.name, not brings and not thing.name
    added = getattr(op, "index", None) or getattr(op, "constraint", None)
    return getattr(added, "name", None) == thing.name, False


def _drops_a_field(op: Any, thing: Belonging) -> bool:
    return not hasattr(op, "field") and getattr(op, "name", None) in (thing.fields or ())


def is_alike(kind: str, effect: Effect) -> bool:
    """Whether what SQL makes may be an index or constraint of this kind."""
    key = effect.fact.key
    if kind == INDEX:
        return key in _IS_INDEX
    if kind == _UNIQUE:
        unique = key in _IS_INDEX and "unique" in effect.text.lower()
        return unique or key in ("add-unique", "add-unique-using")
    return key in ("add-check", "add-check-not-valid", "add-exclusion")


# What no half hears of -------------------------------------------------------------------------


def unheard(operation: Any) -> list[Operation]:
    """Operations for the database that stand where Django asks for the state alone."""
    return list(_unheard(getattr(operation, "state_operations", None) or ()))


def _unheard(stated: Iterable[Operation]) -> Iterator[Operation]:
    for wrapped in stated:
        bare: Any = inner(wrapped)
        if isinstance(bare, migrations.SeparateDatabaseAndState):
            yield from flat(bare.database_operations)
            yield from _unheard(bare.state_operations)
        elif _is_of_the_database(bare):
            yield bare


def _is_of_the_database(operation: Operation) -> bool:
    if isinstance(operation, migrations.RunSQL):
        return not operation.state_operations and bool(list(sent(operation.sql)))
    if isinstance(operation, migrations.RunPython):
        return operation.code is not migrations.RunPython.noop
    # CreateExtension, ValidateConstraint and the like.
    forwards: Any = type(operation).state_forwards
    return str(forwards.__module__).startswith("django.contrib.postgres.")
