"""Django's loader, which knows that a contract that is held back is no hole in the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from safemigrate.operations.phases import waits_for_rollout

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class SafeLoader(MigrationLoader):
    def check_consistent_history(self, connection: BaseDatabaseWrapper) -> None:
        """
        As Django's, but an unapplied parent may be one that waits for a rollout.

        Raises: InconsistentMigrationHistory, Django's own, for every other hole.
        """
        try:
            super().check_consistent_history(connection)
        except InconsistentMigrationHistory:
            if not self._only_waiting_parents(connection):
                raise

    def _only_waiting_parents(self, connection: BaseDatabaseWrapper) -> bool:
        applied = MigrationRecorder(connection).applied_migrations()
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
                if not waits_for_rollout(self.graph.nodes[parent.key]):
                    return False
                # What stands before it must be applied as well, or wait itself.
                to_look_at.append(parent.key)
        return True
