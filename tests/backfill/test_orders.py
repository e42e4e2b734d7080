"""An order from another terminal is obeyed within two seconds, whatever a process waits for."""

from __future__ import annotations

import ast
import re
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F

import safemigrate.backfill
from safemigrate.backfill import STATE_TABLE, Backfill, control, run, trouble, workers
from safemigrate.backfill.states import Event
from safemigrate.backfill.store import Store
from safemigrate.facts.errors import BackfillFailed

from .tables import Order

AT_MOST_S = 2.0
PROBE = {"BACKFILL_PROBE": f"{__name__}.never_now"}


def never_now(alias):
    return "not now"


class Sleeps:
    """Nobody sleeps; after some would-be sleeps somebody gives an order, and time is counted."""

    def __init__(self, order) -> None:
        self.order, self.slept = order, 0
        self.after_it: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, seconds: float) -> None:
        with self._lock:
            self.slept += 1
            if self.slept > 4:
                self.after_it[threading.get_ident()] += seconds
            if self.slept == 4:
                self.order()


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 501)])
    Store(pg).ensure_schema()
    return Order._base_manager.using(pg.alias)


@pytest.fixture
def sleeps(other, monkeypatch) -> Sleeps:
    def cancel() -> None:
        other.rollback()  # what held a row until now
        other.execute(f"UPDATE {STATE_TABLE} SET state = 'canceled', note = 'canceled'")
        other.commit()

    made = Sleeps(cancel)
    monkeypatch.setattr("time.sleep", made)
    return made


def held_back(settings, other, pg, backfill):
    settings.SAFEMIGRATE = PROBE


def capped(settings, other, pg, backfill):
    settings.SAFEMIGRATE = {"BACKFILL_RATE": 1}


def paused(settings, other, pg, backfill):
    begun = safemigrate.backfill.enqueue(pg, backfill, key="k")
    control.order(pg, begun, Event.PAUSE, by="ann@laptop")


def in_trouble(settings, other, pg, backfill):
    """Somebody has changed a row and gone to lunch."""
    other.execute("UPDATE shop_order SET amount = 0 WHERE id = 1")


def shared(settings, other, pg, backfill):
    settings.SAFEMIGRATE = {**PROBE, "BACKFILL_WORKERS": 2}


@pytest.mark.parametrize("waits", [held_back, capped, paused, in_trouble, shared])
def test_who_waits_looks_at_the_orders_all_the_time(
    waits, orders, pg, other, sleeps, settings, monkeypatch
):
    monkeypatch.setattr(workers, "LEAST_PAGES", 1)
    backfill = Backfill(Order, values={"n": F("n") + 1})
    waits(settings, other, pg, backfill)
    with pytest.raises(BackfillFailed, match="was canceled"):
        run(pg, backfill, key="k")
    assert sleeps.slept >= 4
    assert max(sleeps.after_it.values(), default=0) <= AT_MOST_S


WAITS = re.compile(r"^ *(if )?[\w.]*(sleep|pause|wait)\(", re.MULTILINE)
KNOWN = {
    "engine._was_held": "paused",
    "walking._may_go_on": "held_back",
    "walking._saved_up": "capped",
    "workers.share": "shared",
    "workers.work": "shared",
    "workers.wait": "shared",
    "trouble.patiently": "in_trouble",
    "trouble._reconnected": "no database, no orders",
    "bounded._watch": "a batch in work: an order waits for the same row",
    "engine._alone": "an order waits for the same row",
}


def test_there_is_no_other_place_where_a_process_waits():
    """A sleep that is new needs a case above."""
    found = set()
    for path in Path(safemigrate.backfill.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and WAITS.search(ast.unparse(function)):
                found.add(f"{path.stem}.{function.name}")
    assert found == set(KNOWN)


def test_no_single_pause_is_longer_than_that():
    for attempt in range(1, trouble.TRIES + 1):
        assert trouble._pause(attempt) <= timedelta(seconds=AT_MOST_S)


def test_migrate_does_not_wait_for_the_end_of_a_pause_for_ever(orders, pg, settings):
    """Whoever paused it has gone home; the deploy ends, and says who it was and how to go on."""
    settings.SAFEMIGRATE = {"HELD_BACK_DEADLINE": timedelta(milliseconds=1)}
    backfill = Backfill(Order, values={"n": F("n") + 1})
    begun = safemigrate.backfill.enqueue(pg, backfill, key="k")
    control.order(pg, begun, Event.PAUSE, by="ann@laptop")
    with pytest.raises(BackfillFailed) as ended:
        run(pg, backfill, key="k")
    assert "was paused by ann@laptop at " in str(ended.value)
    assert "and is so after 0:00:00.001000; it stays so. Nothing was changed." in str(ended.value)
    assert ended.value.do.startswith(
        f"To let it go on: manage.py safemigrate backfills resume {begun}"
    )
    assert control.seen(pg)[0].state == "paused"
    control.order(pg, begun, Event.RESUME, by="ann@laptop")
    assert run(pg, backfill, key="k").rows == 500
