"""Empty databases in a fraction of the time that CREATE DATABASE and DROP DATABASE take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

USES = 200  # of one database: what was dropped bloats its catalogue
GONE_S = 60
FIRST_OF_USERS = 16384  # below are the oids of what every new database has

SCHEMAS = """
    SELECT quote_ident(nspname) FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
"""
# A database that has any of these once its schemas are gone is not used again.
LEFT = f"""
    SELECT 'setting' FROM pg_db_role_setting WHERE setdatabase = {{oid}}
    UNION ALL SELECT 'slot' FROM pg_replication_slots WHERE datoid = {{oid}}
    UNION ALL SELECT 'transaction' FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL SELECT 'privilege' FROM pg_database WHERE oid = {{oid}} AND datacl IS NOT NULL
    UNION ALL SELECT 'privilege' FROM pg_default_acl
    UNION ALL SELECT 'large object' FROM pg_largeobject_metadata
    UNION ALL SELECT 'publication' FROM pg_publication
    UNION ALL SELECT 'event trigger' FROM pg_event_trigger
    UNION ALL SELECT 'server' FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'extension' FROM pg_extension WHERE oid >= {FIRST_OF_USERS}
    UNION ALL SELECT 'cast' FROM pg_cast WHERE oid >= {FIRST_OF_USERS}
    UNION ALL SELECT 'language' FROM pg_language WHERE oid >= {FIRST_OF_USERS}
""".format(oid="(SELECT oid FROM pg_database WHERE datname = current_database())")


@dataclass
class Databases:
    """
    Databases of one server, each lent to one test at a time and washed afterwards.

    To wash is to end its sessions and drop its schemas. One that is not clean then is dropped.
    """

    address: dict[str, str]
    washed: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @contextmanager
    def one(self) -> Iterator[str]:
        name = self.washed.pop() if self.washed else self._make()
        self.used[name] += 1
        try:
            yield name
        finally:
            if self._wash(name) and self.used[name] < USES:
                self.washed.append(name)
            else:
                self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _make(self) -> str:
        name = f"t_{next(self.numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        self.used[name] = 0
        return name

    def _wash(self, name: str) -> bool:
        with psycopg.connect(**{**self.address, "dbname": name}, autocommit=True) as session:
            others = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            deadline = time.monotonic() + GONE_S
            while session.execute(others).fetchall():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.001)
            for (schema,) in session.execute(SCHEMAS).fetchall():
                session.execute(f"DROP SCHEMA {schema} CASCADE")
            session.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
            rights = "ALL" if session.info.server_version < 150000 else "USAGE"
            session.execute(f"GRANT {rights} ON SCHEMA public TO PUBLIC")
            return not session.execute(LEFT).fetchall()

    def _execute(self, statement: str) -> None:
        with psycopg.connect(**self.address, autocommit=True) as session:
            session.execute(statement)
