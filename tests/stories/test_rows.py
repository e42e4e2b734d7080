"""Every row of the table of model changes is deployed; no release's code notices."""

from __future__ import annotations

import django
import pytest

from testproject import database
from tests.stories.rows import Row, rows
from tests.stories.schema import differences, schema

pytestmark = pytest.mark.slow
# Between the ends of what is supported, every third row is enough: see `ends` in pyproject.toml.
every_row = pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.slug, marks=[pytest.mark.ends] if number % 3 else [])
        for number, row in enumerate(rows())
    ],
)


renames = pytest.mark.parametrize(
    "row", [row for row in rows() if row.renamed and not row.refused], ids=lambda row: row.slug
)


def _needs(row: Row) -> None:
    if django.VERSION[:2] < row.django:
        pytest.skip(f"Django {row.django} has this first")
    major = int(database._version(database.binaries()).split(".")[0])
    if major < row.postgresql:
        pytest.skip(f"PostgreSQL {row.postgresql} has this first")


@every_row
def test_both_releases_work_in_every_window(row: Row, story, from_scratch):
    """r1, expand, r2 beside r1, back to r1, forward again, contract: values and final schema."""
    _needs(row)
    with story(row) as told:
        told.walk(from_scratch(row.models("after"), row.apps, row.sql_after))


@pytest.mark.once
@renames
def test_what_got_another_name_goes_back_from_after_its_contract(row: Row, story, from_scratch):
    """A release is given up when the old names have gone for good; and it comes again."""
    _needs(row)
    wanted = from_scratch(row.models("after"), row.apps, row.sql_after)
    with story(row) as told:
        told.install()
        assert told.check_written(told.develop())
        before = schema(told.old_project)
        for releases in (("r2", "r3"), ("r4", "r5")):
            for release in releases:
                told.deploy(release)
            assert not (left := differences(schema(told.new_project), wanted)), "\n".join(left)
            told.unapply()
            assert not (left := differences(schema(told.old_project), before)), "\n".join(left)
