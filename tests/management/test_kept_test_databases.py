"""A test database that is kept from run to run gets what is new, as a new one would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.projects import Project

MODELS = """
class Order(models.Model):
    note = models.CharField(max_length=20{})
"""
TESTS = """
from django.db import connection
from django.test import TestCase

class Columns(TestCase):
    def test_columns(self):
        with connection.cursor() as cursor:
            found = connection.introspection.get_table_description(cursor, "shop_order")
        self.assertEqual({column.name: column.null_ok for column in found}, %r)
"""


@pytest.fixture
def kept(project) -> Iterator[Project]:
    """Its test database was made by an earlier run, and has another name than Django's."""
    name = f"kept_{project.address['dbname']}"
    project.setting(f'DATABASES["default"]["TEST"] = {{"NAME": "{name}"}}')
    project.models(MODELS.format(", null=True"))
    project.run("makemigrations")
    project.write("shop/tests.py", TESTS % {"id": False, "note": True})
    project.run("test", "--keepdb")
    yield project
    project.sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_kept_test_database_gets_contracts_and_what_comes_after_them(kept):
    """Two changes of one field before the next run of the tests."""
    kept.models(MODELS.format(', default="x"'))
    kept.run("makemigrations")
    kept.models(MODELS.format(', default="x"').replace("max_length=20", "max_length=9"))
    kept.run("makemigrations")
    kept.write("shop/tests.py", TESTS % {"id": False, "note": False})
    ran = kept.run("test", "--keepdb", "--verbosity", "1")
    assert "Held back" not in ran.text
