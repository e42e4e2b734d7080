"""Django's loader, which knows that what is held back is no hole in the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from safemigrate.executor.explaining import UNREAD, rights_explained
from safemigrate.facts.phases import Phase
from safemigrate.operations import BatchedBackfill
from safemigrate.operations.phases import STATE_ONLY, flat, phases_of, waits_for_rollout

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.migration import Migration


def may_be_passed(migration: Migration) -> bool:
    """
    Whether later migrations that touch other things may be applied before it.

    A contract, and a backfill of ours: it changes no state, so nothing can build on it.
    """
    if waits_for_rollout(migration):
        return True
    return phases_of(migration) == {Phase.BACKFILL} and all(
        isinstance(o, (BatchedBackfill, *STATE_ONLY)) for o in flat(migration.operations)
    )


class SafeLoader(MigrationLoader):
    """``parts_applied``: of rewritten migrations of packages; the ledger knows them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.parts_applied: set[tuple[str, str]] = set()
        super().__init__(*args, **kwargs)

    def build_graph(self) -> None:
        """As Django's, but a squash has a row that says when: of the last one that it replaces."""
        super().build_graph()
        applied = self.applied_migrations
        applied.update({key: self._row(key) for key in self.replacements if key in applied})

    def _row(self, key: tuple[str, str]) -> Any:
        if key not in self.replacements:
            return self.applied_migrations[key]
        replaced = [k for k in self.replacements[key].replaces if k in self.applied_migrations]
        return max(map(self._row, replaced), key=lambda row: row.applied)

    def check_consistent_history(self, connection: BaseDatabaseWrapper) -> None:
        """
        As Django's, but an unapplied parent may be one that waits, see ``may_be_passed``.

        Raises: InconsistentMigrationHistory, Django's own, for every other hole; NotAllowed.
        """
        try:
            with rights_explained(connection, UNREAD):
                super().check_consistent_history(connection)
        except InconsistentMigrationHistory:
            if not self._only_waiting_parents(connection):
                raise

    def _only_waiting_parents(self, connection: BaseDatabaseWrapper) -> bool:
        recorded = MigrationRecorder(connection).applied_migrations()
        applied = self.parts_applied.union(recorded)
        to_look_at = [key for key in applied if key in self.graph.nodes]
        seen = set(to_look_at)
        while to_look_at:
            for parent in self.graph.node_map[to_look_at.pop()].parents:
                if parent in seen or parent.key in applied:
                    continue
                seen.add(parent.key)
                replaced = self.replacements.get(parent.key)
                if replaced and all(key in applied for key in replaced.replaces):
                    continue
                migration = self.graph.nodes[parent.key]
                if migration is None or not may_be_passed(migration):
                    return False
                # What stands before it must be applied as well, or wait itself.
                to_look_at.append(parent.key)
        return True
