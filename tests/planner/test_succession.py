"""What comes in the place of an index or a uniqueness that goes."""

from __future__ import annotations

import pytest
from django.db import models

from tests.planner.states import model, written

TEXT = models.CharField(max_length=9)


def made(old, new, were=(), are=()):
    before = [model("Order", options=dict(were), total=models.IntegerField(), email=old)]
    after = [model("Order", options=dict(are), total=models.IntegerField(), email=new)]
    found = written(before, after)
    assert not found.refusals
    return found.operations["expand"]


def once(*fields):
    return {"constraints": [models.UniqueConstraint(fields=fields, name="once")]}


def by(*fields):
    return {"indexes": [models.Index(fields=fields, name="by_it")]}


TOGETHER = {"unique_together": {("total", "email")}}
INDEXED = models.CharField(max_length=9, db_index=True)
UNIQUE = models.CharField(max_length=9, unique=True)


@pytest.mark.parametrize(
    ("old", "were", "are", "written"),
    [
        (TEXT, TOGETHER, once("total", "email"), "AddUniqueConstraintConcurrently"),
        (TEXT, TOGETHER, by("email"), "AddIndexConcurrently"),
        (INDEXED, {}, by("email"), "AddIndexConcurrently"),
        (UNIQUE, {}, once("email"), "AddUniqueConstraintConcurrently"),
    ],
)
def test_what_comes_instead_is_built_before_the_old_one_goes(old, were, are, written):
    """No query without an index meanwhile, and no duplicate that the build would fail at."""
    first, second = made(old, TEXT, were, are)
    assert first == written
    assert second in ("AlterUniqueTogetherConcurrently", "ExpandAlterField")


def test_what_is_about_other_fields_stays_where_it_was():
    assert made(INDEXED, TEXT, {}, by("total")) == ["ExpandAlterField", "AddIndexConcurrently"]


def test_a_field_that_changes_in_more_than_its_index_goes_first():
    """The index comes on the column as it will be."""
    wider = models.CharField(max_length=90, null=True)
    assert made(INDEXED, wider, {}, by("email")) == ["ExpandAlterField", "AddIndexConcurrently"]
