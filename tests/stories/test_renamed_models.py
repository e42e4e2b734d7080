"""A model gets another name: its tables, and those of many-to-many fields, in both releases."""

from __future__ import annotations

import pytest

from tests.stories.schema import schema

pytestmark = pytest.mark.slow

SHOP = """
class Tag(models.Model):
    word = models.CharField(max_length=9)

class {name}(models.Model):
    name = models.CharField(max_length=20, db_index=True)
    email = models.CharField(max_length=50, unique=True)
    visits = models.PositiveIntegerField(default=0)
    tags = models.ManyToManyField(Tag)
    friends = models.ManyToManyField("self")
    knows = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta:
        unique_together = [("name", "visits")]

class Note(models.Model):
    text = models.CharField(max_length=9)
    about = models.ManyToManyField({name})
    writer = models.ForeignKey({name}, models.CASCADE, related_name="written")

class Vip({name}):
    level = models.IntegerField(default=1)
"""
WRITES = """
from django.db import transaction
from django.db.models import Count, F
from shop.models import Note, Tag, Vip, {name} as Person
tag = Tag.objects.create(word="x")
one = Person.objects.create(name="{window}", email="{window}-1")
two, three = Person.objects.bulk_create(
    [Person(name="{window}-%s" % n, email="{window}-%s" % n, knows=one) for n in (2, 3)]
)
assert two.pk and three.pk and two.pk != three.pk
Person.objects.bulk_create([Person(name="again", email="{window}-2")], ignore_conflicts=True)
Person.objects.bulk_create(
    [Person(name="{window}-4", email="{window}-2")], update_conflicts=True,
    unique_fields=["email"], update_fields=["name"],
)
assert Person.objects.get(email="{window}-2").name == "{window}-4"
Person.objects.filter(email="{window}-3").update(visits=F("visits") + 1)
with transaction.atomic():
    locked = Person.objects.select_for_update(of=("self",)).get(pk=one.pk)
    locked.visits = 5
    locked.save()
one.tags.add(tag)
one.friends.add(two, three)
note = Note.objects.create(text="n", writer=one)
note.about.add(one, two)
note.about.add(one)
assert set(note.about.values_list("pk", flat=True)) == {{one.pk, two.pk}}
assert one.friends.count() == 2 and two.friends.get() == one
counted = Person.objects.annotate(notes=Count("written"), marks=Count("tags")).get(pk=one.pk)
assert (counted.notes, counted.marks, counted.visits) == (1, 1, 5)
assert Note.objects.filter(about__name="{window}", about__tags=tag).count() == 1
vip = Vip(name="vip", email="{window}-vip", visits=9 + Vip.objects.count())
vip.save()
assert Vip.objects.annotate(notes=Count("written")).get(pk=vip.pk).level == 1
three.delete()
"""
CHECK = """
from shop.models import {name} as Person
for window in {windows}:
    one = Person.objects.get(email=window + "-1")
    assert one.visits == 5 and one.tags.count() == 1 and one.friends.count() == 1, window
    assert one.written.get().about.count() == 2, window
    assert not Person.objects.filter(email=window + "-3").exists(), window
    assert Person.objects.filter(email=window + "-vip", vip__level=1).exists(), window
"""


def rename(project, models: str) -> None:
    """Somebody at a terminal answers yes."""
    project.models(models)
    project.write(
        "answers.py",
        """
        import os, sys
        from django.db.migrations.questioner import InteractiveMigrationQuestioner as Questioner
        Questioner.ask_rename_model = Questioner.ask_rename = lambda *args: True
        os.environ["DJANGO_SETTINGS_MODULE"] = "config"
        from django.core.management import execute_from_command_line
        execute_from_command_line(["manage.py", "makemigrations"])
        """,
    )
    manage = (project.folder / "manage.py").read_text()
    (project.folder / "manage.py").write_text((project.folder / "answers.py").read_text())
    project.run()
    (project.folder / "manage.py").write_text(manage)


def write(project, name: str, window: str) -> None:
    code = WRITES.format(name=name, window=window)
    project.run("shell", "-c", code, RELEASE=project.release)


def test_a_renamed_model_is_written_by_both_releases(project, next_release, from_scratch):
    """Customer becomes Client; it has every kind of relation, also to itself and from a child."""
    before, after = (SHOP.format(name=name) for name in ("Customer", "Client"))
    project.models(before)
    project.run("makemigrations")
    project.deploy("r1")
    write(project, "Customer", "before")
    r2 = next_release(project, "r2")
    rename(r2, after)
    r2.run("makemigrations", "--check")
    told = r2.deploy("r2").out
    assert "Held back" in told
    write(project, "Customer", "expanded")
    write(r2, "Client", "rolling-new")
    write(project, "Customer", "rolling-old")
    r3 = next_release(r2, "r3")
    assert "Held back" not in r3.deploy("r3").out
    write(r3, "Client", "contracted")
    windows = ["before", "expanded", "rolling-new", "rolling-old", "contracted"]
    r3.run("shell", "-c", CHECK.format(name="Client", windows=windows))
    assert schema(r3) == from_scratch(after)
    assert r3.sql("SELECT count(*) FROM pg_views WHERE schemaname = 'public'") == [(0,)]
