"""What the gate must know, read from the database; and the cut that follows from it."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps as installed
from django.conf import settings as django_settings
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import migrations
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.db.migrations.migration import Migration
from django.db.models import Q
from django.db.models.sql import Query

from safemigrate.backends import Backend
from safemigrate.backfill import for_migration
from safemigrate.backfill.checking import fillable
from safemigrate.backfill.work import is_expression
from safemigrate.executor.ledger import Ledger
from safemigrate.executor.loader import may_be_passed
from safemigrate.facts.errors import PlanRefused
from safemigrate.facts.ownership import is_first_party_app
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import say
from safemigrate.facts.settings import Settings
from safemigrate.operations import (
    AddCheckConstraint,
    BatchedBackfill,
    ContractDrop,
    DropConstraint,
    RemoveIndexConcurrently,
    SetNotNull,
)
from safemigrate.operations.contrib import is_not_valid
from safemigrate.operations.phases import flat, phase_of_migration, waits_for_rollout
from safemigrate.operations.reading import made_by
from safemigrate.planner.cut import Cut, Node, cut
from safemigrate.planner.lineage import Lineage
from safemigrate.planner.register import Key, Register

# The gate and the footprints are imported where they are used: most runs hold nothing back, and
# every run of migrate pays for what is imported here.
if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.state import ProjectState
    from django.db.models import Model

    from safemigrate.planner.footprints import Footprint
    from safemigrate.planner.gate import Facts, Hold


UNPREPARED = (AddCheckConstraint, ContractDrop, DropConstraint, RemoveIndexConcurrently)
"""Contracts that stand alone: they have no expand, whose release would tell when they are due."""


_MAY_BE_UNSEEN = (migrations.AlterField, migrations.SeparateDatabaseAndState)


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to Django's: one phase only; how long to wait for old code."""

    phase: Phase | None = None
    wait: timedelta = timedelta(0)
    once: bool = False
    """Only look (``--plan``, ``--check``): never wait."""
    adopting: bool = False
    """Tables that are there already count as applied (``--fake-initial``); they are in use."""


@dataclass
class Gatekeeper:
    """Cuts the unapplied migrations of one database into what runs now and what waits."""

    loader: MigrationLoader
    backend: Backend
    ledger: Ledger
    settings: Settings
    options: RunOptions = field(default_factory=RunOptions)
    _register: Register = field(default_factory=Register, init=False)

    def runs_straight_through(self) -> bool:
        """Where no older code can exist, or the project says that it does not matter."""
        if self.options.phase is not None:
            return False
        return (
            not self.settings.hold_contract
            or django_settings.DEBUG
            or is_of_a_test_run(self.backend.connection)
            or not self.backend.commits_by_itself  # nobody else is on this database
            or not (self.loader.applied_migrations or self.options.adopting)
            # Nobody has used what a first install has not finished.
            or self.ledger.unfinished_install() == self.settings.release
        )

    def cut(self, keys: Sequence[Key]) -> Cut:
        """Split the unapplied ``keys``, parents first; waits for sessions to end if asked to."""
        deadline = time.monotonic() + self.options.wait.total_seconds()
        while True:
            holds = self._holds(keys)
            passing = [hold for hold in holds.values() if hold.may_pass]
            if not holds and not any(waits_for_rollout(self._migration(key)) for key in keys):
                return Cut(run=list(keys))
            if not passing or self.options.once or time.monotonic() >= deadline:
                reasons = {key: hold.reason for key, hold in holds.items()}
                return cut(self._nodes(keys), reasons)
            say(f"waiting: {passing[0].reason}", passing=True)
            time.sleep(0.5)

    def refuse_early(self, cut: Cut | None) -> None:
        """
        Stop before anything is done if what is blocked would be so for all of this release.

        Raises: PlanRefused naming what comes too early, and for what.
        """
        if refused := self.too_early(cut):
            raise refused

    def too_early(self, cut: Cut | None) -> PlanRefused | None:
        """What ``refuse_early`` raises, for those who only look."""
        if cut is None or not cut.blocked:
            return None
        from safemigrate.planner.early import reason, too_early, way_out

        found = too_early(cut, self._awaited)
        if not found:
            return None
        apps = {key[0] for one in found for key in (one.first, *one.later)}
        theirs = {a for a in apps if not is_first_party_app(installed.get_app_config(a))}
        return PlanRefused(
            "\n".join(map(reason, found)),
            do="\n".join(way_out(one, theirs, self._name_before) for one in found),
        )

    def _awaited(self, key: Key) -> list[Key]:
        alone = self._needs_a_release_of_its_own(key) and bool(self.settings.release)
        known = self.ledger.brought_by() if alone and self.ledger.exists() else {}
        return [*self.completes(key), *([key] if alone and key not in known else [])]

    def _name_before(self, key: Key) -> str:
        parents = sorted(parent.key for parent in self.loader.graph.node_map[key].parents)
        return next((name for app_label, name in reversed(parents) if app_label == key[0]), "zero")

    def _nodes(self, keys: Sequence[Key]) -> list[Node]:
        above = self._nearest_above(keys)
        return [
            Node(
                key=key,
                parents=above[key],
                footprint=self._as_the_database_sees(key),
                may_wait=waits_for_rollout(self._migration(key)),
                may_be_passed=may_be_passed(self._migration(key)),
            )
            for key in keys
        ]

    def _nearest_above(self, keys: Sequence[Key]) -> dict[Key, frozenset[Key]]:
        """The first of ``keys`` on each way up, also above one that has passed a held one."""
        planned, found = set(keys), dict[Key, frozenset[Key]]()
        for key in keys:
            to_look_at = [key]
            while to_look_at:
                parents = [p.key for p in self.loader.graph.node_map[to_look_at[-1]].parents]
                if missing := [parent for parent in parents if parent not in found]:
                    to_look_at += missing
                    continue
                found[to_look_at.pop()] = frozenset[Key]().union(
                    *({p} if p in planned else found[p] for p in parents)
                )
        return found

    def _as_the_database_sees(self, key: Key) -> Footprint:
        """Its footprint, in which a change of choices or texts is gentle."""
        migration = self._migration(key)
        if not any(isinstance(o, _MAY_BE_UNSEEN) for o in migration.operations):
            return self.footprint(key)
        from safemigrate.planner.unseen import as_the_database_sees

        state = self.loader.project_state(key, at_end=False)
        return as_the_database_sees(migration, state, self.backend.connection)

    def _holds(self, keys: Sequence[Key]) -> dict[Key, Hold]:
        waiting = {key for key in keys if waits_for_rollout(self._migration(key))}
        if not waiting and self.options.phase is None:
            return {}
        from safemigrate.planner.gate import Hold, why_held

        holds: dict[Key, Hold] = {}
        new_models = {
            (key[0], operation.name_lower)
            for key in keys
            for operation in flat(self._migration(key).operations)
            if isinstance(operation, migrations.CreateModel)
            and not (self.options.adopting and self._is_there(key[0], operation))
        }
        facts = self._facts(waiting) if waiting else None
        for key in keys:
            phase = phase_of_migration(self._migration(key))
            if self.options.phase not in (None, phase):
                holds[key] = Hold(
                    f"it is {_article(phase)}, and --phase {self.options.phase} was asked for"
                )
            elif facts and key in waiting and not self.footprint(key).models() <= new_models:
                own = [key] if key in facts.brought_by else []
                hold = why_held([*self.completes(key), *own], facts) or self.unfilled(key)
                holds |= {key: hold} if hold else {}
        return holds

    def _is_there(self, app_label: str, operation: migrations.CreateModel) -> bool:
        from safemigrate.rules.base import table_of

        return self.backend.has_table(table_of(made_by(operation, app_label)))

    def completes(self, key: Key) -> list[Key]:
        """The migrations before ``key`` that touch the same things; else its parents."""
        related = self._above_that_meet(key, self.footprint(key))
        related = [k for k in related if not waits_for_rollout(self._migration(k))]
        return related or [parent.key for parent in self.loader.graph.node_map[key].parents]

    def unfilled(self, key: Key) -> Hold | None:
        """A backfill that is at work, or has rows set aside that ``key`` would contradict."""
        from safemigrate.planner.gate import Hold

        still: dict[str, str] | None = None
        for owner, operation in self._fills_before(key):
            still = self.open_backfills() if still is None else still
            name = ".".join(owner)
            if not any(run.startswith(f"{name}:") for run in still):
                continue
            # A run of what stood there before somebody corrected it holds nothing back.
            state = self.loader.project_state(owner)
            with for_migration(name):
                run = operation.key(owner[0], operation.work(owner[0], state))
            if reason := still.get(run):
                return Hold(reason, may_pass=" is running" in reason)
        return None

    def open_backfills(self) -> dict[str, str]:
        from safemigrate.backfill import control

        return control.holding(self.backend.connection)

    def backfills_before(
        self, key: Key, state: ProjectState
    ) -> Iterator[tuple[Key, BatchedBackfill]]:
        """
        The backfills that must have ended, by evidence, before the contract ``key``.

        ``state``: what the contract starts from.
        """
        for above, operation in self._fills_before(key):
            named = (above[0], operation.model_name_lower)
            # What has another name by now was over before it got that.
            if operation.where is None or named not in state.models:
                continue
            model = state.apps.get_model(*named)
            if _is_of(model, operation) and not self._may_leave_nulls(key, operation, model):
                yield above, operation

    def _may_leave_nulls(self, key: Key, backfill: BatchedBackfill, model: type[Model]) -> bool:
        """Whether rows without a value may be newer code's own, and lose nothing by ``key``."""
        from safemigrate.planner.footprints import footprint_of, union

        asking = [
            footprint_of(operation, key[0])
            for operation in flat(self._migration(key).operations)
            if isinstance(operation, ContractDrop | SetNotNull | AddCheckConstraint)
            or is_not_valid(operation)
        ]
        filled = [*(backfill.values or ())]
        return (
            [backfill.where] == [Q(**{f"{name}__isnull": True}) for name in filled]
            and all(fillable(model, name).null for name in filled)
            and not union(asking).meets(footprint_of(backfill, key[0]))
        )

    def _fills_before(self, key: Key) -> Iterator[tuple[Key, BatchedBackfill]]:
        from safemigrate.planner.footprints import footprint_of

        for above in self._above_that_meet(key, self.footprint(key)):
            for operation in flat(self._migration(above).operations):
                if not isinstance(operation, BatchedBackfill):
                    continue
                touched = footprint_of(operation, above[0])
                if not touched.meets(self.footprint(key)) or self._drops_all(key, operation):
                    continue
                # What an earlier contract has completed is over: its columns may be gone.
                if not any(
                    self._is_applied_contract(k) for k in self._above_that_meet(key, touched)
                ):
                    yield above, operation

    def _is_applied_contract(self, key: Key) -> bool:
        phase = phase_of_migration(self._migration(key))
        return key in self.loader.applied_migrations and phase is Phase.CONTRACT

    def _above_that_meet(self, key: Key, footprint: Footprint) -> list[Key]:
        """The migrations above ``key``, applied ones too, that meet it; parents first."""
        to_look_at = [key]
        while to_look_at:
            parents = [each.key for each in self.loader.graph.node_map[to_look_at.pop()].parents]
            to_look_at += [k for k in parents if self._register.add(k, self.footprint(k))]
        return self._lineage.above(key, self._register.meeting(footprint))

    @cached_property
    def _lineage(self) -> Lineage:
        graph = self.loader.graph
        leaves = sorted(graph.leaf_nodes())
        return Lineage(
            graph, [*dict.fromkeys(k for one in leaves for k in graph.forwards_plan(one))]
        )

    def _drops_all(self, key: Key, backfill: BatchedBackfill) -> bool:
        """Whether the contract ``key`` drops what ``backfill`` fills, so that nobody needs it."""
        model = backfill.model_name_lower
        gone = {
            operation.name.lower() if operation.name else ""
            for operation in flat(self._migration(key).operations)
            if isinstance(operation, ContractDrop) and operation.model_name_lower == model
        }
        filled = {name.lower() for name in backfill.values or ()}
        return "" in gone or (bool(filled) and filled <= gone)

    def _needs_a_release_of_its_own(self, key: Key) -> bool:
        """
        What nothing before it had to prepare: due when what came with it is rolled out.

        A drop, a CHECK, an index that goes, or a fill that relies on new code.
        """
        return any(
            isinstance(operation, UNPREPARED)
            or is_not_valid(operation)
            or (isinstance(operation, BatchedBackfill) and operation.after_rollout)
            for operation in flat(self._migration(key).operations)
        )

    def footprint(self, key: Key) -> Footprint:
        from safemigrate.planner.footprints import footprint

        if key not in self._footprints:
            self._footprints[key] = footprint(self._migration(key))
        return self._footprints[key]

    @cached_property
    def _footprints(self) -> dict[Key, Footprint]:
        return {}

    def _migration(self, key: Key) -> Migration:
        return cast(Migration, self.loader.graph.nodes[key])

    def _facts(self, waiting: Collection[Key]) -> Facts:
        from safemigrate.planner.gate import Facts, Seen

        rows: Mapping[Key, Any] = self.loader.applied_migrations
        applied = {key: row.applied for key, row in rows.items()}
        known = self.ledger.exists()
        releases = self.ledger.releases() if known else []
        brought = self.ledger.brought_by() if known else {}
        left = self.ledger.left() if known else set()
        release = self.settings.release
        if release and release not in releases:
            releases.append(release)
        return Facts(
            release=release,
            releases=releases,
            applied_under=self.ledger.applied_under(applied)
            if known
            else dict.fromkeys(applied, ""),
            sessions=[Seen(s.pid, s.application_name, s.user) for s in self.backend.sessions()],
            user=self.backend.user(),
            ignored=self.settings.ignore_sessions,
            asked=self.options.phase is not None,
            brought_by={
                key: brought.get(key, release)
                for key in waiting
                if key in left or self._needs_a_release_of_its_own(key)
            },
        )


def is_of_a_test_run(connection: BaseDatabaseWrapper) -> bool:
    """
    Whether a test runner has made this database, perhaps in an earlier run: ``--keepdb``.

    It says so nowhere; it prepares its process, and gives the database a name of its own.
    """
    environment: Any = getattr(sys.modules.get("django.test.utils"), "_TestState", None)
    settings = connection.settings_dict
    name, own = settings["NAME"], settings.get("TEST", {}).get("NAME")
    return hasattr(environment, "saved_data") and (
        str(name).startswith(TEST_DATABASE_PREFIX) or (own is not None and name == own)
    )


def _is_of(model: type[Model], backfill: BatchedBackfill) -> bool:
    """Whether everything that ``backfill`` names is still there, in other models too."""
    query = Query(model)
    try:
        for name, value in (backfill.values or {}).items():
            model._meta.get_field(name)
            if is_expression(value):
                value.resolve_expression(query, allow_joins=False, for_save=True)
        query.add_q(backfill.where or Q())
    except (FieldDoesNotExist, FieldError):
        return False
    except (TypeError, ValueError, ValidationError):
        return True  # who asks for its rows is told what is wrong
    return True


def _article(phase: Phase) -> str:
    return f"an {phase}" if phase is Phase.EXPAND else f"a {phase}"
