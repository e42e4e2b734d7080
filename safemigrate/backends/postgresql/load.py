"""One look at how busy a PostgreSQL server is, in one statement that waits for nobody."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from safemigrate.facts.load import Load, segments_behind

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Positions in the log, not replay_lag: that is the delay of what was last confirmed, and says a
# few milliseconds of a standby that stands still. A state that is NULL is hidden from this role.
# Locks by pg_locks, which every role may read; advisory locks are queues of the application's own
# and virtualxid is an index build that waits as it should. The counts of rows begin again at zero
# after a crash, a failover or an upgrade; reltuples stays. Another session whose state is hidden
# from this role, or not kept by the server, may be busy; one that is idle in a transaction wants
# nothing now. Those that work on the same run keep out of each other's way.
LOOK = """
SELECT
  (SELECT json_agg(json_build_array(
      coalesce(nullif(application_name, ''), client_addr::text, 'without a name'), state,
      pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint))
   FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'),
  (SELECT json_object_agg(slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint)
   FROM pg_replication_slots WHERE restart_lsn IS NOT NULL),
  (SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted
   AND locktype IN ('relation', 'extend', 'page', 'tuple', 'transactionid')
   AND waitstart < clock_timestamp() - interval '100 ms'),
  (SELECT json_build_array(
      sum(pg_stat_get_dead_tuples(oid)),
      sum(greatest(pg_stat_get_live_tuples(oid), reltuples::bigint)))
   FROM (SELECT to_regclass(%s)::oid AS oid
         UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(%s))) AS parts
   JOIN pg_class USING (oid) WHERE relkind <> 'p'),
  CASE WHEN current_setting('archive_mode') <> 'off' THEN
    (SELECT json_build_array(last_archived_wal, pg_walfile_name(pg_current_wal_lsn()),
                             (SELECT setting::bigint FROM pg_settings
                              WHERE name = 'wal_segment_size'))
     FROM pg_stat_archiver) END,
  (SELECT count(*) FROM pg_stat_activity
   WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND pid <> ALL(%s::int[])
   AND coalesce(backend_type, 'client backend') = 'client backend'
   AND (state IS NULL OR state IN ('active', 'disabled')
        OR state_change > clock_timestamp() - interval '2 seconds')),
  pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
"""


def look(connection: BaseDatabaseWrapper, table: str, ours: Collection[int] = ()) -> Load:
    """
    Read the load of the server and of one table.

    Raises:  DatabaseError: a service that hides its log, as some clouds do.
    Source:  https://www.postgresql.org/docs/current/monitoring-stats.html
    """
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(LOOK, [quoted, quoted, list(ours)])
        replicas, slots, waiters, rows, archive, others, written = map(as_json, cursor.fetchone())
    dead, live = rows or (0, 0)
    return Load(
        replicas=_furthest(replicas or []),
        slots=slots or {},
        archive=_not_archived(archive),
        lock_waiters=waiters,
        dead_rows=int(dead or 0),
        live_rows=int(live or 0),
        hidden=any(state is None for _, state, _ in replicas or []),
        others=others,
        written=written,
    )


def _not_archived(archive: list[Any] | None) -> int | None:
    """Shape: archive: the last segment taken, if any, the current one, and a segment's bytes."""
    if archive is None:
        return 0
    return None if archive[0] is None else segments_behind(*archive)


def _furthest(replicas: list[tuple[str, str | None, int | None]]) -> dict[str, int]:
    """Return name -> bytes; several replicas that share a name are as far as the last of them."""
    found: dict[str, int] = {}
    for name, _, behind in replicas:
        if behind is not None:
            found[name] = max(behind, found.get(name, 0))
    return found


def as_json(value: Any) -> Any:
    """Return a value of JSON, which Django asks psycopg for as text; others as they are."""
    return json.loads(value) if isinstance(value, str) and value[:1] in ("[", "{") else value
