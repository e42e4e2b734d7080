"""Two branches that nothing but a merge migration joins: Django may run either one first."""

from __future__ import annotations

import pytest

MERGE = "0004_merge"
COUNT = '"order", "count"'
KEY = '"order", "id", "key"'


class Branches:
    """A new field whose default is still to be dropped; another name for the primary key."""

    def __init__(self, site, field: str, key: str) -> None:
        self.site = site
        self.field = [f"0002_{field}_expand", f"0003_{field}_contract"]
        self.key = [f"0002_{key}_expand", f"0003_{key}_contract"]

    def write_field(self) -> None:
        expand, contract = self.field
        added = f"ExpandField({COUNT}, models.IntegerField(default=3), database_default=3)"
        self.site.migration(expand, added, after="0001_initial")
        dropped = f"DropDatabaseDefault({COUNT}, database_default=3)"
        self.site.migration(contract, dropped, atomic=False)

    def write_key(self) -> None:
        expand, contract = self.key
        renamed = f"ExpandRenamePrimaryKey({KEY})"
        self.site.migration(expand, renamed, after="0001_initial", atomic=False)
        self.site.migration(contract, f"ContractRenamePrimaryKey({KEY})", atomic=False)

    def merge(self) -> None:
        both = [("shop", self.field[1]), ("shop", self.key[1])]
        self.site.migration(MERGE, dependencies=both)

    def carried_through(self) -> bool:
        shown = self.site.sql(
            "SELECT column_name, column_default FROM information_schema.columns "
            "WHERE table_name = 'shop_order' AND column_name IN ('id', 'key', 'count')"
        )
        [(kind,)] = self.site.sql("SELECT relkind FROM pg_class WHERE relname = 'shop_order'")
        return kind in (b"r", "r") and dict(shown) == {"key": None, "count": None}


@pytest.fixture(params=[("a", "b"), ("b", "a")], ids=["field first", "key first"])
def branches(site, request) -> Branches:
    """Django lists the branch with the later name first."""
    return Branches(site, *request.param)


def test_a_contract_that_is_due_runs_before_another_branch_changes_its_table(branches):
    """The field is out; then the other branch is merged. Its expand makes a view of the table."""
    site = branches.site
    branches.write_field()
    assert branches.field[1] in site.deploy("r2").partition("Held back:")[2]
    branches.write_key()
    branches.merge()
    told = site.deploy("r3")
    assert told.index(branches.field[1]) < told.index(branches.key[0])
    assert "Held back" not in site.deploy("r4")
    assert branches.carried_through()
    assert site.applied()[-1] == MERGE


def test_the_plan_that_is_shown_is_the_order_that_is_kept(branches):
    site = branches.site
    branches.write_field()
    site.deploy("r2")
    branches.write_key()
    branches.merge()
    site.release = "r3"
    told = site.manage("migrate", plan=True).out
    assert told.index(branches.field[1]) < told.index(branches.key[0])


def test_another_branch_waits_while_the_contract_is_held(branches, session):
    """An old process is left over: the deploy is refused, and goes on when that has ended."""
    site = branches.site
    branches.write_field()
    site.deploy("r2")
    branches.write_key()
    branches.merge()
    old = session("gunicorn release=r1")
    site.release = "r3"
    ran = site.manage("migrate")
    assert ran.code == 1
    expand, contract = branches.key[0], branches.field[1]
    assert f"shop.{expand} cannot run before shop.{contract}, which is held back (" in ran.err
    assert "Do not roll this release out yet." in ran.err
    assert expand not in site.applied()
    old.close()
    assert expand in site.deploy("r3")
    site.deploy("r4")
    assert branches.carried_through()


def test_of_two_branches_of_one_release_none_is_begun_and_one_after_the_other_comes(branches):
    """The one that Django lists first would begin, and the other could not run in this release."""
    site = branches.site
    branches.write_field()
    branches.write_key()
    branches.merge()
    site.release = "r2"
    ran = site.manage("migrate")
    assert ran.code == 1
    assert "comes too early" in ran.err
    assert "Nothing was changed. Deploy " in ran.err
    assert site.applied() == ["0001_initial"]
    first, second = branches.field, branches.key
    if f"{second[0]} comes too early" not in ran.err:
        first, second = second, first
    assert f"Applying shop.{first[0]}... OK" in site.deploy("r2", "shop", first[0])
    assert f"Applying shop.{second[0]}... OK" in site.deploy("r3")
    assert "Held back" not in site.deploy("r4")
    assert branches.carried_through()
