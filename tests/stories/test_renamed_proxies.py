"""A proxy gets another name while a foreign key refers to it: its table is not touched."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

ORDER = """
class Order(models.Model):
    total = models.IntegerField()

class {0}(Order):
    class Meta:
        proxy = True
"""
REPLY = """
class Reply(models.Model):
    order = models.ForeignKey("shop.{0}", models.CASCADE)
"""
KEYS = "SELECT oid, conname FROM pg_constraint WHERE contype = 'f'"
WRITES = """
from shop.models import {0}
from {1}.models import Reply
Reply.objects.create(order={0}.objects.create(total=1))
assert isinstance(Reply.objects.latest("pk").order, {0})
"""


def edit(project, app: str, name: str) -> None:
    """``app``: where the foreign key is."""
    if app == "shop":
        project.models(ORDER.format(name) + REPLY.format(name))
    else:
        project.models(ORDER.format(name))
        project.models(REPLY.format(name), app=app)


def write(project, app: str, name: str, **env: str) -> None:
    project.run("shell", "-c", WRITES.format(name, app), **env)


@pytest.mark.parametrize(
    ("app", "named"), [("shop", ["shop"]), ("crm", []), ("crm", ["shop"]), ("crm", ["crm"])]
)
def test_both_releases_write_and_the_foreign_key_stays(project, app, named):
    """``makemigrations`` takes along what the app that is named cannot do without."""
    project.add_app("crm")
    edit(project, app, "Seen")
    project.run("makemigrations", "shop", "crm")
    project.deploy("r1")
    write(project, app, "Seen")
    key = project.sql(KEYS)
    edit(project, app, "Noted")
    project.run("makemigrations", *named)
    project.run("makemigrations", "--check")
    project.run("check")
    project.deploy("r2")
    edit(project, app, "Seen")
    write(project, app, "Seen", RELEASE="r1")
    edit(project, app, "Noted")
    write(project, app, "Noted")
    project.run("migrate", "--check")
    assert "Held back" not in project.deploy("r3").out
    assert project.sql(KEYS) == key
    project.run("migrate", "shop", "0001")
    project.run("migrate", app, "0001")
    assert project.sql(KEYS) == key
    project.run("migrate", "shop", "zero")
    project.run("migrate")
    write(project, app, "Noted")
