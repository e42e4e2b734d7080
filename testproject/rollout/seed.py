"""The databases of the rollout: one seeded with orders, and a copy of it for each flavour."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
import psycopg
from psycopg import sql

from testproject import database, releases
from testproject.rollout.manage import RolloutError, environment, manage

# What a server for a shop of this size has; without it, checkpoints in the middle of a window would
# be measured instead of migrations, and without memory for the shop the kernel's writing back of
# pages that were pushed out. fsync stays on.
OPTIONS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "min_wal_size": "1GB",  # used log files are at hand again, as on a server that runs for long
    "checkpoint_timeout": "30min",
    "effective_cache_size": "2GB",
    "log_autovacuum_min_duration": "0",
}

# Every third order is not confirmed. Whose it is has nothing to do with when it came, as in a shop:
# rows that are neighbours in that index are none in the table. session_replication_role leaves out
# the check of each foreign key, which the statement gets right by construction.
SEED = """
SET session_replication_role = replica;
INSERT INTO shop_customer (name)
    SELECT 'Customer ' || n FROM generate_series(1, greatest(1, %(orders)s / 20)) AS n;
INSERT INTO shop_order (customer_id, email, amount, confirmed_at, created_at, legacy_flag)
    SELECT c, 'customer' || c || '@example.com', (n % 9000 + 100) / 10.0,
           CASE WHEN n % 3 <> 0 THEN now() - n * interval '1 second' END,
           now() - n * interval '1 second', false
    FROM (SELECT n, 1 + abs(hashint8(n)::bigint) % greatest(1, %(orders)s / 20) AS c
          FROM generate_series(1, %(orders)s) AS n) AS numbered;
INSERT INTO shop_line (order_id, product, quantity)
    SELECT n, 'Book', 1 FROM generate_series(1, %(orders)s, 2) AS n;
"""


@dataclass
class Host:
    """The server the rollout runs on: one of our own, or the one that DATABASE_URL names."""

    any_url: str
    server: database.Server | None = None

    @classmethod
    def open(cls, folder: Path) -> Host:
        if url := os.environ.get("DATABASE_URL"):
            return cls(url)
        server = database.start(folder, durable=True, options=OPTIONS)
        return cls(server.url(), server)

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()

    def url(self, name: str) -> str:
        address, mark, query = self.any_url.partition("?")
        return f"{address.rpartition('/')[0]}/{name}{mark}{query}"

    def connect(
        self, name: str = "", *, autocommit: bool = True, application: str = "rollout"
    ) -> psycopg.Connection[Any]:
        read = environ.Env.db_url_config(self.url(name) if name else self.any_url)
        words = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
        known = {word: read[key] for word, key in words.items() if read.get(key)}
        known |= read.get("OPTIONS", {}) | {"application_name": application}
        return psycopg.connect(dbname=read["NAME"], autocommit=autocommit, **known)

    def databases(self) -> set[str]:
        with self.connect() as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    def version(self) -> str:
        with self.connect() as connection:
            return connection.execute("SHOW server_version").fetchone()[0]

    def create(self, name: str, template: str = "template0") -> None:
        """Make a database anew, as a copy of another."""
        with self.connect() as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))

    def settle(self, name: str) -> None:
        """Read the tables into memory and write out what is dirty: no window shall pay for it."""
        with self.connect(name) as connection:
            for table in ("shop_customer", "shop_order", "shop_line"):
                connection.execute(f"SELECT count(t) FROM {table} AS t")
            connection.execute("CHECKPOINT")
        os.sync()  # what other programs have left to write


def seed_name(orders: int, tree: Path) -> str:
    """Name the seeded database after all that makes its content, so that it can be used again."""
    source = SEED + (tree / "shop/migrations/0001_initial.py").read_text()
    return f"shop_seed_{orders}_{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def seeded(host: Host, orders: int, folder: Path, tree: Path = releases.HERE / "r1") -> str:
    """
    Return the name of a database with that many orders; make it if need be.

    Shape:   tree: the source whose schema it has; r1's own or one with the same tables.
    """
    name = seed_name(orders, tree)
    if name in host.databases():
        return name
    unfinished = "shop_seed_unfinished"
    host.create(unfinished)
    source = folder / "seed" / "r1"
    releases.copy("r1", source)
    shutil.copytree(tree, source, dirs_exist_ok=True)
    settings = environment("r1", source, host.url(unfinished), safemigrate=False)
    command = manage(("migrate",), settings, source.with_suffix(".log"))
    if command.exit_code:
        raise RolloutError(f"The schema of r1 could not be made:\n{command.output}")
    with host.connect(unfinished) as connection:
        for statement in SEED.strip().rstrip(";").split(";"):
            connection.execute(statement.replace("%(orders)s", str(orders)))
        connection.execute("RESET session_replication_role")
        connection.execute("VACUUM (FREEZE, ANALYZE)")
    with host.connect() as connection:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))
    return name
