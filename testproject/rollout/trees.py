"""
The source of each release as its developer leaves it: copied, migrations made, one edit by hand.

What no tool can know is which value the old rows should have. Here an old order's address counts
as verified if the order was confirmed. The developer says so once, in each flavour's idiom.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from testproject.rollout.manage import RolloutError

PLAIN_FILL = '''"""Written by hand: an order's address is verified if the order was confirmed."""

import time

from django.db import migrations
from django.db.models import Q


def fill(apps, schema_editor):
    began = time.monotonic()
    orders = apps.get_model("shop", "Order").objects
    rows = orders.update(email_verified=Q(confirmed_at__isnull=False))
    print(f"Filled {{rows}} rows in {{time.monotonic() - began:.3f}} s")


class Migration(migrations.Migration):
    dependencies = [("shop", "{after}")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
'''

GENERATED = re.compile(r"values=\{\s*'email_verified':\s*shop\.models\.verified_by_default,?\s*\}")
EDITED = (
    "values={'email_verified': models.ExpressionWrapper("
    "models.Q(confirmed_at__isnull=False), output_field=models.BooleanField())},\n"
    "            keep_filled=True"
)


def migrations_of(tree: Path) -> list[Path]:
    """Return the migrations of a tree in the order of their numbers."""
    return sorted((tree / "shop" / "migrations").glob("[0-9]*.py"))


def carry_over(older: Path, newer: Path) -> None:
    """Give a release the migrations of the one before."""
    for path in migrations_of(older):
        shutil.copy(path, newer / "shop" / "migrations" / path.name)


def edit_plain(tree: Path) -> str:
    """Add a migration with one UPDATE of all rows; return what was done."""
    latest = migrations_of(tree)[-1]
    number = int(latest.name[:4]) + 1
    path = latest.with_name(f"{number:04}_fill_email_verified.py")
    path.write_text(PLAIN_FILL.format(after=latest.stem))
    return f"{path.name} added: one UPDATE sets email_verified of all orders"


def edit_safemigrate(tree: Path) -> str:
    """Say in the generated backfill which value old rows get; return what was done."""
    found = [path for path in migrations_of(tree) if path.stem.endswith("_backfill")]
    if len(found) != 1:
        names = ", ".join(path.name for path in migrations_of(tree))
        raise RolloutError(f"Expected one …_backfill.py among {names}; found {len(found)}.")
    source, times = GENERATED.subn(EDITED, found[0].read_text())
    if times != 1:
        raise RolloutError(
            f"Expected values={{'email_verified': shop.models.verified_by_default}} once in "
            f"{found[0].name}; found it {times} times in:\n{found[0].read_text()}"
        )
    found[0].write_text(source)
    return f"{found[0].name} edited: {' '.join(EDITED.split())}"
