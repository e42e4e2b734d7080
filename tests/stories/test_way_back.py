"""The way back of a change that newer code has already used."""

from __future__ import annotations

import pytest

R1 = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    legacy = models.CharField(max_length=5)
"""
R2 = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    note = models.CharField(max_length=5, default="x")
"""


@pytest.mark.slow
def test_rows_of_newer_code_stop_the_way_back_before_anything_is_undone(project):
    """r2 has inserted rows without the field that r1 requires; then r2 is to be given up."""
    project.models(R1)
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.models(R2)
    project.run("makemigrations", "shop", "--noinput", "--not-renamed=shop.order.legacy")
    project.deploy("r2")
    project.sql("INSERT INTO shop_order (email) VALUES ('a@b.c')")
    before = project.columns("shop_order")

    ran = project.manage("migrate", "shop", "0001")

    assert ran.code == 1
    assert "shop_order.legacy is NULL in 1 row, so it cannot be NOT NULL" in ran.err
    assert "Nothing was changed" in ran.err
    assert project.columns("shop_order") == before
    project.sql("INSERT INTO shop_order (email) VALUES ('r2 still runs')")

    project.sql("UPDATE shop_order SET legacy = 'old' WHERE legacy IS NULL")
    project.run("migrate", "shop", "0001")
    assert project.columns("shop_order")["legacy"] == ("character varying(5)", False, None)
    assert "note" not in project.columns("shop_order")
    project.deploy("r2")
    assert project.columns("shop_order") == before


@pytest.mark.slow
def test_they_stop_it_before_the_first_of_many_files_is_undone(project):
    """The index of one field and the fill of another are files that come after the expand."""
    more = (
        "    code = models.UUIDField(default=uuid.uuid4, unique=True)\n"
        "    kind = models.CharField(max_length=5, db_index=True, default='')\n"
    )
    project.models(R1)
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.sql("INSERT INTO shop_order (email, legacy) VALUES ('old', 'x')")
    project.models(R2 + more)
    project.run("makemigrations", "shop", "--noinput", "--not-renamed=shop.order.legacy")
    project.deploy("r2")
    project.sql("INSERT INTO shop_order (email, code) VALUES ('new', gen_random_uuid())")
    applied, indexes = project.applied(), project.indexes("shop_order")
    assert len(applied) > 3

    ran = project.manage("migrate", "shop", "0001")

    assert ran.code == 1
    assert "shop_order.legacy is NULL in 1 row" in ran.err
    assert "Unapplying" not in ran.out
    assert (project.applied(), project.indexes("shop_order")) == (applied, indexes)
    project.sql("UPDATE shop_order SET legacy = 'new' WHERE legacy IS NULL")
    project.run("migrate", "shop", "0001")
    assert project.applied() == ["0001_initial"]
