"""What is known while a RunSQL is read: what it has made so far, and what it does, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.migrations.state import ModelState

from safemigrate.facts.features import Feature, features
from safemigrate.facts.grammar import Node, Statement, Unparsable, statements, words
from safemigrate.facts.statements import FACTS, Fact
from safemigrate.rules.base import Step, table_of

# Where only the name is unknown: what a block puts together at run time.
UNKNOWN_NAME = "safemigrate_named_at_run_time"
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Sent:
    """
    One thing that a RunSQL does.

    ``unit``: statements of one unit go out in one journey, and so in one transaction; ``alone``:
    whether the unit has no other. ``backwards``: on the way back.
    """

    text: str
    unit: int
    alone: bool
    backwards: bool


@dataclass(frozen=True)
class Effect(Sent):
    """
    ``name``: of column, index or constraint. ``other``: the table that a foreign key refers to.
    ``is_new``: its table is made in this migration; ``other_is_new``: and that one.
    """

    fact: Fact
    table: str = ""
    name: str = ""
    other: str = ""
    is_new: bool = False
    other_is_new: bool = False

    @property
    def on(self) -> str:
        """The table, for people."""
        return self.table.removeprefix("public.") if self.table else "its table"


@dataclass(frozen=True)
class Setting(Sent):
    """``value``: as written; None where it is put back. ``local``: until the transaction ends."""

    name: str
    value: str | None
    local: bool


@dataclass(frozen=True)
class Transaction(Sent):
    """``kind``: ``begin`` or ``end``."""

    kind: str


@dataclass(frozen=True)
class Unjudged(Sent):
    """``why``: a clause that follows a colon."""

    why: str


@dataclass(frozen=True)
class Newer(Sent):
    """Something that not every version of the server has."""

    feature: Feature


Item = Effect | Setting | Transaction | Unjudged | Newer


@dataclass
class Context:
    """
    ``made``: what is no table, by name. ``functions``: name -> (language, body; of PL/pgSQL the
    whole CREATE FUNCTION). ``source``: the statement that is being read. ``variables``: of the
    block around it. ``types``: what columns became. ``columns``: of tables that are made here.
    ``partitioned``: those of them that are. ``virtual``: columns that are computed when read.
    """

    step: Step
    items: list[Item] = field(default_factory=list)
    new: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    functions: dict[str, tuple[str, str]] = field(default_factory=dict)
    index_tables: dict[str, str] = field(default_factory=dict)
    foreign_keys: set[tuple[str, str]] = field(default_factory=set)
    not_null_checks: dict[tuple[str, str], str] = field(default_factory=dict)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    columns: dict[str, set[str]] = field(default_factory=dict)
    partitioned: set[str] = field(default_factory=set)
    valid_not_null: set[tuple[str, str]] = field(default_factory=set)
    virtual: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    in_loop: bool = False
    depth: int = 0
    source: str = ""
    _text: str = ""
    _unit: int = 0
    _alone: bool = True
    _backwards: bool = False

    # What is found --------------------------------------------------------------------------

    @property
    def _sent(self) -> dict[str, Any]:
        return {
            "text": self._text,
            "unit": self._unit,
            "alone": self._alone,
            "backwards": self._backwards,
        }

    def effect(
        self, key: str, table: str = "", name: str = "", *, new: bool = False, other: str = ""
    ) -> None:
        version = self.step.version
        is_new = new or (bool(table) and self.is_new(table))
        found = Effect(
            **self._sent,
            fact=FACTS[key].at(version[0] if version else None),
            table=table,
            name=name,
            other=other,
            is_new=is_new,
            other_is_new=bool(other) and self.is_new(other),
        )
        self.items.append(found)

    def setting(self, name: str, value: str | None, local: bool) -> None:
        self.items.append(Setting(**self._sent, name=name, value=value, local=local))

    def transaction(self, kind: str) -> None:
        self.items.append(Transaction(**self._sent, kind=kind))

    def unjudged(self, why: str) -> None:
        self.items.append(Unjudged(**self._sent, why=why))

    def newer(self, feature: Feature) -> None:
        self.items.append(Newer(**self._sent, feature=feature))

    # What is read -----------------------------------------------------------------------------

    def unit(self, sql: str, backwards: bool = False) -> None:
        """What goes out in one journey: one statement or many."""
        self._unit += 1
        self._backwards, self._text = backwards, sql
        try:
            found = statements(sql)
        except Unparsable as error:
            self.unjudged(f"PostgreSQL's grammar says {error}")
            return
        self._alone = len(found) == 1
        for statement in found:
            self._text = statement.text
            self._read(statement)

    def inner(self, sql: str) -> None:
        """A statement inside another: of a block, of a function's body, of EXECUTE."""
        if self.depth > _MAX_DEPTH:
            self.unjudged("it calls itself")
            return
        self.depth += 1
        outer = self._text
        try:
            for statement in statements(sql):
                self._text = statement.text.replace(UNKNOWN_NAME, "...")
                self._read(statement)
        except Unparsable as error:
            self.unjudged(f"a statement inside cannot be read ({error})")
        finally:
            self.depth -= 1
            self._text = outer

    def _read(self, statement: Statement) -> None:
        from safemigrate.rules.sql.statements import read

        self.source = statement.text
        if self.step.version is not None:
            for feature in features(statement):
                if feature.function not in self.functions:
                    self.newer(feature)
        read(self, statement.kind, statement.node)

    # What is known ----------------------------------------------------------------------------

    def is_new(self, table: str) -> bool:
        return table in self.new or table.startswith("pg_temp.")

    def model(self, table: str) -> ModelState | None:
        """The model of a table, as of the state before the operation."""
        model: ModelState
        for model in self.step.before.models.values():
            if plain(table_of(model)) == table:
                return model
        return None


def plain(table: str) -> str:
    """A table's name as we compare it; ``db_table`` may hold a schema in quotes."""
    return table.replace('"', "").removeprefix("public.").lower()


def table_name(relation: Node) -> str:
    """Of a relation in a statement: with its schema, unless that is public."""
    name = str(relation.get("relname", ""))
    if name == UNKNOWN_NAME:
        return ""
    if relation.get("relpersistence") == "t":
        return f"pg_temp.{name}"
    schema = relation.get("schemaname", "public")
    return (name if schema == "public" else f"{schema}.{name}").lower()


def dotted(names: list[Node]) -> str:
    """As ``table_name``, of a name in parts."""
    found = words(names).removeprefix("public.").lower()
    return "" if UNKNOWN_NAME in found else found


def name_of(thing: Node) -> str:
    """Of an object in a DROP: a list, a type, a function with its arguments, or one word."""
    if "list" in thing:
        return dotted(thing["list"].get("items", []))
    if "object_with_args" in thing:
        return dotted(thing["object_with_args"].get("objname", []))
    if "type_name" in thing:
        return dotted(thing["type_name"].get("names", []))
    return str(thing.get("string", {}).get("sval", "")).lower()
