"""What a queue's task makes of a run, in this process: no broker is needed to see it."""

import traceback

import pytest
from django.db.models import F

from safemigrate.backfill import Backfill, control, enqueue
from safemigrate.executor import backfills
from safemigrate.facts.errors import BackfillFailed
from safemigrate.queues import helping

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
