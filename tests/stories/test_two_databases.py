"""Two databases and a router: each has its own tables, its own contracts, and its own sessions."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import pytest

from tests.conftest import address
from tests.projects import Project

pytestmark = [pytest.mark.slow, pytest.mark.ends]

ROUTER = """
class ByApp:
    def db_for_read(self, model, **hints):
        return "logs" if model._meta.app_label == "journal" else None

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return None

    def allow_migrate(self, db, app_label, **hints):
        return db == ("logs" if app_label == "journal" else "default")
"""
SHOP = """
class Customer(models.Model):
    name = models.CharField(max_length=9)
class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    total = models.IntegerField(default=1)
    flag = models.BooleanField(default=False)
"""
JOURNAL = """
class Entry(models.Model):
    text = models.CharField(max_length=30)
class Sum(models.Model):
    entry = models.ForeignKey(Entry, models.CASCADE)
    text = models.CharField(max_length=30, null=True)
    count = models.IntegerField(default=1)
    flag = models.BooleanField(default=False)
"""
NEW_SHOP = """
class Customer(models.Model):
    name = models.CharField(max_length=9, db_index=True)
class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    amount = models.IntegerField(default=1)
    token = models.UUIDField(default=uuid.uuid4, unique=True)
"""
NEW_JOURNAL = """
class Record(models.Model):
    text = models.CharField(max_length=30)
class Sum(models.Model):
    entry = models.ForeignKey(Record, models.CASCADE)
    text = models.CharField(max_length=30, default="", db_index=True)
    count = models.BigIntegerField(default=1)
    author = models.CharField(max_length=9, default="nobody")
"""
WIDEST = {"default": "shop_order", "logs": "journal_sum"}
RENAMED = {"shop.Order.total": "shop.Order.amount", "journal.Entry": "journal.Record"}


@pytest.fixture
def both(server, databases, tmp_path, nursery) -> Iterator[dict[str, Project]]:
    """``{alias: the project, as seen on that database}``, deployed as r1, with rows."""
    with databases.one() as one, databases.one() as two:
        project = Project(
            tmp_path / "project",
            server.url(one),
            address(server, one),
            apps=["shop", "journal"],
            nursery=nursery,
            environment={"LOGS_URL": server.url(two)},
        )
        project.write("routing.py", ROUTER)
        project.setting('DATABASES["logs"] = environ.Env().db("LOGS_URL")')
        project.setting('DATABASE_ROUTERS = ["routing.ByApp"]')
        project.models(SHOP)
        project.models(JOURNAL, app="journal")
        project.run("makemigrations", "shop", "journal")
        found = {"default": project, "logs": copy(project)}
        found["logs"].address = address(server, two)
        deploy(project, "r1")
        found["default"].sql("INSERT INTO shop_customer (name) VALUES ('a')")
        found["default"].sql(
            "INSERT INTO shop_order (customer_id, total, flag) "
            "SELECT 1, n, false FROM generate_series(1, 50) n"
        )
        found["logs"].sql("INSERT INTO journal_entry (text) VALUES ('a')")
        found["logs"].sql(
            "INSERT INTO journal_sum (entry_id, text, count, flag) "
            "SELECT 1, nullif(n::text, '7'), n, false FROM generate_series(1, 50) n"
        )
        yield found


def deploy(project: Project, release: str) -> dict[str, str]:
    """``migrate`` on each database, as the script of a deploy does; what it says."""
    project.release = release
    return {alias: project.run("migrate", "--database", alias).out for alias in ("default", "logs")}


def tables(project: Project) -> set[str]:
    query = (
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relname ~ '^(shop|journal)_'"
    )
    return {name for (name,) in project.sql(query)}


@pytest.fixture
def changed(both) -> dict[str, Project]:
    """The models of both apps are edited, and nothing is deployed yet."""
    project = both["default"]
    project.models(NEW_SHOP)
    project.models(NEW_JOURNAL, app="journal")
    ran = project.nursery.manage(project, "makemigrations", renamed=RENAMED)
    assert ran.code == 0, ran.text
    return both


def test_each_database_gets_what_is_its_own(changed):
    """Rows are filled, locked and asked for where they are, and nowhere else."""
    told = deploy(changed["default"], "r2")
    assert "Backfilled shop_order" in told["default"]
    assert "journal_sum:" not in told["default"]
    assert "Backfilled journal_sum" in told["logs"]
    assert "shop_order:" not in told["logs"]
    assert tables(changed["default"]) == {"shop_customer", "shop_order"}
    assert tables(changed["logs"]) == {"journal_record", "journal_entry", "journal_sum"}
    deploy(changed["default"], "r3")
    assert tables(changed["logs"]) == {"journal_record", "journal_sum"}
    order, total = changed["default"].columns("shop_order"), changed["logs"].columns("journal_sum")
    assert set(order) == {"id", "customer_id", "amount", "token"}
    assert order["token"] == ("uuid", False, None)
    assert set(total) == {"id", "entry_id", "text", "count", "author"}
    assert total["text"] == ("character varying(30)", False, None)
    assert total["count"] == ("bigint", False, None)
    assert changed["default"].sql("SELECT count(DISTINCT token), sum(amount) FROM shop_order") == [
        (50, 1275)
    ]
    assert changed["logs"].sql(
        "SELECT sum(count), count(*) FILTER (WHERE text = ''), max(author) FROM journal_sum"
    ) == [(1275, 1, "nobody")]
    for alias in changed:
        changed["default"].run("migrate", "--check", "--database", alias)


def test_a_session_of_older_code_holds_the_contract_of_its_own_database(changed):
    """A worker of r1 is busy with the journal; nobody of r1 uses the shop any more."""
    deploy(changed["default"], "r2")
    with changed["logs"].connect(application_name="worker release=r1"):
        told = deploy(changed["default"], "r3")
        assert "Held back" not in told["default"]
        assert "shop.0005" in told["default"]
        assert "journal.0004" in told["logs"].partition("Held back")[2]
        assert "r1" in told["logs"].partition("Held back")[2]
        assert "flag" not in changed["default"].columns("shop_order")
        assert "flag" in changed["logs"].columns("journal_sum")
    assert "Held back" not in deploy(changed["default"], "r3")["logs"]
    assert "flag" not in changed["logs"].columns("journal_sum")


def test_the_way_back_is_walked_on_each_database(changed):
    project = changed["default"]
    before = {alias: each.columns(WIDEST[alias]) for alias, each in changed.items()}
    deploy(project, "r2")
    for alias in changed:
        for app in ("shop", "journal"):
            project.run("migrate", app, "0001", "--database", alias)
    assert {alias: each.columns(WIDEST[alias]) for alias, each in changed.items()} == before
    assert tables(changed["logs"]) == {"journal_entry", "journal_sum"}
