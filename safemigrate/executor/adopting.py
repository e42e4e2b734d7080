"""Tables that are there before the migration that creates them: the database is to be adopted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safemigrate.backends import backend_for
from safemigrate.executor.explaining import left_of
from safemigrate.facts.errors import TableInTheWay
from safemigrate.planner.tables import tables_made

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.migration import Migration
    from django.db.migrations.state import ProjectState


def tables_there(
    connection: BaseDatabaseWrapper, migration: Migration, before: ProjectState
) -> list[str]:
    """Those of the tables that it creates; in ``before`` no model has them."""
    backend = backend_for(connection)
    made = tables_made(migration, before, connection.alias)
    with connection.cursor() as cursor:
        known = connection.introspection.get_table_list(cursor)
    # A view holds no rows of the app's own; it may be one of ours, for older code.
    views = {one.name for one in known if one.type == "v"}
    return [table for table in made if backend.has_table(table) and table not in views]


def in_the_way(
    what: str, migration: Migration, there: Sequence[str], *, is_taken_for_applied: bool
) -> TableInTheWay:
    """``is_taken_for_applied``: by --fake-initial."""
    one = len(there) == 1
    are, them = ("is", "it") if one else ("are", "them")
    whose = "it is" if one else "they are"
    own = "this app's own"
    name = f"{migration.app_label} {migration.name}"
    if migration.atomic and is_taken_for_applied:
        do = "run migrate --fake-initial, which records first migrations whose tables are all there"
    else:
        do = (
            f"make by hand what is missing of what sqlmigrate {name} prints, then run "
            f"migrate {name} --fake and migrate again"
        )
    if not migration.atomic:
        own += ", or left by a run of this migration that was stopped"
    return TableInTheWay(
        what,
        changed=left_of(migration) if migration.atomic else "What it had done by then stays.",
        do=f"{'The table' if one else 'The tables'} {', '.join(there)} {are} there, and no "
        f"migration that is recorded has made {them}. If {whose} {own}, {do}; if somebody else's, "
        "give the model another db_table, in models.py and in this migration.",
    )
