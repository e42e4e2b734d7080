"""A proxy gets another name while a foreign key refers to it: its table is not touched."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

SHOP = """
class Order(models.Model):
    total = models.IntegerField()

class {0}(Order):
    class Meta:
        proxy = True

class Reply(models.Model):
    order = models.ForeignKey({0}, models.CASCADE)
"""
KEYS = "SELECT oid, conname FROM pg_constraint WHERE contype = 'f'"
WRITES = """
from shop.models import {0}, Reply
Reply.objects.create(order={0}.objects.create(total=1))
assert isinstance(Reply.objects.latest("pk").order, {0})
"""


def test_both_releases_write_and_the_foreign_key_stays(project):
    project.models(SHOP.format("Seen"))
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.run("shell", "-c", WRITES.format("Seen"))
    key = project.sql(KEYS)
    project.models(SHOP.format("Noted"))
    project.run("makemigrations", "shop")
    project.run("makemigrations", "--check")
    project.run("check")
    project.deploy("r2")
    project.models(SHOP.format("Seen"))
    project.run("shell", "-c", WRITES.format("Seen"), RELEASE="r1")
    project.models(SHOP.format("Noted"))
    project.run("shell", "-c", WRITES.format("Noted"))
    project.deploy("r3")
    project.run("migrate", "--check")
    assert project.sql(KEYS) == key
    project.run("migrate", "shop", "0001")
    assert project.sql(KEYS) == key
