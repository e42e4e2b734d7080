"""Throw-away models, in a registry of their own, and the functions that fill them."""

from __future__ import annotations

import uuid

from django.apps.registry import Apps
from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.db import models
from django.db.migrations.state import AppConfigStub

apps = Apps()
_shop = AppConfigStub("shop")  # as in a migration's state: without it no relation has a way back
_shop.apps = apps
_shop.import_models()
apps.app_configs["shop"] = _shop


class Table(models.Model):
    class Meta:
        abstract = True
        apps = apps
        app_label = "shop"


class Order(Table):
    id = models.BigAutoField(primary_key=True)
    amount = models.IntegerField(default=0)
    total = models.IntegerField(null=True)
    n = models.IntegerField(default=0)
    token = models.UUIDField(null=True)
    flag = models.BooleanField(null=True)
    word = models.CharField(max_length=5, null=True)


class Line(Table):
    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    doubled = models.GeneratedField(
        expression=models.F("id") * 2, output_field=models.BigIntegerField(), db_persist=True
    )
    tags = models.ManyToManyField(Order, related_name="tagged")
    total = models.IntegerField(null=True)


class ByUuid(Table):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    n = models.IntegerField(default=0)


class ByText(Table):
    code = models.CharField(max_length=40, primary_key=True, db_column="the code")
    n = models.IntegerField(default=0)


class ByDate(Table):
    day = models.DateField(primary_key=True)
    n = models.IntegerField(default=0)


class ByMoment(Table):
    at = models.DateTimeField(primary_key=True)
    n = models.IntegerField(default=0)


class ByDecimal(Table):
    number = models.DecimalField(max_digits=12, decimal_places=4, primary_key=True)
    n = models.IntegerField(default=0)


class ByPair(Table):
    pk = models.CompositePrimaryKey("tenant", "code")
    tenant = models.IntegerField()
    code = models.TextField()
    n = models.IntegerField(default=0)


class Profile(Table):
    order = models.OneToOneField(Order, models.CASCADE, primary_key=True)
    n = models.IntegerField(default=0)


class Invoice(Order):
    number = models.IntegerField(null=True)

    class Meta:
        apps = apps
        app_label = "shop"


class Kinds(Table):
    """One column of every kind that travels differently."""

    id = models.AutoField(primary_key=True)
    done = models.BooleanField(default=False)
    text = models.TextField(null=True)
    short = models.CharField(max_length=3, null=True)
    amount = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    took = models.DurationField(null=True)
    raw = models.BinaryField(null=True)
    data = models.JSONField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    grid = ArrayField(ArrayField(models.IntegerField()), null=True)
    span = IntegerRangeField(null=True)
    ip = models.GenericIPAddressField(null=True)
    order = models.ForeignKey(Order, models.CASCADE, null=True)


def double(rows):
    return [{"total": row.amount * 2} for row in rows]


def only_even(rows):
    return [{"total": 1} if row.pk % 2 == 0 else None for row in rows]


def two_shapes(rows):
    return [{"total": 1} if row.pk % 2 == 0 else {"total": 2, "n": 7} for row in rows]


def raises_late(rows):
    if rows[0].pk > 200:
        raise LookupError("no such price")
    return double(rows)


def too_few(rows):
    return double(rows)[:-1]


def no_list(rows):
    return {"total": 1}


def no_mapping(rows):
    return [1 for _ in rows]


def unknown_field(rows):
    return [{"totl": 1} for _ in rows]


def writes_pk(rows):
    return [{"id": 1} for _ in rows]


def an_expression(rows):
    return [{"total": models.F("amount")} for _ in rows]


def wrong_type(rows):
    return [{"total": "many"} for _ in rows]


def too_long(rows):
    return [{"word": "abcdefgh"} for _ in rows]


not_a_function = 5


def no_price_for_some(rows):
    if any(row.amount % 100 == 50 for row in rows):
        raise LookupError("no such price")
    return double(rows)
