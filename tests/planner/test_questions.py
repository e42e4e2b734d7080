"""What makemigrations asks, and what it refuses to write."""

from __future__ import annotations

import uuid

import pytest
from django.db import models

from tests.planner.states import Agrees, adding, model, order, written


def test_a_field_that_looks_renamed_is_refused_when_nobody_can_be_asked():
    """--noinput in CI; plain Django drops the data here."""
    total = models.IntegerField(null=True)
    made = written(order(total=total), order(amount=total))
    [refusal] = made.refusals
    assert refusal.reason == (
        "order.total is gone and amount, a field just like it, has come: that looks like a "
        "rename, and taking it for two changes would drop the data of total."
    )
    assert "Run makemigrations without --noinput" in refusal.do


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            {"note": models.CharField(max_length=9)},
            {"notes": models.CharField(max_length=90, default="")},
        ),
        (
            {"total": models.IntegerField(null=True)},
            {"grand_total": models.DecimalField(max_digits=12, decimal_places=2, null=True)},
        ),
    ],
)
def test_a_field_that_may_be_renamed_and_changed_is_refused_when_nobody_can_be_asked(old, new):
    """Django takes what differs in more than its name for two fields, and does not ask either."""
    [refusal] = written(order(**old), order(**new)).refusals
    (was,), (becomes,) = old, new
    assert f"order.{was} is gone and {becomes}, which could hold its values" in refusal.reason
    assert f"would drop the data of {was}" in refusal.reason
    assert "make the rename in a run of its own, without --noinput" in refusal.do
    answered = written(order(**old), order(**new), questioner=Agrees(renames=True))
    assert not answered.refusals
    assert "ContractDrop" in answered.operations["contract"], "not before a later release"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"note": models.TextField(null=True)}, {"notes": models.IntegerField(null=True)}),
        (
            {"legacy": models.TextField(null=True)},
            {"remark": models.CharField(max_length=9, null=True)},
        ),
        (
            {"is_old": models.BooleanField(default=True)},
            {"is_new": models.BooleanField(default=False)},
        ),
        (
            {"payer": models.ForeignKey("shop.Order", models.CASCADE, null=True)},
            {"payer_number": models.BigIntegerField(null=True)},
        ),
    ],
)
def test_fields_that_have_little_in_common_are_two(old, new):
    assert not written(order(**old), order(**new)).refusals


def test_a_model_that_looks_renamed_is_refused_when_nobody_can_be_asked():
    total = models.IntegerField(null=True)
    made = written([model("Order", total=total)], [model("Purchase", total=total)])
    assert "Order is gone and Purchase" in made.refusals[0].reason


def test_somebody_who_says_that_it_is_no_rename_gets_both_changes():
    made = written(
        order(total=models.IntegerField(default=1)),
        order(amount=models.IntegerField(default=1)),
        questioner=Agrees(renames=False),
    )
    assert not made.refusals
    assert made.operations == {
        "expand": ["MakeFieldIgnorable", "ExpandField"],
        "contract": ["ContractDrop", "DropDatabaseDefault"],
    }


def test_a_column_that_becomes_another_kind_of_thing_needs_two_releases():
    """A number becomes a many-to-many field: Django removes one and adds the other."""
    made = written(
        [model("Order", tags=models.IntegerField()), model("Tag")],
        [model("Order", tags=models.ManyToManyField("shop.Tag")), model("Tag")],
        questioner=Agrees(renames=False),
    )
    [refusal] = made.refusals
    assert "The first belongs to this release, the second to a later one." in refusal.reason
    assert "Make the one change alone now and deploy it" in refusal.do


def test_a_change_that_nothing_makes_safe_is_refused_with_its_finding():
    made = written(
        order(total=models.IntegerField()),
        order(total=models.CharField(max_length=9)),
    )
    [refusal] = made.refusals
    assert refusal.finding is not None


def test_django_does_not_ask_about_a_callable_default_of_a_unique_field():
    """It warns that all rows get one value; here every row gets its own."""
    made = adding(models.UUIDField(default=uuid.uuid4, unique=True))
    assert [operation for file in made.files for operation in file.operations] == [
        "ExpandField",
        "BatchedBackfill",
        "AddFieldIndexConcurrently",
        "SetNotNull",
        "DropDatabaseDefault",
    ]
