"""What a queue's task makes of a run, in this process: no broker is needed to see it."""

import datetime as dt
import traceback

import pytest
from django.db.models import F

from safemigrate.backfill import STATE_TABLE, Backfill, control, enqueue
from safemigrate.executor import backfills
from safemigrate.facts.errors import BackfillFailed
from safemigrate.queues import helping, sending

from .tables import Order


def test_what_a_task_fails_with_shows_no_value_of_a_row(make, pg, monkeypatch):
    """Queues keep the traceback in logs and tables; the server's DETAIL has the whole row."""
    make(Order, rows=[{"amount": 424242}])
    with pg.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order ADD CHECK (n < 1)")
    backfill = Backfill(Order, values={"n": F("n") + 1}, error_budget=0)
    run_id = enqueue(pg, backfill, key="shop.0002:order")
    monkeypatch.setattr(backfills, "work_of", lambda connection, run: backfill)
    with pytest.raises(BackfillFailed) as failed:
        helping.help_with(run_id, pg.alias, by=None)
    told = "".join(traceback.format_exception(failed.value))
    assert "23514" in told
    assert "424242" not in told
    assert control.existing(pg, run_id).state == "failed"


class Refusing:
    name, at_once, defers = "a queue", False, True

    def send(self, run_id, alias, *, after=None):
        raise AssertionError("asked")


def test_a_run_that_is_busy_when_the_queue_is_to_be_asked_fails_no_deploy(
    make, pg, other, monkeypatch
):
    """All that is due was applied; the next migrate asks again."""
    make(Order, rows=[{}])
    backfill = Backfill(Order, values={"n": F("n") + 1})
    run_id = enqueue(pg, backfill, key="shop.0002:order")
    monkeypatch.setattr(backfills, "work_of", lambda connection, run: backfill)
    monkeypatch.setattr(sending, "configured", Refusing)
    monkeypatch.setattr(control, "DEADLINE", dt.timedelta(milliseconds=10))
    other.execute(f"SELECT 1 FROM {STATE_TABLE} FOR UPDATE")
    lines = []
    sending.send_what_waits(pg, lines.append, may_work=True)
    assert len(lines) == 1
    assert lines[0].startswith(f"Backfill {run_id} is queued and stays so. Backfill {run_id} was b")
