"""What the server does to rows whose parent is deleted changes step by step, as a refusal says."""

from __future__ import annotations

import re

import django
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        django.VERSION < (6, 1), reason="Django 6.1 is the first to leave deleting to the server"
    ),
]

MODELS = """
class Customer(models.Model):
    pass

class Firm(models.Model):
    pass

class Order(models.Model):
    customer{} = models.{}
"""
KEY = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname LIKE 'shop_order%_fk_%'"
GOES = """
from shop.models import {0}, Order
parent = {0}.objects.create()
child = Order.objects.create(customer{1}=parent{2})
{3}parent.delete()
assert list(Order.objects.filter(pk=child.pk).values_list("customer_id", flat=True)) == {4}
Order.objects.filter(pk=child.pk).delete()
"""


def to(model: str, on_delete: str) -> tuple[str, str]:
    return "", f"ForeignKey({model}, models.{on_delete}, null=True)"


NUMBER = ("_id", "BigIntegerField(null=True)")


def goes(field: tuple[str, str]) -> str:
    """A parent is deleted, and with its row happens what the field says."""
    if field is NUMBER:
        return GOES.format("Firm", "_id", ".pk", "number = child.customer_id; ", "[number]")
    parent = "Firm" if "Firm" in field[1] else "Customer"
    return GOES.format(parent, "", "", "", "[]" if "CASCADE" in field[1] else "[None]")


CASCADES, NULLS = to("Customer", "DB_CASCADE"), to("Customer", "DB_SET_NULL")
CHANGES = [
    pytest.param([CASCADES, to("Customer", "SET_NULL"), NULLS], id="another rule"),
    pytest.param(
        [CASCADES, to("Customer", "CASCADE"), to("Firm", "SET_NULL"), to("Firm", "DB_SET_NULL")],
        id="another model",
    ),
    pytest.param([NULLS, to("Customer", "SET_NULL"), NUMBER], id="to a number"),
    pytest.param([NUMBER, to("Firm", "CASCADE"), to("Firm", "DB_CASCADE")], id="from a number"),
]


@pytest.mark.parametrize("fields", CHANGES)
def test_the_steps_of_a_refusal_lead_to_the_change_and_both_releases_find_it_done(project, fields):
    """``fields``: of each release in turn; the last one is what was refused at first."""
    first, *steps = fields
    project.models(MODELS.format(*first))
    project.run("makemigrations", "shop")
    project.deploy("r0")
    project.models(MODELS.format(*steps[-1]))
    refused = project.manage("makemigrations", "shop")
    assert refused.code != 0
    said = re.findall(r"on_delete=models\.(\w+)\b(?! in place)", " ".join(refused.text.split()))
    was = first
    for number, field in enumerate(steps, start=1):
        project.models(MODELS.format(*field))
        project.run("makemigrations", "shop")
        project.deploy(f"r{number}")
        for code, release in ((was, f"r{number - 1}"), (field, f"r{number}")):
            project.models(MODELS.format(*code))
            project.run("shell", "-c", goes(code), RELEASE=release)
        assert "Held back" not in project.deploy(f"r{number}-again").out
        project.run("shell", "-c", goes(field))
        was = field
    project.run("makemigrations", "--check")
    project.run("migrate", "--check")
    told = [re.search(r"models\.(\w+), null", text) for _, text in steps]
    assert set(said) <= {one[1] for one in told if one}, refused.text
    if steps[-1] is not NUMBER:
        rule = told[-1][1].removeprefix("DB_").replace("_", " ")
        assert [f"ON DELETE {rule}" in text for (text,) in project.sql(KEY)] == [True]
