"""What is left of ``index_together``: histories begun before Django 5.1, which has it no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stories.rows import Row
from tests.stories.schema import Schema, schema
from tests.stories.story import Story

pytestmark = pytest.mark.slow

ORDER = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    {} = models.{}()
    {}
"""
INDEX = 'class Meta:\n        indexes = [models.Index(fields=["email", "total"], name="both")]'
OLD = ORDER.format("total", "IntegerField", "")
TOLD = "options={'index_together': {('email', 'total')}},"
WAY_OUT = "Declare it: models.Index("
ROWS = [
    Row("it becomes an index", OLD, ORDER.format("total", "IntegerField", INDEX)),
    Row(
        "it becomes an index while a field of it changes its type",
        OLD,
        ORDER.format("total", "BigIntegerField", INDEX),
    ),
    Row(
        "it goes with a field",
        OLD,
        OLD.replace("    total = models.IntegerField()\n", ""),
        back="is NULL in",
    ),
    Row(
        "a field of it changes its type",
        OLD,
        ORDER.format("total", "BigIntegerField", ""),
        refused=WAY_OUT,
    ),
    Row(
        "a field of it gets another name",
        OLD,
        ORDER.format("amount", "IntegerField", ""),
        renamed={"Order.total": "Order.amount"},
        refused=WAY_OUT,
    ),
]


class BegunBefore(Story):
    """r1's first file was written by an older Django."""

    def install(self) -> None:
        self.manage(self.old_project, "makemigrations", "shop")
        [name] = self.old_project.migrations()
        head, end, rest = self.old_project.read(name).partition("            ],\n        ),")
        assert end
        told = f"{head}            ],\n            {TOLD}\n        ),{rest}"
        self.old_project.write(f"shop/migrations/{name}.py", told)
        self.manage(self.old_project, "migrate")

    def _go_back(self, before: Schema) -> None:
        """Django does not know what the index was called, and leaves it the name it has."""
        self.unapply()
        now = schema(self.old_project)
        assert ({**now, "indexes": []}) == ({**before, "indexes": []})
        assert len(now["indexes"]) == len(before["indexes"]), now
        self.oracle.forget_new()
        self.write("old", "back")
        self.deploy("r2", meanwhile="old")


@pytest.mark.parametrize("row", [pytest.param(row, id=row.slug) for row in ROWS])
def test_an_index_of_it_is_carried_on_or_the_way_out_is_said(row: Row, story: Any, from_scratch):
    with story(row) as told:
        told.__class__ = BegunBefore
        told.walk(from_scratch(row.models("after")))
