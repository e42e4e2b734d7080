"""Of what somebody has written by hand, or plain Django, fix makes what makemigrations would."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.projects import Ran
from tests.stories.rows import rows
from tests.stories.story import Story

pytestmark = pytest.mark.slow

ROWS = {row.name: row for row in rows()}
TAKEN = "an index that takes the name of one that goes"
EXCHANGED = "two indexes that exchange their names"
MODEL = "a many-to-many field gets a model for its table"

BY_EMAIL = 'migrations.AddIndex("order", models.Index(fields=["email"], name="{}"))'
BY_TOTAL = 'migrations.AddIndex("order", models.Index(fields=["-total"], name="{}"))'
REMOVED = 'migrations.RemoveIndex("order", "{}")'
RENAMED = 'migrations.RenameIndex("order", new_name="{}", old_name="{}")'
TAGGED = """migrations.CreateModel(
    "Tagged",
    [
        ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False,
                                   verbose_name="ID")),
        ("order", models.ForeignKey("shop.order", models.CASCADE)),
        ("tag", models.ForeignKey("shop.tag", models.CASCADE)),
        SINCE
    ],
    options={"unique_together": {("order", "tag")}, "db_table": "shop_order_tags"},
)"""
SINCE = "models.DateTimeField(null=True)"
WITH_SINCE = TAGGED.replace("SINCE", f'("since", {SINCE}),')
TAGS = '"order", "tags", models.ManyToManyField("shop.tag", through="shop.Tagged")'
ALTERED = f"migrations.AlterField({TAGS})"


def state(*operations: str) -> str:
    return f"migrations.SeparateDatabaseAndState(state_operations=[{', '.join(operations)}])"


# What is written by hand, row by row; whether it is what makemigrations finds, and so comes to the
# same operations.
FILES = {
    "as Django finds it": (TAKEN, [REMOVED.format("second"), RENAMED.format("second", "first")]),
    "the other one removed first": (
        TAKEN,
        [REMOVED.format("second"), REMOVED.format("first"), BY_EMAIL.format("second")],
    ),
    "both removed, both added": (
        EXCHANGED,
        [
            *(REMOVED.format("first"), REMOVED.format("second")),
            *(BY_EMAIL.format("second"), BY_TOTAL.format("first")),
        ],
    ),
    "one removed and added after the other": (
        EXCHANGED,
        [
            *(REMOVED.format("first"), BY_TOTAL.format("first")),
            *(REMOVED.format("second"), BY_EMAIL.format("second")),
        ],
    ),
    "as plain operations": (MODEL, [WITH_SINCE, ALTERED]),
    "as plain operations one by one": (
        MODEL,
        [
            TAGGED.replace("SINCE", ""),
            f'migrations.AddField("tagged", "since", {SINCE})',
            ALTERED,
        ],
    ),
    "as Django finds it from 6.1 on": (
        MODEL,
        ['migrations.RemoveField("order", "tags")', WITH_SINCE, f"migrations.AddField({TAGS})"],
    ),
    "in the state alone": (MODEL, [state(WITH_SINCE, ALTERED)]),
    "the table in the state alone": (
        MODEL,
        [
            state(TAGGED.replace("SINCE", ""), ALTERED),
            f'migrations.AddField("tagged", "since", {SINCE})',
        ],
    ),
}


class ByHand(Story):
    """``operations``: what ``0002_by_hand`` does. ``found``: the names of makemigrations' own."""

    operations: list[str]
    found: Counter[str]

    def develop(self) -> Ran:
        """Somebody runs makemigrations too, throws that away and writes the file."""
        ran = super().develop()
        assert ran.code == 0, ran.text
        self.found = self.named()
        for name in self.written()["shop"]:
            (self.new_project.folder / f"shop/migrations/{name}.py").unlink()
        body = "".join(f"        {operation},\n" for operation in self.operations)
        self.new_project.migration(
            "0002_by_hand",
            "class Migration(migrations.Migration):\n"
            '    dependencies = [("shop", "0001_initial")]\n'
            f"    operations = [\n{body}    ]\n",
        )
        return self.manage(self.new_project, "safemigrate", "fix", "shop", "0002")

    def named(self) -> Counter[str]:
        """The operations of the new files, by their classes."""
        text = "".join(map(self.new_project.read, self.written()["shop"]))
        return Counter(re.findall(r"(?:migrations|operations)\.([A-Z]\w+)\(", text))


@pytest.mark.parametrize("written", FILES)
def test_it_is_deployed_as_what_makemigrations_writes(written, story, from_scratch):
    name, operations = FILES[written]
    row = replace(ROWS[name], phases=None)
    with story(row) as told:
        told.__class__ = ByHand
        told.operations = operations
        told.install()
        developed = told.develop()
        assert told.named() == told.found
        told.walk(from_scratch(row.models("after"), row.apps), developed=developed)
