"""Changes that were taken out of the code, and others that come on top of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connections
from django.utils.timezone import now

from safemigrate.executor.ledger import Ledger
from tests.executor.test_phases_and_releases import ADD_SUM, DROP_FLAG

DROP = "0002_contract"


@pytest.fixture
def revert(site) -> Callable[..., Callable[[], None]]:
    """Take migrations out of the code; what is returned brings them again."""

    def reverting(*names: str) -> Callable[[], None]:
        files = [(site.migrations / f"{n}.py", site.folder / f"{n}.kept") for n in names]

        def move(here: Path, there: Path) -> None:
            here.rename(there)

        for file, kept in files:
            move(file, kept)
        return lambda: [move(kept, file) for file, kept in files] and None

    return reverting


def test_a_drop_that_was_reverted_and_comes_again_waits_for_a_release_anew(site, revert):
    """git revert, and a month later the same files: every release in between uses the column."""
    site.migration(DROP, DROP_FLAG, atomic=False)
    site.deploy("r2")
    again = revert(DROP)
    site.deploy("r3")
    site.deploy("r4")
    again()
    assert "it came with release r5, and code of the release before" in site.deploy("r5")
    assert "flag" in site.columns()
    assert "Held back" not in site.deploy("r6")
    assert "flag" not in site.columns()


def test_a_contract_whose_expand_stayed_while_the_code_was_reverted_waits_anew(site, revert):
    """The expand came with r2, but r3 and r4 know nothing of it."""
    site.migration(
        "0002_expand",
        'ExpandField("order", "sum", models.IntegerField(default=0), database_default=0)',
    )
    site.migration(
        "0003_contract", 'DropDatabaseDefault("order", "sum", database_default=0)', atomic=False
    )
    site.deploy("r2")
    again = revert("0002_expand", "0003_contract")
    site.deploy("r3")
    site.deploy("r4")
    again()
    assert "it came with release r5" in site.deploy("r5")
    assert "it came with release r5" in site.deploy("r5")
    assert "Held back" not in site.deploy("r6")


def test_a_drop_that_was_taken_back_waits_anew(site):
    """r3 went wrong: its schema is taken back, and the code of before comes under a new name."""
    site.migration(DROP, DROP_FLAG, atomic=False)
    site.deploy("r2")
    site.deploy("r3")
    site.deploy("r3", "shop", "0001")
    assert "it came with release r4" in site.deploy("r4")
    assert "flag" in site.columns()
    assert "Held back" not in site.deploy("r5")


@pytest.mark.parametrize("way", ["left", "unapplied"])
def test_what_stock_django_applies_belongs_to_the_release_of_that_time(site, revert, way):
    """It was there before, and left with r3; ``migrate`` of another tool brings it with r5."""
    site.migration(DROP, DROP_FLAG, atomic=False)
    site.deploy("r2")
    if way == "left":
        again = revert(DROP)
        site.deploy("r3")
        again()
    else:
        site.deploy("r3")
        site.deploy("r3", "shop", "0001")
    site.deploy("r5")
    site.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', %s, now())", DROP)
    ledger, key = Ledger(connections["default"], "r5"), ("shop", DROP)
    assert ledger.applied_under({key: now()}) == {key: "r5"}


def test_another_project_on_the_same_database_takes_nothing_out(site):
    """It has other apps, and its deploys say nothing about those of this one."""
    site.migration(DROP, DROP_FLAG, atomic=False)
    site.deploy("r2")
    mine, site.settings = (
        site.settings,
        {"INSTALLED_APPS": ["safemigrate", "django.contrib.contenttypes"]},
    )
    site.deploy("b7")
    site.settings = mine
    assert "Held back" not in site.deploy("r3")


# Backfills of long ago ---------------------------------------------------------------------

TOKEN = 'migrations.AddField("order", "token", models.IntegerField(null=True))'
FILL = 'BatchedBackfill("order", values={"token": F("id")}, where=Q(token__isnull=True))'
RENAMED = '"order", "token", "mark"'
WIDE, NARROW = (f"models.{kind}(null=True)" for kind in ("BigIntegerField", "IntegerField"))


@pytest.fixture
def filled(site):
    """A nullable field was filled with r2; since then code has emptied one row on purpose."""
    site.migration("0002_expand", TOKEN)
    site.migration("0003_backfill", FILL, atomic=False)
    site.deploy("r2")
    site.sql("UPDATE shop_order SET token = NULL WHERE id = 3")
    return site


@pytest.mark.parametrize(
    ("column", "expand", "backfill", "contract"),
    [
        (
            "mark",
            f"AddRenamedField({RENAMED})",
            f"CopyRenamedField({RENAMED}), CompleteRenamedField({RENAMED})",
            f"DropRenamedField({RENAMED})",
        ),
        (
            "token",
            f'AddShadowField("order", "token", {WIDE})',
            f'CopyShadowField("order", "token", {WIDE}), SwapShadowField("order", "token", {WIDE})',
            f'DropShadowField("order", "token", {NARROW})',
        ),
    ],
    ids=["renamed", "widened"],
)
def test_a_backfill_of_a_nullable_field_is_over_once_it_has_run(
    filled, column, expand, backfill, contract
):
    """A later change of that field is no reason to fill rows that newer code has emptied."""
    for number, (phase, operations) in enumerate(
        [("expand", expand), ("backfill", backfill), ("contract", contract)], start=4
    ):
        filled.migration(f"000{number}_{phase}", operations, atomic=False)
    assert "0006_contract" in filled.deploy("r3").partition("Held back")[2]
    told = filled.deploy("r4")
    assert "Held back" not in told
    assert "came unfilled" not in told
    assert filled.sql(f"SELECT id FROM shop_order WHERE {column} IS NULL") == [(3,)]


def add_fill_and_end(site, expand, backfill, contract):
    """The three files of a change; ``expand``: operations."""
    site.migration("0004_expand", *expand)
    site.migration("0005_backfill", f'BatchedBackfill("order", {backfill})', atomic=False)
    site.migration("0006_contract", contract, atomic=False)


def test_what_is_dropped_is_copied_to_the_last_row_before(filled):
    """Older code wrote ``total`` alone; once it is dropped nothing could tell what it was."""
    where = "Q(sum__isnull=True, total__isnull=False)"
    backfill = f'values={{"sum": F("total")}}, where={where}'
    add_fill_and_end(filled, [ADD_SUM], backfill, 'ContractDrop("order", "total")')
    filled.deploy("r3")
    filled.sql("INSERT INTO shop_order (total) VALUES (77)")
    assert "1 rows came unfilled since shop.0005_backfill" in filled.deploy("r4")
    assert filled.sql("SELECT count(*) FROM shop_order WHERE sum = 77") == [(1,)]


KEY = (
    'migrations.AddField("order", "of", '
    'models.ForeignKey("shop.order", models.CASCADE, null=True, related_name="parts"))'
)


def test_a_key_may_be_filled_by_the_name_of_its_column(filled):
    """Models have ``of`` and rows have ``of_id``: a backfill may say either."""
    backfill = 'values={"of_id": F("total")}, where=Q(of_id__isnull=True)'
    add_fill_and_end(filled, [KEY], backfill, 'SetNotNull("order", "of")')
    filled.sql("UPDATE shop_order SET total = 1")
    filled.deploy("r3")
    filled.sql("INSERT INTO shop_order (total) VALUES (2)")
    assert "1 rows came unfilled since shop.0005_backfill" in filled.deploy("r4")
    assert filled.sql("SELECT count(*) FROM shop_order WHERE of_id = 2") == [(1,)]


def test_what_a_condition_reads_of_other_rows_is_known_too(filled):
    """``parts`` is no field of the model, and as little a name of long ago."""
    where = "Q(sum__isnull=True, parts__isnull=False)"
    backfill = f'values={{"sum": F("total")}}, where={where}'
    add_fill_and_end(filled, [KEY, ADD_SUM], backfill, 'ContractDrop("order", "total")')
    filled.deploy("r3")
    filled.sql("UPDATE shop_order SET total = 77 WHERE id = 4")
    filled.sql("INSERT INTO shop_order (of_id) VALUES (4)")
    assert "1 rows came unfilled since shop.0005_backfill" in filled.deploy("r4")
    assert filled.sql("SELECT id FROM shop_order WHERE sum = 77") == [(4,)]


@pytest.mark.parametrize(
    "contract",
    [
        'AddCheckConstraint("order", {})',
        'postgres.AddConstraintNotValid("order", {})',
    ],
)
def test_a_check_may_forbid_the_rows_that_older_code_has_left(filled, contract):
    check = 'models.CheckConstraint(condition=Q(token__isnull=False), name="has_token")'
    filled.migration("0004_contract", contract.format(check), atomic=False)
    filled.code("0004_contract", "import django.contrib.postgres.operations as postgres\n")
    assert "0004_contract" in filled.deploy("r3").partition("Held back")[2]
    filled.sql("INSERT INTO shop_order (total) VALUES (5)")
    assert "2 rows came unfilled since shop.0003_backfill" in filled.deploy("r4")
    filled.sql("ALTER TABLE shop_order ALTER COLUMN token SET NOT NULL")


# What another change has left --------------------------------------------------------------


def refused(site, *words: str) -> None:
    site.release = "r2"
    ran = site.manage("migrate")
    assert ran.code == 1, ran.text
    for said in (*words, "Nothing was changed.", "Unapply that change"):
        assert said in ran.err, ran.err


def test_a_column_of_another_type_is_not_taken_for_what_a_killed_run_has_left(site):
    """A feature was reverted and never unapplied; another one has a field of that name."""
    site.sql("ALTER TABLE shop_order ADD COLUMN sum text")
    site.migration(
        "0002_expand",
        'ExpandField("order", "sum", models.IntegerField(default=0), database_default=0)',
    )
    refused(site, "shop_order has a column sum already, of the type text and not integer")
    site.sql("ALTER TABLE shop_order DROP COLUMN sum")
    site.deploy("r2")
    assert "sum" in site.columns()


@pytest.mark.parametrize("kind", ["integer", "bigint"])
def test_a_column_that_follows_another_one_is_not_taken_for_the_new_name(site, kind):
    site.sql(f"ALTER TABLE shop_order ADD COLUMN sum {kind}")
    site.migration("0002_expand", 'AddRenamedField("order", "total", "sum")', atomic=False)
    says = "of the type bigint and not integer" if kind == "bigint" else "does not follow total"
    refused(site, "shop_order has a column sum already", says)


def test_the_half_of_a_type_change_is_not_taken_for_that_of_another_one(site, revert):
    """Its files were deleted though its expand had run; the next one goes elsewhere."""
    add = 'AddShadowField("order", "total", models.{}(null=True{}))'
    site.migration("0002_expand", add.format("BigIntegerField", ""), atomic=False)
    site.deploy("r2")
    revert("0002_expand")
    digits = ", max_digits=30, decimal_places=2"
    site.migration(
        "0002_other", add.format("DecimalField", digits), after="0001_initial", atomic=False
    )
    refused(site, "of the type bigint and not numeric(30, 2)")
