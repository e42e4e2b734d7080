from __future__ import annotations

import uuid

import psycopg
import pytest

from tests.conftest import address
from tests.executor.site import Site

ORDER = """migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True)),
            ("flag", models.CharField(max_length=9, null=True)),
            ("total", models.IntegerField(null=True)),
        ])"""


@pytest.fixture
def site(pg, tmp_path) -> Site:
    """A shop with one table, deployed as r1, with ten orders."""
    made = Site(tmp_path, uuid.uuid4().hex[:8])
    made.migration("0001_initial", ORDER)
    made.deploy("r1")
    made.sql("INSERT INTO shop_order (flag) SELECT 'x' FROM generate_series(1, 10)")
    return made


@pytest.fixture
def session(server, pg):
    """Sessions of somebody else's, by their application_name; closed at the end."""
    opened = []

    def opening(name: str) -> psycopg.Connection:
        where = address(server, pg.settings_dict["NAME"])
        opened.append(psycopg.connect(**where, application_name=name, autocommit=True))
        return opened[-1]

    yield opening
    for one in opened:
        one.close()
