"""What the gate must know, read from the database; and the cut that follows from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import migrations
from django.db.migrations.migration import Migration

from safemigrate.backends import Backend
from safemigrate.executor.ledger import Ledger
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import say
from safemigrate.facts.settings import Settings
from safemigrate.operations import BatchedBackfill
from safemigrate.operations.phases import flat, phase_of_migration, waits_for_rollout
from safemigrate.planner.cut import Cut, Key, Node, cut
from safemigrate.planner.footprints import Footprint, footprint
from safemigrate.planner.gate import Facts, Hold, Seen, why_held

if TYPE_CHECKING:
    from django.db.migrations.loader import MigrationLoader


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to Django's: one phase only; how long to wait for old code."""

    phase: Phase | None = None
    wait: timedelta = timedelta(0)
    once: bool = False
    """Only look (``--plan``, ``--check``): never wait."""


@dataclass
class Gatekeeper:
    """Cuts the unapplied migrations of one database into what runs now and what waits."""

    loader: MigrationLoader
    backend: Backend
    ledger: Ledger
    settings: Settings
    options: RunOptions = field(default_factory=RunOptions)

    def runs_straight_through(self) -> bool:
        """Where no older code can exist, or the project says that it does not matter."""
        if self.options.phase is not None:
            return False
        return (
            not self.settings.hold_contract
            or django_settings.DEBUG
            or not self.backend.commits_by_itself  # nobody else is on this database
            or not self.loader.applied_migrations
        )

    def cut(self, keys: Sequence[Key]) -> Cut:
        """Split the unapplied ``keys``, parents first; waits for sessions to end if asked to."""
        deadline = time.monotonic() + self.options.wait.total_seconds()
        while True:
            holds = self._holds(keys)
            passing = [hold for hold in holds.values() if hold.may_pass]
            if not passing or self.options.once or time.monotonic() >= deadline:
                reasons = {key: hold.reason for key, hold in holds.items()}
                return cut([self._node(key, keys) for key in keys], reasons)
            say(f"waiting: {passing[0].reason}", passing=True)
            time.sleep(0.5)

    def _node(self, key: Key, keys: Sequence[Key]) -> Node:
        migration = self._migration(key)
        return Node(
            key=key,
            parents=frozenset(parent.key for parent in self.loader.graph.node_map[key].parents),
            footprint=self.footprint(key),
            may_wait=waits_for_rollout(migration),
        )

    def _holds(self, keys: Sequence[Key]) -> dict[Key, Hold]:
        holds: dict[Key, Hold] = {}
        new_models = {
            (key[0], operation.name_lower)
            for key in keys
            for operation in flat(self._migration(key).operations)
            if isinstance(operation, migrations.CreateModel)
        }
        waiting = {key for key in keys if waits_for_rollout(self._migration(key))}
        facts = self._facts() if waiting else None
        for key in keys:
            phase = phase_of_migration(self._migration(key))
            if self.options.phase not in (None, phase):
                holds[key] = Hold(
                    f"it is {_article(phase)}, and --phase {self.options.phase} was asked for"
                )
            elif facts and key in waiting and not self.footprint(key).models() <= new_models:
                if hold := why_held(self.completes(key), facts):
                    holds[key] = hold
        return holds

    def completes(self, key: Key) -> list[Key]:
        """The migrations before ``key`` that touch the same things; else its parents."""
        own = self.footprint(key)
        above = [k for k in self.loader.graph.forwards_plan(key) if k != key]
        related = [k for k in above if self.footprint(k).meets(own)]
        related = [k for k in related if not waits_for_rollout(self._migration(k))]
        return related or [parent.key for parent in self.loader.graph.node_map[key].parents]

    def backfills_before(self, key: Key) -> Iterator[tuple[Key, BatchedBackfill]]:
        """The backfills that must have ended, by evidence, before the contract ``key``."""
        own = self.footprint(key)
        for above in self.loader.graph.forwards_plan(key):
            if above == key or not self.footprint(above).meets(own):
                continue
            for operation in flat(self._migration(above).operations):
                if isinstance(operation, BatchedBackfill) and operation.where is not None:
                    yield above, operation

    def footprint(self, key: Key) -> Footprint:
        if key not in self._footprints:
            self._footprints[key] = footprint(self._migration(key))
        return self._footprints[key]

    @cached_property
    def _footprints(self) -> dict[Key, Footprint]:
        return {}

    def _migration(self, key: Key) -> Migration:
        return self.loader.graph.nodes[key]

    def _facts(self) -> Facts:
        applied: dict[Key, Any] = {
            key: row.applied for key, row in self.loader.applied_migrations.items()
        }
        known = self.ledger.exists()
        releases = self.ledger.releases() if known else []
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
        )


def _article(phase: Phase) -> str:
    return f"an {phase}" if phase is Phase.EXPAND else f"a {phase}"
