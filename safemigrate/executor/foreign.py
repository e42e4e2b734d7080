"""
Migrations of installed packages, rewritten when they run.

Nobody here can change their files. One that is about tables in use becomes a line of migrations
in the graph of this one run: ``0013_total (expand)``, ``0013_total``, ``0013_total (contract)``.
The last one before the contract keeps the name, and django_migrations knows no other; what else
was done, and which contract is owed, is in the ledger.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.apps import apps as installed
from django.db import DatabaseError, migrations
from django.db.migrations.migration import Migration
from django.db.models import QuerySet

from safemigrate.executor.ledger import Ledger, Statement
from safemigrate.facts.errors import PlanRefused
from safemigrate.facts.ownership import is_first_party_app
from safemigrate.facts.phases import Phase
from safemigrate.operations.phases import STATE_ONLY, stays_as_it_is

# What rewrites is imported where it is needed: hardly any run has something to rewrite.
if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.state import ProjectState

    from safemigrate.executor.loader import SafeLoader
    from safemigrate.planner.refusals import Refusal
    from safemigrate.planner.split import Part

Key = tuple[str, str]


@dataclass
class Line:
    """
    One migration of a package as it runs here.

    ``before`` it the parts that are in the ledger alone; ``contract``: what comes in a later
    release; ``owed``: whether the ledger has it already.
    """

    key: Key
    before: list[Key]
    contract: list[Key]
    owed: bool


@dataclass
class ForeignMigrations:
    """
    Those of one database; ``arrange`` puts them into the loader's graph.

    ``assured``: names, as ``app.name``, that somebody vouches for.
    """

    loader: SafeLoader
    connection: BaseDatabaseWrapper
    ledger: Ledger
    assured: Container[str] = ()
    lines: dict[Key, Line] = field(default_factory=dict)
    refused: dict[Key, list[Refusal]] = field(default_factory=dict)
    done: dict[Key, Any] = field(default_factory=dict)
    """Parts in the ledger that are applied, with when."""

    def arrange(self, *, new: bool) -> None:
        """Rewrite what is not applied if ``new``, and what owes a contract in any case."""
        known = self.ledger.parts() if self.loader.applied_migrations else {}
        self.done = {key: when for key, (action, when) in known.items() if action != "owe"}
        owing = {_base(key) for key, (action, _) in known.items() if action == "owe"}
        applied = self.loader.applied_migrations
        candidates = {key for key in owing if key in self.loader.graph.nodes and key in applied}
        if new:
            candidates |= set(self._new(applied))
        if not candidates:
            return
        new_models = set(self._new_models())
        for key in self._in_order(candidates):
            if _name(key) in self.assured or not self._concerns(key, new_models):
                continue
            self._rewrite(key, new_models, owed=key in owing and key in applied)

    def _new(self, applied: Any) -> Iterator[Key]:
        for key in self.loader.graph.nodes:
            if key not in applied and not is_first_party_app(installed.get_app_config(key[0])):
                yield key

    def _new_models(self) -> Iterator[Key]:
        for key, migration in self.loader.graph.nodes.items():
            if key in self.loader.applied_migrations:
                continue
            for operation in migration.operations:
                if isinstance(operation, migrations.CreateModel):
                    yield key[0], operation.name_lower

    def _in_order(self, candidates: set[Key]) -> list[Key]:
        graph = self.loader.graph
        return sorted(candidates, key=lambda key: (len(graph.forwards_plan(key)), key))

    def _concerns(self, key: Key, new_models: set[Key]) -> bool:
        """Whether any of its operations may be about a table that is in use."""
        from safemigrate.rules.base import model_name_of

        return any(
            not isinstance(operation, (migrations.CreateModel, *STATE_ONLY))
            and not stays_as_it_is(operation)
            and (key[0], model_name_of(operation)) not in new_models
            for operation in self.loader.graph.nodes[key].operations
        )

    def _rewrite(self, key: Key, new_models: set[Key], *, owed: bool) -> None:
        from safemigrate.planner.mended import mended

        migration = self.loader.graph.nodes[key]
        made = mended(migration, self._state_before(key), self.connection, new_models)
        hurting = [r for r in made.refusals if r.finding is None or r.finding.rule[:1] == "E"]
        if hurting and not owed:
            if not all(r.finding and self._is_empty(key, r.operation) for r in hurting):
                self.refused[key] = hurting
        elif made.is_rewritten:
            self._insert(migration, made.parts, owed=owed)

    def _state_before(self, key: Key) -> ProjectState:
        state: ProjectState = self.loader.project_state(key, at_end=False)
        return state

    def _is_empty(self, key: Key, operation: Any) -> bool:
        """A table without rows is neither scanned nor rewritten for long."""
        from safemigrate.rules.base import model_name_of

        try:
            model = self._state_before(key).apps.get_model(key[0], model_name_of(operation))
            return not QuerySet(model, using=self.connection.alias).exists()
        except (LookupError, DatabaseError):
            return False

    def _insert(self, migration: Migration, parts: Sequence[Part], *, owed: bool) -> None:
        """Put the line in the place of ``migration``: its parents before, its children behind."""
        from safemigrate.planner.split import Part

        key = (migration.app_label, migration.name)
        now = [part for part in parts if part.phase is not Phase.CONTRACT] or [
            Part(Phase.EXPAND, atomic=True)
        ]
        later = [part for part in parts if part.phase is Phase.CONTRACT]
        names = list(_names(migration.name, [*now[:-1], *later]))
        line = Line(
            key,
            before=[(key[0], name) for name in names[: len(now) - 1]],
            contract=[(key[0], name) for name in names[len(now) - 1 :]],
            owed=owed,
        )
        self.lines[key] = line
        made = dict(zip([*line.before, key, *line.contract], [*now, *later], strict=True))
        _join(self.loader.graph, migration, {k: _as_migration(k, p) for k, p in made.items()})
        for part in (*line.before, *line.contract):
            if part in self.done:
                row: Any = SimpleNamespace(applied=self.done[part])
                self.loader.applied_migrations[part] = row
                self.loader.parts_applied.add(part)

    # While it runs ---------------------------------------------------------------------------

    def is_part(self, key: Key) -> bool:
        """Whether django_migrations must not hear of it."""
        return any(key in (*line.before, *line.contract) for line in self.lines.values())

    def note(self, key: Key, action: str) -> None:
        """A part was applied or unapplied just now."""
        applied = self.loader.parts_applied
        applied.discard(key) if action == "unapply" else applied.add(key)

    def beside(self, key: Key, action: str) -> list[Statement]:
        """What the ledger must know as soon as the migration itself is recorded."""
        line = self.lines.get(key)
        if line is None:
            # Undone as a whole, by Django's own way back: its parts are not there any more.
            parts = [part for part in self.done if _base(part) == key]
            return [self.ledger.about(part, "unapply") for part in parts if action == "unapply"]
        word = "unapply" if action == "unapply" else "owe"
        return [self.ledger.about(part, word) for part in line.contract]

    def refuse(self, keys: Iterable[Key]) -> None:
        """
        Stop before anything is done if one of ``keys`` would stop or break a table in use.

        Raises: PlanRefused naming all of them.
        """
        found = [key for key in keys if key in self.refused]
        if not found:
            return
        reasons = " ".join(f"{_name(key)}: {_why(self.refused[key])}" for key in found)
        names = ", ".join(f'"{_name(key)}": "<why>"' for key in found)
        raise PlanRefused(
            f"Installed packages bring migrations that nothing makes safe. {reasons}",
            do="Keep the package's version of before, or run them as they are in a quiet hour: "
            f'SAFEMIGRATE["ASSURED"] = {{{names}}}.',
        )

    def told(self, keys: Iterable[Key]) -> Iterator[str]:
        """A sentence for each migration in ``keys`` that runs as a line."""
        planned = set(keys)
        for key, line in self.lines.items():
            if not line.owed and key in planned:
                parts = ", ".join(name for _, name in (*line.before, key, *line.contract))
                yield f"{_name(key)} is an installed package's; rewritten to {parts}"


def _why(refusals: Sequence[Refusal]) -> str:
    return " ".join(
        f"{one.finding.what} {one.finding.why}" if one.finding else one.reason for one in refusals
    )


def _name(key: Key) -> str:
    return ".".join(key)


def _base(part: Key) -> Key:
    """The migration of a part: a space is in no migration's own name."""
    return part[0], part[1].partition(" ")[0]


def _names(name: str, parts: Sequence[Part]) -> Iterator[str]:
    taken: dict[Phase, int] = {}
    for part in parts:
        taken[part.phase] = taken.get(part.phase, 0) + 1
        number = f" {taken[part.phase]}" if taken[part.phase] > 1 else ""
        yield f"{name} ({part.phase}{number})"


def _as_migration(key: Key, part: Part) -> Migration:
    body = {"operations": part.operations, "atomic": part.atomic is not False}
    made: Migration = type("Migration", (Migration,), body)(key[1], key[0])
    return made


def _join(graph: Any, original: Migration, line: dict[Key, Migration]) -> None:
    """``original`` is in the graph under a key of ``line``; the others are put around it."""
    key = (original.app_label, original.name)
    own: Any = line[key]
    for name in ("dependencies", "run_before", "replaces", "initial"):
        setattr(own, name, getattr(original, name))
    node = graph.node_map[key]
    parents, children = set(node.parents), set(node.children)
    for other in parents:
        other.children.discard(node)
    for other in children:
        other.parents.discard(node)
    node.parents.clear()
    node.children.clear()
    for part, migration in line.items():
        graph.nodes[part] = migration
        if part != key:
            graph.add_node(part, migration)
    nodes = [graph.node_map[part] for part in line]
    for parent in parents:
        _edge(parent, nodes[0])
    for before, after in pairwise(nodes):
        _edge(before, after)
    for child in children:
        _edge(nodes[-1], child)


def _edge(parent: Any, child: Any) -> None:
    parent.add_child(child)
    child.add_parent(parent)
