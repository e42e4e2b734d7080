"""What ``sqlmigrate`` prints of a migration that is one transaction: its locks too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration

from safemigrate.backends import backend_for
from safemigrate.executor.executor import ROW_WAIT, changes_rows
from safemigrate.facts.errors import UnsupportedDatabase
from safemigrate.planner.tables import table_locks


class PrintingLoader(MigrationLoader):
    """Django's; it puts in front of the statements what ``migrate`` sets and takes for them."""

    def collect_sql(self, plan: Sequence[tuple[Migration, bool]]) -> list[str]:
        said: list[str] = []
        for migration, backwards in plan:
            own: list[str] = super().collect_sql([(migration, backwards)])
            if any(not line.startswith("--") for line in own):
                said += self._first_words(migration, backwards)
            said += own
        return said

    def _first_words(self, migration: Migration, backwards: bool) -> list[str]:
        connection: Any = self.connection
        if not (migration.atomic and connection.features.can_rollback_ddl):
            return []
        with (
            suppress(UnsupportedDatabase),
            connection.schema_editor(collect_sql=True, atomic=False) as editor,
        ):
            backend = backend_for(connection)
            state = self.project_state((migration.app_label, migration.name), at_end=False)
            locks = table_locks(migration, state, connection.alias, backwards=backwards)
            for words in backend.retrying(locks, lambda take: take.statements):
                editor.execute(words, params=None)
            if changes_rows(migration):
                backend.bound_transaction(editor, ROW_WAIT)
            return list(editor.collected_sql)
        return []
