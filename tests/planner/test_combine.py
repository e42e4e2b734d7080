"""An index or a constraint that goes, and another that comes for it: what is written."""

from __future__ import annotations

import pytest
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower

from safemigrate.operations import AlterIndex
from safemigrate.operations.redefining import definition, fields_of, renamed
from safemigrate.planner.combine import combine
from tests.planner.states import Agrees, model, state, written

FIELDS = {"total": models.IntegerField(), "email": models.CharField(max_length=9)}


def order(indexes=(), constraints=(), **more):
    options = {"indexes": list(indexes), "constraints": list(constraints)}
    return [model("Order", options={**options, **more}, **FIELDS)]


def index(*fields, name="by_it"):
    return models.Index(fields=list(fields), name=name)


def once(*fields, name="once", **options):
    return models.UniqueConstraint(fields=list(fields), name=name, **options)


def check(name="positive", floor=0, **options):
    return models.CheckConstraint(condition=Q(total__gte=floor), name=name, **options)


def between(before, after):
    made = written(before, after)
    assert not made.refusals
    return made.operations


def operations(made, phase):
    [file] = [file for file in made.files if file.phase == phase]
    return file.migration.operations


def test_an_index_of_the_same_name_is_built_beside_the_old_one_and_takes_its_name_later():
    """Neither release is ever without the index that it knows."""
    made = written(order([index("total")]), order([index("total", "email")]))
    assert made.operations == {
        "expand": ["AddIndexConcurrently"],
        "contract": ["ReplaceIndex"],
    }
    [build], [swap] = operations(made, "expand"), operations(made, "contract")
    assert build.index.fields == ["total", "email"]
    assert build.index.name == swap.by != "by_it"
    assert swap.name == "by_it"


def test_an_index_under_another_name_is_built_before_the_old_one_goes():
    """Automatic names hold the columns; Django removes the old one first."""
    old, new = index("total", name="by_total"), index("email", name="by_email")
    assert between(order([old]), order([new])) == {
        "expand": ["AddIndexConcurrently"],
        "contract": ["RemoveIndexConcurrently"],
    }


def test_a_unique_constraint_of_the_same_name_is_replaced_without_a_gap():
    """The new release may write what the old constraint forbids."""
    made = written(order(constraints=[once("total")]), order(constraints=[once("total", "email")]))
    assert made.operations == {"expand": ["AddUniqueConstraintConcurrently", "ReplaceConstraint"]}
    build, swap = operations(made, "expand")
    assert build.constraint.name == swap.by


def test_a_check_of_the_same_name_is_dropped_first_and_added_last():
    """In between both releases write what they may."""
    before, after = order(constraints=[check()]), order(constraints=[check(floor=1)])
    assert between(before, after) == {
        "expand": ["DropConstraint"],
        "contract": ["AddCheckConstraint"],
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (check(), check(name="not_negative")),
        (once("total", "email"), once("total", "email", name="only_once")),
        (
            ExclusionConstraint(name="apart", expressions=[("total", "=")]),
            ExclusionConstraint(name="away", expressions=[("total", "=")]),
        ),
    ],
    ids=["check", "unique", "exclusion"],
)
def test_the_same_constraint_under_another_name_is_renamed(old, new):
    """Django removes and adds; nothing has to be checked or built again."""
    made = written(order(constraints=[old]), order(constraints=[new]))
    assert made.operations == {"expand": ["RenameConstraint"]}
    [rename] = operations(made, "expand")
    assert (rename.old_name, rename.new_name) == (old.name, new.name)


def test_new_words_of_a_renamed_constraint_come_with_it():
    """The message is the state's alone."""
    new = check(name="not_negative", violation_error_message="Less than nothing.")
    made = written(order(constraints=[check()]), order(constraints=[new]))
    assert made.operations == {"expand": ["RenameConstraint", "AlterConstraint"]}


def test_new_words_alone_touch_no_table():
    new = check(violation_error_message="Less than nothing.")
    assert between(order(constraints=[check()]), order(constraints=[new])) == {
        "expand": ["AlterConstraint"]
    }


def test_two_changes_that_have_nothing_to_do_with_each_other_stay_two():
    before = order(constraints=[check()])
    assert between(before, order(constraints=[once("email")])) == {
        "expand": ["DropConstraint", "AddUniqueConstraintConcurrently"]
    }


def test_a_check_and_a_unique_constraint_over_one_column_come_in_one_run():
    """They rest on the same column and do not stand in each other's way."""
    after = order([index("total")], [check(), once("total")])
    assert between(order(), after) == {
        "expand": ["AddIndexConcurrently", "AddUniqueConstraintConcurrently"],
        "contract": ["AddCheckConstraint"],
    }


def test_a_new_field_and_what_rests_on_it_come_in_one_run():
    """The field's contract does not hold the index up."""
    after = [
        model(
            "Order",
            options={
                "indexes": [index("rank")],
                "constraints": [
                    models.CheckConstraint(condition=Q(rank__gte=0), name="ranked"),
                    once("rank", "email"),
                ],
            },
            **FIELDS,
            rank=models.IntegerField(default=1),
        )
    ]
    assert between(order(), after) == {
        "expand": ["ExpandField", "AddIndexConcurrently", "AddUniqueConstraintConcurrently"],
        "contract": ["DropDatabaseDefault", "AddCheckConstraint"],
    }


def test_unique_together_is_changed_concurrently():
    before, after = order(unique_together={("total", "email")}), order()
    for one, other in ((before, after), (after, before)):
        assert between(one, other) == {"expand": ["AlterUniqueTogetherConcurrently"]}


def test_an_index_is_only_renamed_as_django_has_it():
    """It finds that by itself, and it is instant."""
    before, after = order([index("total")]), order([index("total", name="by_total")])
    assert between(before, after) == {"expand": ["RenameIndex"]}


# A field is renamed in the same run --------------------------------------------------------


def beside_a_rename(old, new):
    """What stands for the two of them, next to the rename of total to sum."""
    kind = isinstance(old, models.Index)
    gone = migrations.RemoveIndex if kind else migrations.RemoveConstraint
    come = migrations.AddIndex if kind else migrations.AddConstraint
    option = {"indexes" if kind else "constraints": [old]}
    run = [
        gone("order", old.name),
        migrations.RenameField("order", "total", "sum"),
        come("order", new),
    ]
    found = combine(run, "shop", state(model("Order", options=option, **FIELDS)))
    return [found[place] for place in sorted(found)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (index("-total", "email"), index("-sum", "email")),
        (once("total"), once("sum")),
        (
            once("email", condition=Q(total__gt=F("total"))),
            once("email", condition=Q(sum__gt=F("sum"))),
        ),
        (check(), models.CheckConstraint(condition=Q(sum__gte=0), name="positive")),
        (
            models.Index(Lower("email"), F("total") * 2, name="by_it"),
            models.Index(Lower("email"), F("sum") * 2, name="by_it"),
        ),
    ],
    ids=["index", "unique", "condition", "check", "expression"],
)
def test_what_only_follows_a_renamed_field_is_left_to_its_rename(old, new):
    """Its operations know both columns, and build for the new one what the old one has."""
    [], [alter] = beside_a_rename(old, new)
    assert type(alter) in (AlterIndex, migrations.AlterConstraint)
    assert getattr(alter, "index", None) == new or alter.constraint == new


def test_an_automatic_name_follows_when_the_old_column_has_gone():
    _, [_, rename] = beside_a_rename(index("total", name="by_total"), index("sum", name="by_sum"))
    assert (rename.old_name, rename.new_name, rename.after_rollout) == ("by_total", "by_sum", True)


def test_an_index_that_goes_for_good_goes_before_its_field_is_renamed():
    """What the rename builds for the new column must not include it."""
    run = [
        migrations.RemoveIndex("order", "by_it"),
        migrations.RenameField("order", "total", "sum"),
    ]
    found = combine(run, "shop", state(*order([index("total")])))
    [removal] = found[0]
    assert removal.after_rollout is False
    run[1] = migrations.AlterField("order", "total", models.TextField())
    assert combine(run, "shop", state(*order([index("total")])))[0][0].after_rollout is False
    assert combine(run, "shop", state(*order([index("email")]))) == {}


def test_a_renamed_field_that_keeps_its_column_changes_the_state_alone():
    """Else the next makemigrations would find the same difference again."""
    before = models.IntegerField(db_column="total")
    old = model("Order", options={"indexes": [index("total")]}, total=before)
    new = model("Order", options={"indexes": [index("sum")]}, sum=before)
    made = written([old], [new], questioner=Agrees(renames=True))
    assert not made.refusals
    assert made.operations == {"expand": ["RenameField", "AlterIndex"]}


def twice(name, **more):
    return models.GeneratedField(
        expression=F(name) * 2, output_field=models.IntegerField(), db_persist=True, **more
    )


def test_what_is_computed_from_a_field_renamed_in_the_code_alone_says_so_in_the_state_alone():
    """Django takes the same SQL for another expression, and its migration would fail."""
    old = model("Order", total=models.IntegerField(), twice=twice("total"))
    new = model("Order", sum=models.IntegerField(db_column="total"), twice=twice("sum"))
    made = written([old], [new], questioner=Agrees(renames=True))
    assert not made.refusals
    assert made.operations == {"expand": ["AlterField", "RenameField", "SeparateDatabaseAndState"]}
    told = operations(made, "expand")[-1]
    assert [type(one) for one in told.state_operations] == [migrations.AlterField]
    assert told.database_operations == []


@pytest.mark.parametrize(
    "becomes",
    [
        {"sum": models.IntegerField(db_column="total"), "twice": twice("other")},
        {"sum": models.IntegerField(db_column="total"), "twice": twice("sum", db_column="double")},
        {"sum": models.IntegerField(), "twice": twice("sum")},
    ],
)
def test_what_is_computed_otherwise_or_from_another_column_is_refused(becomes):
    other = {"other": models.IntegerField()}
    old = model("Order", total=models.IntegerField(), twice=twice("total"), **other)
    new = model("Order", **becomes, **other)
    assert written([old], [new], questioner=Agrees(renames=True)).refusals


# What they say -----------------------------------------------------------------------------


def test_everything_that_names_a_field_is_renamed():
    partial = models.UniqueConstraint(
        Lower("total"), F("total").desc(), name="x", condition=Q(total=1) | ~Q(email=F("total"))
    )
    again = renamed(partial, {"total": "sum"})
    assert fields_of(again) == {"sum", "email"}
    assert again.name == "x"
    assert fields_of(partial) == {"total", "email"}
    covering = once("total", include=["email"])
    assert renamed(covering, {"email": "mail"}).include == ("mail",)
    apart = ExclusionConstraint(name="x", expressions=[("total", "="), (F("total"), "&&")])
    assert fields_of(renamed(apart, {"total": "sum"})) == {"sum"}


def test_a_definition_is_what_the_database_is_told():
    assert definition(check()) == definition(check("other", violation_error_message="No."))
    assert definition(check()) != definition(check(floor=1))
    assert definition(index("total")) != definition(index("-total"))
    assert definition(once("total")) != definition(once("total", nulls_distinct=False))
