"""Migrations of installed packages: nobody here can fix the files; they are fixed as they run."""

from __future__ import annotations

import uuid

import pytest
from django.db import ProgrammingError

from tests.executor.conftest import ORDER
from tests.executor.site import Site

TOTALS = "0002_totals"
DONE_AT_R2 = [
    "Applying shop.0002_totals (expand)... OK",
    "Applying shop.0002_totals (backfill)... OK",
    "Applying shop.0002_totals... OK",
]
CONTRACT = "shop.0002_totals (contract)"


@pytest.fixture
def site(pg, tmp_path) -> Site:
    """The package's first version is in use since r1."""
    made = Site(tmp_path, uuid.uuid4().hex[:8])
    made.settings = {"SAFEMIGRATE": {"THIRD_PARTY": ["shop"]}}
    made.migration("0001_initial", ORDER)
    made.deploy("r1")
    made.sql("INSERT INTO shop_order (flag) SELECT 'x' FROM generate_series(1, 10)")
    return made


@pytest.fixture
def upgraded(site) -> Site:
    """Its new version brings a stock migration of the worst kind."""
    site.migration(
        TOTALS,
        'migrations.AddField("order", "token", models.UUIDField(default=uuid.uuid4))',
        'migrations.AddIndex("order", models.Index(fields=["total"], name="by_total"))',
        'migrations.RemoveField("order", "flag")',
    )
    return site


def ledger(site: Site) -> list[tuple[str, str]]:
    return site.sql("SELECT action, name FROM safemigrate_ledger WHERE name <> '' ORDER BY id")


def applying(told: str) -> list[str]:
    return [line.strip() for line in told.splitlines() if line.strip().startswith("Applying")]


def test_it_is_rewritten_as_it_runs_and_its_contract_waits_for_a_release(upgraded):
    told = upgraded.deploy("r2")
    assert (
        "shop.0002_totals is an installed package's; rewritten to 0002_totals (expand), "
        "0002_totals (backfill), 0002_totals, 0002_totals (contract)"
    ) in told
    assert [line for line in DONE_AT_R2 if line not in told] == []
    assert CONTRACT in told.partition("Held back:")[2]
    assert upgraded.applied() == ["0001_initial", TOTALS]
    assert upgraded.columns() == {"id": False, "flag": True, "total": True, "token": True}
    assert upgraded.sql("SELECT count(DISTINCT token) FROM shop_order") == [(10,)]


def test_the_next_release_completes_it_and_django_knows_one_migration(upgraded):
    upgraded.deploy("r2")
    told = upgraded.deploy("r3")
    assert applying(told) == [f"Applying {CONTRACT}... OK"]
    assert "Held back" not in told
    assert upgraded.columns() == {"id": False, "total": True, "token": False}
    assert upgraded.applied() == ["0001_initial", TOTALS]
    assert "No migrations to apply" in upgraded.deploy("r3")
    assert "No migrations to apply" in upgraded.deploy("r4")


def test_the_same_release_once_more_changes_nothing(upgraded):
    upgraded.deploy("r2")
    before = ledger(upgraded)
    told = upgraded.deploy("r2")
    assert applying(told) == []
    assert CONTRACT in told
    assert ledger(upgraded) == before


def test_what_was_done_is_known_after_a_failure(upgraded):
    """The index cannot be built at first; the parts before it are not run again."""
    upgraded.sql("CREATE TABLE other (x int)")
    upgraded.sql("CREATE INDEX by_total ON other (x)")
    upgraded.release = "r2"
    with pytest.raises(ProgrammingError):
        upgraded.manage("migrate")
    assert upgraded.applied() == ["0001_initial"]
    upgraded.sql("DROP TABLE other")
    assert applying(upgraded.deploy("r2")) == ["Applying shop.0002_totals... OK"]
    assert applying(upgraded.deploy("r3")) == [f"Applying {CONTRACT}... OK"]


def test_later_migrations_build_on_it_while_its_contract_waits(upgraded):
    upgraded.deploy("r2")
    upgraded.migration(
        "0003_more", 'migrations.AddField("order", "more", models.IntegerField(null=True))'
    )
    assert applying(upgraded.deploy("r2")) == ["Applying shop.0003_more... OK"]
    assert applying(upgraded.deploy("r3")) == [f"Applying {CONTRACT}... OK"]
    assert applying(upgraded.deploy("r4")) == []


def test_the_way_back_before_and_after_its_contract(upgraded):
    schema = upgraded.columns()
    upgraded.deploy("r2")
    assert upgraded.manage("migrate", "shop", "0001").code == 0
    assert upgraded.columns() == schema
    assert upgraded.applied() == ["0001_initial"]
    told = upgraded.deploy("r2")
    assert [line for line in DONE_AT_R2 if line not in told] == []
    upgraded.deploy("r3")
    assert upgraded.manage("migrate", "shop", "0001").code == 0
    assert upgraded.columns() == schema
    told = upgraded.deploy("r4")
    assert [line for line in DONE_AT_R2 if line not in told] == []
    assert CONTRACT in told
    upgraded.deploy("r5")
    assert upgraded.columns() == {"id": False, "total": True, "token": False}


def test_plan_check_and_status_tell_the_same(upgraded):
    upgraded.release = "r2"
    told = upgraded.manage("migrate", plan=True).out
    assert "shop.0002_totals (expand)\n    Add column token to order for both releases" in told
    assert "is an installed package's; rewritten to" in told
    assert upgraded.manage("migrate", check_unapplied=True).code == 1
    upgraded.deploy("r2")
    assert "0002_totals (contract)" in upgraded.manage("safemigrate", "status").out


def test_a_table_that_is_new_and_a_first_install_are_left_as_they_are(upgraded, tmp_path):
    """A fresh database, a test database, a package that was installed just now."""
    upgraded.migration(
        "0003_tag",
        'migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])',
        'migrations.AddField("tag", "name", models.SlugField(default="a"))',
    )
    assert "Applying shop.0003_tag... OK" in upgraded.deploy("r2")
    upgraded.sql("DROP TABLE shop_order, shop_tag, django_migrations, safemigrate_ledger")
    upgraded.sql("DROP TABLE safemigrate_backfill, django_content_type")
    told = upgraded.deploy("r1")
    assert "(" not in "".join(applying(told))
    assert upgraded.columns() == {"id": False, "total": True, "token": False}


def test_nothing_but_a_removal_is_recorded_and_owed(site):
    site.migration(TOTALS, 'migrations.RemoveField("order", "flag")')
    assert applying(site.deploy("r2")) == ["Applying shop.0002_totals... OK"]
    assert "flag" in site.columns()
    assert applying(site.deploy("r3")) == [f"Applying {CONTRACT}... OK"]
    assert "flag" not in site.columns()


def test_code_of_the_package_runs_in_its_place(site):
    site.migration(
        TOTALS,
        'migrations.AddField("order", "sum", models.IntegerField(default=3))',
        "migrations.RunPython(fill, migrations.RunPython.noop)",
        'migrations.AlterField("order", "total", models.IntegerField(null=True, db_index=True))',
    )
    site.code(
        TOTALS,
        """
        def fill(apps, schema_editor):
            apps.get_model("shop", "Order").objects.update(sum=4)
        """,
    )
    told = site.deploy("r2")
    assert [line.partition("totals")[2] for line in applying(told)] == [
        " (expand)... OK",
        " (backfill)... OK",
        "... OK",
    ]
    assert site.sql("SELECT DISTINCT sum FROM shop_order") == [(4,)]
    assert "Held back" not in site.deploy("r3")


UNSAFE = 'migrations.AlterField("order", "flag", models.JSONField())'


@pytest.fixture
def unsafe(site) -> Site:
    site.migration(TOTALS, UNSAFE)
    site.release = "r2"
    return site


def test_what_nothing_makes_safe_is_refused_before_anything_is_done(unsafe):
    for options in ({}, {"plan": True}):
        ran = unsafe.manage("migrate", **options)
        assert ran.code == 1
        for word in ("Installed packages bring", "shop.0002_totals", "shop_order", "ASSURED"):
            assert word in ran.err
        assert "Nothing was changed." in ran.err
    assert unsafe.applied() == ["0001_initial"]
    assert unsafe.manage("migrate", "contenttypes").code == 0, "not about this one"


@pytest.fixture
def two_versions(upgraded) -> Site:
    """The version after it changes the new field once more; both come with one upgrade."""
    field = "models.UUIDField(null=True)"
    upgraded.migration("0003_more", f'migrations.AlterField("order", "token", {field})')
    upgraded.release = "r2"
    return upgraded


def test_two_versions_that_change_one_thing_are_refused_and_no_file_is_to_be_deleted(two_versions):
    for options in ({}, {"plan": True}, {"check_unapplied": True}):
        ran = two_versions.manage("migrate", **options)
        assert ran.code == 1
        assert f"comes too early: it cannot run before {CONTRACT}" in ran.err
        assert "deploy a version that has shop.0002_totals and not yet shop.0003_more" in ran.err
        assert "Nothing was changed." in ran.err
        assert "delete" not in ran.err
    assert two_versions.applied() == ["0001_initial"]


def test_the_version_in_between_brings_them_through(two_versions):
    more = two_versions.migrations / "0003_more.py"
    text = more.read_text()
    more.unlink()
    two_versions.deploy("r2")
    more.write_text(text)
    assert "Applying shop.0003_more... OK" in applying(two_versions.deploy("r3"))
    assert two_versions.columns() == {"id": False, "total": True, "token": True}


def test_so_does_somebody_who_vouches_for_the_first(two_versions):
    two_versions.settings["SAFEMIGRATE"]["ASSURED"] = {"shop.0002_totals": "at night"}
    assert "Applying shop.0003_more... OK" in applying(two_versions.deploy("r2"))
    assert two_versions.columns() == {"id": False, "total": True, "token": True}


def test_an_empty_table_is_nobody_s_trouble(unsafe):
    unsafe.sql("DELETE FROM shop_order")
    assert applying(unsafe.deploy("r2")) == ["Applying shop.0002_totals... OK"]
    assert unsafe.columns()["flag"] is False


def test_somebody_may_vouch_for_it(upgraded):
    upgraded.settings["SAFEMIGRATE"]["ASSURED"] = {"shop.0002_totals": "at night"}
    assert applying(upgraded.deploy("r2")) == ["Applying shop.0002_totals... OK"]
    assert "flag" not in upgraded.columns()


def test_where_no_older_code_is_left_it_still_goes_online_and_all_at_once(upgraded):
    upgraded.settings["SAFEMIGRATE"]["HOLD_CONTRACT"] = False
    assert applying(upgraded.deploy("r2"))[-1] == f"Applying {CONTRACT}... OK"


def test_our_own_migrations_are_not_rewritten(upgraded):
    """check refuses them; the author fixes the file."""
    del upgraded.settings["SAFEMIGRATE"]["THIRD_PARTY"]
    upgraded.settings["SILENCED_SYSTEM_CHECKS"] = ["safemigrate.E101"]
    assert "(" not in "".join(applying(upgraded.deploy("r2", skip_checks=True)))
