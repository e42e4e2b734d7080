"""Contracts that no expand prepares, and changes that pass a contract."""

from __future__ import annotations

import pytest
from django.db import IntegrityError


def test_a_check_is_added_no_earlier_though_nothing_had_to_be_expanded(site, session):
    """r1's code writes what the CHECK of r2 forbids."""
    total = 'models.CheckConstraint(condition=Q(total__gte=0), name="positive")'
    site.migration("0002_contract", f'AddCheckConstraint("order", {total})', atomic=False)
    assert "it came with release r2" in site.deploy("r2")
    site.sql("INSERT INTO shop_order (total) VALUES (-1)")
    site.sql("DELETE FROM shop_order WHERE total = -1")
    old = session("web release=r1")
    assert "still runs release r1" in site.deploy("r3")
    old.close()
    assert "Held back" not in site.deploy("r3")
    with pytest.raises(IntegrityError):
        site.sql("INSERT INTO shop_order (total) VALUES (-1)")


def test_an_index_goes_no_earlier_though_nothing_had_to_be_expanded(site):
    """Queries of r1 rest on it, during the rollout and after a rollback."""
    index = 'models.Index(fields=["total"], name="by_total")'
    site.migration("0002_expand", f'AddIndexConcurrently("order", {index})', atomic=False)
    site.deploy("r2")
    site.migration("0003_contract", 'RemoveIndexConcurrently("order", "by_total")', atomic=False)
    assert "it came with release r3" in site.deploy("r3")
    assert site.sql("SELECT to_regclass('by_total') IS NOT NULL") == [(True,)]
    assert "Held back" not in site.deploy("r4")
    assert site.sql("SELECT to_regclass('by_total') IS NULL") == [(True,)]


def test_what_a_foreign_key_says_to_python_passes_the_contract_of_that_key(site):
    """It becomes required, and on the next day another pull request gives it a related_name."""
    key = 'models.ForeignKey("shop.order", models.CASCADE{})'
    site.migration("0002_key", f'migrations.AddField("order", "of", {key.format(", null=True")})')
    site.deploy("r1")
    required = f'ExpandAlterField("order", "of", {key.format("")})'
    site.migration("0003_expand", required, atomic=False)
    site.migration("0004_contract", 'SetNotNull("order", "of")', atomic=False)
    said = key.format(', related_name="parts"')
    alter = f'migrations.AlterField("order", "of", {said})'
    site.migration("0005_said", f"migrations.SeparateDatabaseAndState(state_operations=[{alter}])")
    told = site.deploy("r2")
    assert "Applying shop.0005_said... OK" in told
    assert "shop.0004_contract" in told.partition("Held back:")[2]
