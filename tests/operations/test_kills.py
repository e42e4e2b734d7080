"""A deploy killed by SIGKILL at every statement of every generated migration, and run again."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import psycopg
import pytest

from tests.conftest import address
from tests.projects import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

R1 = """
class Customer(models.Model):
    name = models.CharField(max_length=50)

class Tag(models.Model):
    word = models.CharField(max_length=50)

class Extra(models.Model):
    text = models.TextField()
    about = models.ForeignKey(Customer, models.CASCADE)
    tags = models.ManyToManyField(Tag)

class Order(models.Model):
    total = models.IntegerField()
    email = models.CharField(max_length=80)
    legacy = models.CharField(max_length=20)
    level = models.IntegerField(default=7)
    agent = models.ForeignKey(Customer, models.CASCADE, related_name="+")
    extra = models.ForeignKey(Extra, models.CASCADE, null=True)
    tags = models.ManyToManyField(Tag)

    class Meta:
        indexes = [models.Index(fields=["email"], name="order_email_idx")]
"""

R2 = """
from django.db.models.functions import Now
from safemigrate.operations import RandomUUID

def three():
    return 3

class Customer(models.Model):
    name = models.CharField(max_length=50)

class Tag(models.Model):
    word = models.CharField(max_length=50)

class Order(models.Model):
    total = models.IntegerField()
    email = models.CharField(max_length=80)
    status = models.CharField(max_length=9, default="new")
    count = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)
    number = models.IntegerField(default=three)
    token = models.UUIDField(db_default=RandomUUID())
    since = models.DateTimeField(db_default=Now(), db_index=True)
    maybe = models.IntegerField(null=True)
    word = models.CharField(max_length=30, null=True, db_index=True)
    serial = models.UUIDField(default=uuid.uuid4, unique=True)
    payer = models.ForeignKey(Customer, models.CASCADE, null=True, related_name="+")
    friends = models.ManyToManyField(Customer, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["total"], name="order_total_idx")]
"""

DATA = """
INSERT INTO shop_customer (name) VALUES ('Ann'), ('Bob');
INSERT INTO shop_tag (word) VALUES ('red');
INSERT INTO shop_extra (text, about_id) VALUES ('x', 1);
INSERT INTO shop_extra_tags (extra_id, tag_id) VALUES (1, 1);
INSERT INTO shop_order (total, email, legacy, level, agent_id)
    SELECT n, 'e' || n, 'l' || n, n, 1 FROM generate_series(1, 5) n;
INSERT INTO shop_order_tags (order_id, tag_id) VALUES (1, 1);
"""

# Each run makes its own; that every row has one is compared, and that they differ.
OWN_VALUES = {"at", "since", "token", "serial"}


AT_ONCE = 2


class Site:
    """The project, its templates (a database before each deploy) and a process to run commands."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.server = server
        self.name = f"k_{uuid.uuid4().hex[:8]}"
        self.admin = psycopg.connect(**address(server), autocommit=True)
        self.made: list[str] = []
        self.processes: Queue[subprocess.Popen[str]] = Queue()
        self.deaths: dict[str, list[tuple[int, bool]]] = {}
        """``{release: [(number of the statement to die at, only after it returned)]}``"""
        self.undisturbed: dict[str, Any] = {}
        self.before: dict[str, str] = {}
        self.folder = folder

    def open(self) -> None:
        folder, server = self.folder, self.server
        first = self.create(f"{self.name}_r0", "template0")
        self.project = Project(folder, server.url(first), address(server, first))
        self.project.models(R1)
        self.project.run("makemigrations", "shop")
        self.project.deploy("r1")
        self.project.sql(DATA)
        self.project.models(R2)
        gone = ("legacy", "level", "agent", "extra")
        words = [word for name in gone for word in ("--not-renamed", f"shop.order.{name}")]
        self.project.run("makemigrations", "shop", *words)
        for _ in range(AT_ONCE):
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.operations.killing"],
                cwd=folder,
                env=self.project.env(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self.processes.put(process)
        self.before = {"r2": first, "r3": self.create(f"{self.name}_r2", first)}
        self.run(self.before["r3"], "r2")
        for release, template in self.before.items():
            copy = self.create(f"{self.name}_end", template)
            ran = self.run(copy, release)
            deaths, last = json.loads(ran["said"].rpartition("deaths: ")[2])
            self.deaths[release] = [*((at, False) for at in deaths), (last, True)]
            self.undisturbed[release] = self.ends(copy)
            self.drop(copy)

    def create(self, name: str, template: str) -> str:
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self.made.append(name)
        return name

    def drop(self, name: str) -> None:
        self.admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.made.remove(name)

    def order(self, database: str, release: str, **more: Any) -> dict[str, Any]:
        order = {"database": database, "release": release, "args": ["migrate"], **more}
        process = self.processes.get()
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        finally:
            self.processes.put(process)

    def run(self, database: str, release: str) -> dict[str, Any]:
        ran = self.order(database, release)
        assert ran["code"] == 0, ran["said"]
        return ran

    def ends(self, database: str) -> dict[str, Any]:
        """Schema, data and django_migrations, without what differs from run to run."""
        with psycopg.connect(**address(self.server, database), autocommit=True) as session:

            def ask(query: str) -> list[tuple[Any, ...]]:
                return session.execute(query).fetchall()

            columns = ask(
                """
                SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                       pg_get_expr(d.adbin, d.adrelid)
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                  AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
                """
            )
            found: dict[str, Any] = {
                "columns": columns,
                "indexes": ask(
                    """
                    SELECT pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_index i
                    JOIN pg_class c ON c.oid = i.indrelid
                    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
                    """
                ),
                "constraints": ask(
                    """
                    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated
                    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                    WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2
                    """
                ),
                "triggers": ask(
                    "SELECT pg_get_triggerdef(oid) FROM pg_trigger "
                    "WHERE NOT tgisinternal ORDER BY 1"
                ),
                "functions": ask(
                    "SELECT proname FROM pg_proc "
                    "WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
                ),
                "applied": ask(
                    "SELECT app, name, count(*) FROM django_migrations GROUP BY 1, 2 ORDER BY 1, 2"
                ),
            }
            for table in sorted({c[0] for c in columns if c[0].startswith("shop_")}):
                names = [c[1] for c in columns if c[0] == table]
                same = ", ".join(f'"{n}"' for n in names if n not in OWN_VALUES)
                found[table] = ask(f"SELECT {same} FROM {table} ORDER BY id")
                for own in OWN_VALUES & set(names):
                    found[f"{table}.{own}"] = ask(
                        f"SELECT count({own}), count(*), count(DISTINCT {own}) = count(*) "
                        f"OR '{own}' IN ('at', 'since') FROM {table}"
                    )
            return found

    def close(self) -> None:
        while not self.processes.empty():
            process = self.processes.get()
            process.stdin.close()
            process.wait(timeout=30)
            process.stdout.close()
        for name in list(self.made):
            self.drop(name)
        self.admin.close()


@pytest.fixture(scope="module")
def site(server, tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("kills") / "project"
    made = Site(server, folder)
    try:
        made.open()
        yield made
    finally:
        made.close()
    shutil.rmtree(folder)


CHUNKS = 4  # tests of a bearable length each


@pytest.mark.once
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("release", ["r2", "r3"])
def test_killed_at_any_statement_migrate_run_again_ends_in_the_same_place(site, release, chunk):
    """The deploy job is killed (out of memory, time limit, drained node) and started again."""
    deaths = site.deaths[release]
    assert len(deaths) > CHUNKS

    def kill(death: tuple[int, bool]) -> None:
        at, after = death
        copy = site.create(f"{site.name}_{release}_{at}_{after}".lower(), site.before[release])
        killed = site.order(copy, release, at=at, after=after)
        assert killed["code"] == -signal.SIGKILL, killed["said"]
        again = site.order(copy, release)
        assert again["code"] == 0, f"statement {at}: {again['said']}"
        assert site.ends(copy) == site.undisturbed[release], f"statement {at}"
        site.drop(copy)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(kill, deaths[chunk::CHUNKS]):
            pass


def test_the_changes_are_those_that_the_releases_are_about(site):
    """So that the kills above cover every kind of generated migration."""
    columns = {
        column: rest
        for table, column, *rest in site.undisturbed["r3"]["columns"]
        if table == "shop_order"
    }
    required = {"status", "count", "at", "number", "token", "since", "serial"}
    assert required <= {name for name, (_, not_null, _) in columns.items() if not_null}
    assert not {"legacy", "level", "agent_id", "extra_id"} & set(columns)
    tables = {row[0] for row in site.undisturbed["r3"]["columns"]}
    assert not {"shop_extra", "shop_extra_tags", "shop_order_tags"} & tables
    assert all(valid for _, valid in site.undisturbed["r3"]["indexes"])
    assert all(valid for *_, valid in site.undisturbed["r3"]["constraints"])
    assert site.undisturbed["r3"]["triggers"] == []
    assert site.undisturbed["r3"]["shop_order.serial"] == [(5, 5, True)]


def test_makemigrations_is_clean_straight_after(site):
    """What was written is what the models say."""
    site.project.run("makemigrations", "--check", "--dry-run")
