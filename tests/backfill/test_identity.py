import functools
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Case, Count, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Concat, Now

from safemigrate.backfill import Backfill, fingerprint, for_migration, key_for
from safemigrate.backfill.keys import KEY_CHARACTERS, current_migration

from .tables import Line, Order

ROOT = Path(__file__).parents[2]


def works():
    """Work of every kind that may stand in a migration."""
    lines = Line._base_manager.filter(order=OuterRef("pk"), total__gt=3).order_by("-id")
    case = Case(When(Q(n__gt=1) | ~Q(flag=True), then=Value("a")), default=Concat("word", "word"))
    return [
        Backfill(Order, values={"total": F("amount") + 1}),
        Backfill(Order, values={"total": F("amount") + 2}),
        Backfill(Order, values={"total": F("amount") + 1}, where=Q(total__isnull=True)),
        Backfill(Order, values={"n": F("amount") + 1}, where=Q(total__isnull=True)),
        Backfill(Order, values={"word": case}),
        Backfill(Order, values={"token": uuid.uuid4}),
        Backfill(Order, values={"token": uuid.UUID(int=7)}),
        Backfill(Order, values={"token": functools.partial(uuid.uuid5, uuid.NAMESPACE_DNS, "a")}),
        Backfill(Order, values={"total": Subquery(lines.values("total")[:1])}),
        Backfill(Order, values={"total": Subquery(lines.values("total")[:2])}),
        Backfill(Order, values={"total": 1}, where=Exists(lines) | Q(n__in={1, 2, 3, 40, 50})),
        Backfill(Order, values={"total": Subquery(lines.annotate(c=Count("id")).values("c"))}),
        Backfill(Order, values={"flag": Q(n=1), "word": Value("x")}),
        Backfill(Order, values={"word": Now()}),
        Backfill(Order, function="shop.backfills.total"),
        Backfill(Line, function="shop.backfills.total"),
    ]


def test_fingerprints_are_the_same_in_every_process():
    """A killed run is resumed by another process, with another hash seed and other addresses."""
    script = (
        "from django.conf import settings; settings.configure(); import django; django.setup()\n"
        "from tests.backfill.test_identity import works\n"
        "from safemigrate.backfill import fingerprint\n"
        "print(*map(fingerprint, works()))"
    )
    here = list(map(fingerprint, works()))
    for seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.split() == here


def test_different_work_has_different_fingerprints():
    assert len({fingerprint(work) for work in works()}) == len(works())


def test_how_fast_it_is_done_is_no_part_of_the_work():
    slow = Backfill(Order, values={"n": 1}, batch_rows=7, batch_target=timedelta(seconds=9))
    assert fingerprint(slow) == fingerprint(Backfill(Order, values={"n": 1}))


def test_the_order_in_which_values_are_named_does_not_matter():
    one = Backfill(Order, values={"n": 1, "total": 2})
    assert fingerprint(one) == fingerprint(Backfill(Order, values={"total": 2, "n": 1}))


def test_asking_the_work_changes_nothing_about_it():
    """Compiling a queryset fills its caches; the run after that is still the same run."""
    work = works()[10]
    before = fingerprint(work)
    str(Order._base_manager.filter(work.where).query)
    assert fingerprint(work) == before


def test_a_key_names_the_migration_that_is_being_applied():
    with for_migration("shop.0007_order_backfill"):
        assert key_for("shop", "Order", "ab" * 32) == "shop.0007_order_backfill:order:abababababab"


def test_a_key_outside_of_a_migration_names_the_app():
    assert current_migration() is None
    assert key_for("shop", "Order", "ab" * 32) == "shop:order:abababababab"


@pytest.mark.parametrize("ending", ["a", "b"])
def test_a_key_too_long_for_its_column_is_cut_and_stays_itself(ending):
    with for_migration("x" * 600 + ending):
        key = key_for("shop", "Order", "ab" * 32)
    assert len(key) == KEY_CHARACTERS
    with for_migration("x" * 600 + "c"):
        assert key_for("shop", "Order", "ab" * 32) != key
