"""What kind of default a new field has: it decides how its column can be added."""

from __future__ import annotations

import datetime as dt
import functools
import uuid

import pytest
from django.db import models
from django.db.models import F, Value
from django.db.models.fields import NOT_PROVIDED
from django.db.models.functions import Concat, Lower, Now, Random
from django.utils import timezone

from safemigrate.facts.defaults import (
    DefaultKind,
    RandomUUID,
    comes_with_check,
    default_of,
    standing_default,
)

K = DefaultKind


class Unhashable:
    """A callable that compares by value, and so has no hash."""

    def __call__(self):
        return 1

    def __eq__(self, other):
        return True

    __hash__ = None


CASES = [
    ("nothing", models.IntegerField(), K.NONE, None),
    ("nullable", models.IntegerField(null=True), K.NONE, None),
    ("constant", models.IntegerField(default=3), K.CONSTANT, 3),
    ("false", models.BooleanField(default=False), K.CONSTANT, False),
    ("None", models.IntegerField(null=True, default=None), K.CONSTANT, None),
    ("blank text", models.CharField(max_length=9, blank=True), K.CONSTANT, ""),
    ("blank bytes", models.BinaryField(blank=True), K.CONSTANT, b""),
    ("blank nullable text", models.CharField(max_length=9, blank=True, null=True), K.NONE, None),
    ("blank number", models.IntegerField(blank=True), K.NONE, None),
    ("dict", models.JSONField(default=dict), K.CONSTANT, {}),
    ("list", models.JSONField(default=list), K.CONSTANT, []),
    ("str", models.TextField(default=str), K.CONSTANT, ""),
    ("int", models.IntegerField(default=int), K.CONSTANT, 0),
    ("bool", models.BooleanField(default=bool), K.CONSTANT, False),
    ("uuid1", models.UUIDField(default=uuid.uuid1), K.CALLABLE, uuid.uuid1),
    ("unhashable", models.IntegerField(default=Unhashable()), K.CALLABLE, Unhashable()),
    ("date.today", models.DateField(default=dt.date.today), K.CALLABLE, dt.date.today),
    ("db constant", models.IntegerField(db_default=3), K.DATABASE_CONSTANT, 3),
    ("db text", models.TextField(db_default="x"), K.DATABASE_CONSTANT, "x"),
    ("db Value", models.TextField(db_default=Value("x")), K.DATABASE_CONSTANT, Value("x")),
    ("db Now", models.DateTimeField(db_default=Now()), K.DATABASE_CONSTANT, Now()),
    (
        "db before default",
        models.IntegerField(default=uuid.uuid1, db_default=1),
        K.DATABASE_CONSTANT,
        1,
    ),
    ("db random", models.FloatField(db_default=Random()), K.DATABASE_VOLATILE, Random()),
    ("db uuid", models.UUIDField(db_default=RandomUUID()), K.DATABASE_VOLATILE, RandomUUID()),
]


@pytest.mark.parametrize(("kind", "value"), [c[2:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_default_is_of_its_kind(request, kind, value):
    """A callable taken for a constant would give every row the same value."""
    (field,) = [c[1] for c in CASES if c[0] == request.node.callspec.id]
    found = default_of(field)
    assert found.kind is kind
    assert found.value == value


@pytest.mark.parametrize(
    ("field", "says"),
    [
        (models.UUIDField(default=uuid.uuid4), RandomUUID),
        (models.DateTimeField(default=timezone.now), Now),
        (models.DateTimeField(auto_now=True), Now),
        (models.DateTimeField(auto_now_add=True), Now),
        (models.DateField(auto_now_add=True), models.functions.Cast),
        (models.TimeField(auto_now=True), models.functions.Cast),
    ],
)
def test_what_the_database_can_say_is_said_by_the_database(field, says):
    """Rows that older code inserts get their value too."""
    found = default_of(field)
    assert found.kind is K.EXPRESSION
    assert isinstance(found.value, says)


@pytest.mark.parametrize(
    "default", [lambda: 1, functools.partial(int, "7"), functools.partial(uuid.uuid4)]
)
def test_a_lambda_or_a_partial_is_known_to_python_alone(default):
    """Even where it only wraps something the database could say."""
    assert default_of(models.IntegerField(default=default)).kind is K.CALLABLE


@pytest.mark.parametrize(
    "expression",
    [Concat(Value("a"), Value("b")), Lower(Value("A")), Value(1) + Value(2)],
)
def test_what_is_made_of_constants_is_constant(expression):
    """PostgreSQL evaluates it once and touches no row."""
    field = models.TextField(db_default=expression)
    assert default_of(field).kind is K.DATABASE_CONSTANT


@pytest.mark.parametrize(
    "expression",
    [Concat(Value("a"), RandomUUID()), Value(1) + Random(), models.Func(function="F")],
)
def test_what_might_be_volatile_is_taken_as_volatile(expression):
    """Taken for constant, it would rewrite the table under ACCESS EXCLUSIVE."""
    field = models.TextField(db_default=expression)
    assert default_of(field).kind is K.DATABASE_VOLATILE


@pytest.mark.parametrize(
    ("field", "stands"),
    [
        (models.IntegerField(default=3), 3),
        (models.IntegerField(default=3, unique=True), NOT_PROVIDED),
        (models.IntegerField(null=True, default=None), NOT_PROVIDED),
        (models.IntegerField(default=lambda: 3), NOT_PROVIDED),
        (models.IntegerField(), NOT_PROVIDED),
        (models.IntegerField(db_default=4), 4),
        (models.IntegerField(db_default=4, unique=True), NOT_PROVIDED),
        (models.UUIDField(default=uuid.uuid4, unique=True), RandomUUID()),
        (models.DateTimeField(db_default=Now()), Now()),
    ],
)
def test_what_stands_in_for_code_that_does_not_know_the_field(field, stands):
    """A unique constant would serve one row; NULL serves them all."""
    assert standing_default(field) == stands


def test_fields_with_a_check_are_known():
    """ADD COLUMN would test it on every row, under ACCESS EXCLUSIVE."""
    for kind in (
        models.PositiveIntegerField,
        models.PositiveSmallIntegerField,
        models.PositiveBigIntegerField,
        type("Mine", (models.PositiveIntegerField,), {"__module__": __name__}),
    ):
        assert comes_with_check(kind())
    assert not comes_with_check(models.IntegerField())


def test_an_expression_over_other_columns_is_no_constant():
    """Django refuses it as a database default; should that change, it is not the same for all."""
    assert default_of(models.IntegerField(db_default=F("x"))).kind is K.DATABASE_VOLATILE
