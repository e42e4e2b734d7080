"""What makemigrations asks, and what it refuses to write."""

from __future__ import annotations

import uuid

import pytest
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ModelState

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


NUMBER = {"total": models.IntegerField(null=True)}
CUSTOMER = models.ForeignKey("shop.Order", models.CASCADE, null=True)
AKIN = [
    (NUMBER, {"amount": models.BigIntegerField(default=0)}),
    (NUMBER, {"grand_total": models.DecimalField(max_digits=12, decimal_places=2, null=True)}),
    (
        {"rate": models.FloatField()},
        {"price": models.DecimalField(max_digits=9, decimal_places=2, default=0)},
    ),
    ({"note": models.CharField(max_length=9)}, {"remark": models.TextField(default="")}),
    ({"paid": models.BooleanField(default=False)}, {"is_paid": models.BooleanField(default=True)}),
    ({"day": models.DateField(null=True)}, {"moment": models.DateTimeField(null=True)}),
    ({"payer_number": models.BigIntegerField(null=True)}, {"payer": CUSTOMER}),
    (
        {"friends": models.ManyToManyField("shop.Order")},
        {"others": models.ManyToManyField("shop.Order", related_name="+")},
    ),
]


@pytest.mark.parametrize(("old", "new"), AKIN)
def test_a_field_that_may_be_renamed_and_changed_is_refused_when_nobody_can_be_asked(old, new):
    """Django takes what differs in more than its name for two fields, whatever the names."""
    [refusal] = written(order(**old), order(**new)).refusals
    (was,), (becomes,) = old, new
    assert f"order.{was} is gone and {becomes}, which could hold its values" in refusal.reason
    assert f"would drop the data of {was}" in refusal.reason
    assert "give it its new name alone, as it was defined" in refusal.do
    assert refusal.do.endswith(f"makemigrations --not-renamed shop.order.{was}")
    told = written(order(**old), order(**new), not_renamed=[f"shop.Order.{was}"])
    assert not told.refusals
    assert "ContractDrop" in told.operations["contract"], "not before a later release"


DESCRIBED = [
    (
        {"state": models.CharField(max_length=9, default="new", db_index=True)},
        {
            "status": models.CharField(
                "Status",
                max_length=9,
                choices=[("open", "Open")],
                default="open",
                db_index=True,
                help_text="Where it is",
                validators=[MinLengthValidator(2)],
            )
        },
    ),
    (
        {"parent": models.ForeignKey("shop.Order", models.CASCADE, null=True)},
        {"before": models.ForeignKey("shop.Order", models.SET_NULL, null=True, related_name="+")},
    ),
]


@pytest.mark.parametrize(("old", "new"), DESCRIBED)
def test_a_renamed_field_may_get_other_choices_texts_and_a_default_with_its_name(old, new):
    """Of all that the database sees nothing, so one run will do."""
    of, to = order(**old), order(**new)
    made = written(of, to, questioner=Agrees(renames=True))
    assert not made.refusals
    assert made.operations["expand"] == ["AddRenamedField"]
    assert made.operations["contract"] == ["DropRenamedField"]
    two = written(of, to, questioner=Agrees(renames=False))
    assert not two.refusals
    assert "ContractDrop" in two.operations["contract"]
    [refusal] = written(of, to).refusals
    assert "a field just like it" in refusal.reason
    assert "Run makemigrations without --noinput and answer" in refusal.do


def test_an_app_may_have_capitals_in_its_label():
    """Django keeps its case, and makes the names of models and fields small."""
    before, after = (
        [ModelState("Shop", "Order", [("id", models.BigAutoField(primary_key=True)), (name, one)])]
        for name, one in (("total", NUMBER["total"]), ("sum", models.BigIntegerField(null=True)))
    )
    anybody = NonInteractiveMigrationQuestioner(specified_apps={"Shop"})
    [refusal] = written(before, after, anybody).refusals
    answer = refusal.do.rpartition(" ")[2]
    assert not written(before, after, anybody, not_renamed=[answer]).refusals


@pytest.mark.parametrize(("old", "new"), AKIN)
def test_a_field_that_may_be_renamed_and_changed_is_asked_about(old, new):
    """With the question that Django asks where the names alone differ."""
    [refusal] = written(order(**old), order(**new), questioner=Agrees(renames=True)).refusals
    assert "may be a rename and another change of the same field" in refusal.reason
    assert not written(order(**old), order(**new), questioner=Agrees(renames=False)).refusals


def test_each_field_that_goes_is_one_refusal_however_many_may_be_it():
    text = models.TextField(null=True)
    made = written(
        order(note=models.CharField(max_length=9), **NUMBER),
        order(remark=text, comment=text, amount=models.BigIntegerField(null=True)),
    )
    assert [one.operation.name for one in made.refusals] == ["note", "total"]
    assert "and comment or remark, which" in made.refusals[0].reason


def test_where_the_questions_reach_nobody_they_are_not_answered():
    """makemigrations of a script without --noinput: there is no terminal."""

    class NoTerminal(Agrees):
        def ask_rename(self, *args):
            raise EOFError

    of, to = order(**NUMBER), order(amount=models.BigIntegerField(null=True))
    assert len(written(of, to, questioner=NoTerminal(renames=True)).refusals) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"note": models.TextField(null=True)}, {"notes": models.IntegerField(null=True)}),
        ({"number": models.UUIDField(null=True)}, {"code": models.TextField(null=True)}),
        (
            {"is_old": models.BooleanField(default=True)},
            {"is_new": models.BooleanField(default=False)},
        ),
        (
            {"payer": models.ForeignKey("shop.Order", models.CASCADE, null=True)},
            {"tag": models.ForeignKey("shop.Tag", models.CASCADE, null=True)},
        ),
        (
            {"half": models.GeneratedField(
                expression=models.F("id") / 2,
                output_field=models.IntegerField(),
                db_persist=True,
            )},
            {"part": models.IntegerField(null=True)},
        ),
    ],
)  # fmt: skip
def test_fields_that_can_hardly_have_the_same_values_are_two(old, new):
    tag = model("Tag")
    assert not written([*order(**old), tag], [*order(**new), tag]).refusals


@pytest.mark.parametrize("more", [{}, {"note": models.TextField(null=True)}])
def test_a_model_that_looks_renamed_is_refused_when_nobody_can_be_asked(more):
    """As it was, or with one field more: Django does not even ask about that."""
    total = models.IntegerField(null=True)
    of, to = [model("Order", total=total)], [model("Purchase", total=total, **more)]
    [refusal] = written(of, to).refusals
    assert "Order is gone and Purchase" in refusal.reason
    assert "would drop the table of Order" in refusal.reason
    assert refusal.do.endswith("makemigrations --not-renamed shop.order")
    assert not written(of, to, not_renamed=["shop.order"]).refusals
    assert not written(of, to, questioner=Agrees(renames=False)).refusals
    answered = written(of, to, questioner=Agrees(renames=True)).refusals
    assert len(answered) == bool(more)


NOTED = {"note": models.CharField(max_length=9), "total": models.IntegerField()}
ALL_RENAMED = {"amount": models.IntegerField(), "text": models.CharField(max_length=9)}


def test_a_model_whose_fields_are_renamed_with_it_is_asked_about():
    """Django compares the fields by name, finds another order and takes them for two models."""
    of, to = [model("Order", **NOTED)], [model("Purchase", **ALL_RENAMED)]
    [refusal] = written(of, to, questioner=Agrees(renames=True)).refusals
    assert "Purchase, which has fields of it or just like them, has come" in refusal.reason
    assert "give it its new name alone, with the fields that it had" in refusal.do
    assert not written(of, to, questioner=Agrees(renames=False)).refusals
    [alone] = written(of, to).refusals
    assert alone.do == refusal.do, "what a run without --noinput would not ask is not promised"


def test_fields_that_come_after_their_model_are_compared_too():
    """Two new models refer to each other: Django adds one of the keys when both are there."""
    key = {"null": True, "on_delete": models.CASCADE}

    def two(name: str, **fields: str) -> list[ModelState]:
        [(field, to)] = fields.items()
        return [
            model(name, peer=models.ForeignKey(f"shop.{to}", **key)),
            model(to, **{field: models.ForeignKey(f"shop.{name}", **key)}),
        ]

    of, to = two("Order", order="Basket"), two("Purchase", purchase="Cart")
    gone = [one.operation.name for one in written(of, to).refusals]
    assert gone == ["Basket", "Order"]
    assert not written(of, to, questioner=Agrees(renames=False)).refusals


def test_what_has_no_data_of_its_own_goes_without_a_question():
    """A proxy for another proxy, and a model that Django keeps no table for."""
    before, after = (
        [*order(), ModelState("shop", name, [], {"proxy": True}, ("shop.order",))]
        for name in ("Old", "New")
    )
    assert not written(before, after).refusals
    text = models.TextField()
    foreign = {"managed": False}
    before, after = (
        [model("Report", options=foreign, old=text)],
        [model("Report", options=foreign, new=text)],
    )
    assert not written(before, after).refusals


def test_fields_of_a_renamed_model_may_be_two_all_the_same():
    """Django 6.0 and 6.1 look for the field that goes in a model that is not there yet."""

    class RenamesTheModelAlone(Agrees):
        def ask_rename(self, *args):
            return False

    total, text = models.IntegerField(null=True), models.TextField()
    made = written(
        [model("Order", total=total, note=text)],
        [model("Purchase", price=total, note=text)],
        RenamesTheModelAlone(renames=True),
    )
    assert not made.refusals
    assert "ContractDrop" in made.operations["contract"]


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
