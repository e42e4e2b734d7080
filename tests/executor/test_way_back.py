"""The way back: what the rows forbid is asked first, and no oftener than it must be."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connections

FIELDS = ("one", "two", "three")


@pytest.fixture
def ignored(site):
    """Three required fields that newer code does not know, each let go by a migration."""
    for name in FIELDS:
        field = f'"order", "{name}", models.IntegerField(default=1), preserve_default=False'
        site.migration(f"0002_{name}", f"migrations.AddField({field})")
    for number, name in enumerate(FIELDS, start=3):
        let_go = f'MakeFieldIgnorable("order", "{name}")'
        site.migration(f"000{number}_expand", let_go, atomic=False)
    site.deploy("r2")
    return site


@pytest.fixture
def asked():
    """How often the whole table is read for rows without a value, by field."""
    found: Counter[str] = Counter()

    def listen(execute, sql, *rest):
        for name in FIELDS:
            if str(sql).startswith("SELECT 1 FROM") and f'"{name}" IS NULL' in str(sql):
                found[name] += 1
        return execute(sql, *rest)

    with connections["default"].execute_wrapper(listen):
        yield found


def test_one_migration_is_asked_about_once(ignored, asked):
    ignored.deploy("r2", "shop", "0004")
    assert asked == {"three": 1}


def test_of_several_the_first_is_asked_about_once_and_all_before_it_is_undone(ignored, asked):
    """The others once more when their turn comes: older code may have written meanwhile."""
    ignored.deploy("r2", "shop", "0002_three")
    assert asked == {"three": 1, "two": 2, "one": 2}


@pytest.mark.parametrize("forbids", FIELDS)
def test_whichever_of_them_rows_forbid_nothing_is_undone(ignored, forbids):
    values = {"one": 1, "two": 1, "three": 1, forbids: None}
    ignored.sql("INSERT INTO shop_order (one, two, three) VALUES (%s, %s, %s)", *values.values())
    ran = ignored.manage("migrate", "shop", "0002_three")
    assert ran.code == 1
    assert f"shop_order.{forbids} is NULL in 1 row" in ran.err
    assert "Nothing was changed" in ran.err
    assert "0005_expand" in ignored.applied()
    assert all(ignored.columns()[name] for name in FIELDS), "still nullable"
