"""Two changes of one thing in one release: refused before anything is done, and what to do then."""

from __future__ import annotations

import pytest

from tests.executor.site import Site

SUM = '"order", "sum"'
FILES = ["0002_expand", "0003_contract", "0004_expand"]


@pytest.fixture
def twice(site) -> Site:
    """``total`` becomes ``sum``, then ``sum`` becomes ``price``; nothing of it is deployed."""
    site.migration("0002_expand", 'AddRenamedField("order", "total", "sum")', atomic=False)
    site.migration("0003_contract", 'DropRenamedField("order", "total", "sum")', atomic=False)
    site.migration("0004_expand", 'AddRenamedField("order", "sum", "price")', atomic=False)
    site.release = "r2"
    return site


@pytest.mark.parametrize("asked", ["migrate", "plan", "check_unapplied", "phase"])
def test_it_is_refused_with_nothing_changed_and_looking_says_the_same(twice, asked):
    options = {"migrate": {}, "phase": {"phase": "expand"}}.get(asked, {asked: True})
    columns, ledger = twice.columns(), twice.sql("SELECT count(*) FROM safemigrate_ledger")
    ran = twice.manage("migrate", **options)
    assert ran.code == 1
    assert (
        "shop.0004_expand comes too early: it cannot run before shop.0003_contract. They change "
        "the same thing, and shop.0003_contract waits until shop.0002_expand has been rolled out."
    ) in ran.err
    assert "Nothing was changed. Deploy shop.0003_contract and what comes before it al" in ran.err
    assert "delete shop.0002_expand and all that follows it in shop" in ran.err
    assert "run migrate shop 0001_initial before that." in ran.err
    assert "Do not roll this release out" not in ran.err
    assert (twice.applied(), twice.columns()) == (["0001_initial"], columns)
    assert twice.sql("SELECT count(*) FROM safemigrate_ledger") == ledger


def test_the_first_alone_and_then_both_come_through(twice):
    third = twice.migrations / "0004_expand.py"
    written = third.read_text()
    third.unlink()
    assert "0003_contract" in twice.deploy("r2").partition("Held back:")[2]
    third.write_text(written)
    told = twice.deploy("r3")
    assert told.index("0003_contract... OK") < told.index("0004_expand... OK")
    assert {"sum", "price"} <= set(twice.columns())


def test_where_the_expand_came_before_the_rest_is_applied_as_ever(twice, session):
    """r2 is being rolled out: the moment comes, and r3 waits for it."""
    third = twice.migrations / "0004_expand.py"
    written = third.read_text()
    third.unlink()
    twice.deploy("r2")
    third.write_text(written)
    twice.migration(
        "0005_note",
        'migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))])',
        after="0003_contract",
    )
    twice.migration("0006_merge", dependencies=[("shop", "0004_expand"), ("shop", "0005_note")])
    old = session("web release=r1")
    twice.release = "r3"
    ran = twice.manage("migrate")
    assert ran.code == 1
    assert "Everything else that is due was applied. Do not roll this release out" in ran.err
    assert "0005_note" in twice.applied()
    old.close()
    assert "0004_expand... OK" in twice.deploy("r3")


def test_a_check_that_comes_and_goes_is_refused_too(site):
    """Nothing had to prepare the first: it is as new as what takes it back."""
    check = 'models.CheckConstraint(condition=Q(total__gte=0), name="ok")'
    site.migration("0002_contract", f'AddCheckConstraint("order", {check})', atomic=False)
    site.migration("0003_expand", 'DropConstraint("order", "ok", after_rollout=False)')
    site.release = "r2"
    ran = site.manage("migrate")
    assert ran.code == 1
    assert "waits until what came with it has been rolled out" in ran.err
    assert site.applied() == ["0001_initial"]


def test_what_is_marked_as_applied_is_not_asked(twice):
    """--fake changes nothing but the history; whoever uses it repairs it by hand."""
    ran = twice.manage("migrate", fake=True)
    assert "comes too early" not in ran.err
    assert "0002_expand" in twice.applied()


def test_a_database_that_nobody_uses_gets_both_at_once(twice, tmp_path):
    twice.settings["DEBUG"] = True
    assert "0004_expand... OK" in twice.deploy("r2")


def test_the_status_says_what_migrate_would(twice):
    """Asked before the deploy; it changes nothing and holds no more than migrate does."""
    twice.release = "r2"
    refused = twice.manage("migrate").err.removeprefix("CommandError: ")
    told = twice.manage("safemigrate", "status").out
    held, _, early = told.partition("Too early: migrate would refuse this release.\n")
    assert "shop.0003_contract" in held
    reason, do, *_ = (line.strip() for line in early.splitlines())
    assert f"{reason} Nothing was changed. {do}" == refused
    (twice.migrations / "0004_expand.py").unlink()
    assert "Too early" not in twice.manage("safemigrate", "status").out
