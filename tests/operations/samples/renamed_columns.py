"""Columns under another name: each way to it is four operations."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models
from django.db.migrations.operations.base import Operation

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample


def renaming(old: str, new: str, steps: int) -> list[Operation]:
    """The first steps of a field's way to another name."""
    names = ("order", old, new)
    way = [
        ops.AddRenamedField(*names),
        ops.CopyRenamedField(*names),
        ops.CompleteRenamedField(*names),
    ]
    return list(way[:steps])


KODE = models.CharField(max_length=20, null=True, db_column="kode")
KINDS = {
    "unique text": ("slug", "handle"),
    "foreign key": ("customer", "client"),
    "indexed by name": ("flag", "marked"),
}


def each(
    step: int, operation: type[ops.SafeOperation], *says: str, kinds: Iterable[str] = KINDS
) -> list[Sample]:
    """``operation``, which is the way's next after ``step`` others, on columns of all kinds."""
    return [
        Sample(
            kind,
            lambda names=KINDS[kind]: operation("order", *names),
            prepare=lambda names=KINDS[kind]: renaming(*names, step),
            comes_back=step == 0,
            missing=[
                lambda names=KINDS[kind]: operation("nothing", *names),
                lambda: operation("order", "nothing", "noth"),
            ],
            says=says,
        )
        for kind in kinds
    ]


SAMPLES = [
    Sample(
        "another db_column",
        lambda: ops.AddRenamedField("order", "code", "code", KODE),
        says=('ADD COLUMN "kode"',),
    ),
    *each(0, ops.AddRenamedField, "ADD COLUMN", "CREATE OR REPLACE TRIGGER"),
    *each(1, ops.CopyRenamedField, "-- UPDATE ", kinds=["unique text"]),
    *each(2, ops.CompleteRenamedField, "SET NOT NULL"),
    *each(3, ops.DropRenamedField, "DROP COLUMN", "DROP TRIGGER"),
]
