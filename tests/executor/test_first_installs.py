"""Databases that nobody uses yet: nothing is held back."""

from __future__ import annotations

import uuid

import pytest

from tests.executor.conftest import ORDER
from tests.executor.site import Site
from tests.executor.test_phases_and_releases import DROP_FLAG


def test_a_fresh_database_runs_straight_through(pg, tmp_path):
    """A first install, and every test database."""
    site = Site(tmp_path, uuid.uuid4().hex[:8])
    site.migration("0001_initial", ORDER)
    site.migration("0002_contract", DROP_FLAG, atomic=False)
    assert "Held back" not in site.deploy("r1")
    assert "flag" not in site.columns()


@pytest.mark.parametrize("again", ["r1", "r2"])
def test_a_first_install_that_stopped_half_way_goes_on_as_one(pg, tmp_path, again):
    """The files of years, two changes of one column among them; nobody has used it yet."""
    site = Site(tmp_path, uuid.uuid4().hex[:8])
    site.migration("0001_initial", ORDER)
    site.migration("0002_stops", "migrations.RunPython(migrations.RunPython.noop)")
    site.migration("0003_contract", DROP_FLAG, atomic=False)
    site.migration(
        "0004_again", 'migrations.AddField("order", "flag", models.IntegerField(null=True))'
    )
    site.migration("0005_contract", 'ContractDrop("order", "total")', atomic=False)
    site.release = "r1"
    stops = site.migrations / "0002_stops.py"
    text = stops.read_text()
    stops.write_text(text.replace("(migrations.RunPython.noop)", "(lambda apps, editor: 1 / 0)"))
    with pytest.raises(ZeroDivisionError):
        site.manage("migrate")
    assert site.applied() == ["0001_initial"]
    stops.write_text(text)
    site.release = again
    ran = site.manage("migrate")
    if again == "r1":
        assert ran.code == 0, ran.text
        assert "Held back" not in ran.out
        assert site.columns() == {"id": False, "flag": True}
    else:
        assert "shop.0003_contract" in ran.out.partition("Held back:")[2]


def test_a_first_install_that_has_ended_is_over(site):
    """The same release once more, with a migration that it did not have."""
    site.migration("0002_contract", DROP_FLAG, atomic=False)
    assert "Held back" in site.deploy("r1")
