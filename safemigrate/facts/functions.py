"""PostgreSQL's own functions: which give each row another value, and which do more than answer."""

from __future__ import annotations

import enum
from functools import cache
from pathlib import Path


class Kind(enum.Enum):
    """Of a function that is PostgreSQL's own; everybody else's is UNKNOWN."""

    STEADY = "steady"  # IMMUTABLE or STABLE: one value for all rows of a statement
    VOLATILE = "volatile"  # another value for each row, and nothing else
    ACTING = "acting"  # does something, to the server or to other sessions
    UNKNOWN = "unknown"


# Of the volatile ones, those that touch neither other sessions nor files nor replication.
_ONLY_ANSWERS = frozenset(
    str.split("""
    array_sample array_shuffle clock_timestamp currval gen_random_uuid lastval nextval
    pg_advisory_unlock pg_advisory_unlock_all pg_advisory_xact_lock pg_blocking_pids
    pg_database_size pg_indexes_size pg_is_in_recovery pg_notify pg_relation_size pg_table_size
    pg_total_relation_size pg_try_advisory_lock pg_try_advisory_xact_lock random random_normal
    setseed setval timeofday txid_status uuidv4 uuidv7
    """)
)
# Of extensions that every second project has.
_OF_EXTENSIONS = {
    "uuid_generate_v1": Kind.VOLATILE,
    "uuid_generate_v1mc": Kind.VOLATILE,
    "uuid_generate_v4": Kind.VOLATILE,
    "gen_random_bytes": Kind.VOLATILE,
    "gen_salt": Kind.VOLATILE,
    "crypt": Kind.STEADY,
    "unaccent": Kind.STEADY,
    "similarity": Kind.STEADY,
}


def kind_of(name: str) -> Kind:
    """``name``: in lower case, without its schema."""
    if name in _OF_EXTENSIONS:
        return _OF_EXTENSIONS[name]
    own = _own()
    if name in own["steady"]:
        return Kind.STEADY
    if name not in own["volatile"]:
        return Kind.UNKNOWN
    return Kind.VOLATILE if name in _ONLY_ANSWERS else Kind.ACTING


@cache
def _own() -> dict[str, frozenset[str]]:
    """Read from the catalogs of PostgreSQL 14, 15 and 18; a test compares them with the server."""
    text = Path(__file__).with_name("functions.txt").read_text(encoding="utf-8")
    steady, _, volatile = text.removeprefix("steady").partition("\nvolatile\n")
    return {"steady": frozenset(steady.split()), "volatile": frozenset(volatile.split())}
