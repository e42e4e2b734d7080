"""The table of states, and orders given to runs that are in them."""

from datetime import timedelta

import pytest
from django.db.models import F

from safemigrate.backfill import STATE_TABLE, Backfill, control, run, states
from safemigrate.backfill.states import TRANSITIONS, CannotFollow, Event, State
from safemigrate.backfill.store import FAILURE_TABLE, Store
from safemigrate.facts.errors import BackfillFailed, LockNotObtained

from .tables import Order


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_cannot_follow(state, event):
    if (state, event) in TRANSITIONS:
        assert states.after(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(CannotFollow, match=f"is {state} cannot {event}"):
        states.after(state, event)


def test_every_state_but_done_leads_to_the_end():
    for state in State:
        reached, grown = {state}, True
        while grown:
            more = {to for (source, _), to in TRANSITIONS.items() if source in reached}
            grown = not more <= reached
            reached |= more
        assert State.DONE in reached


def test_the_error_says_what_is_possible_instead():
    with pytest.raises(CannotFollow) as refused:
        states.after("paused", Event.PAUSE)
    assert refused.value.do == "It can: resume, cancel."


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 501)])
    return Order._base_manager.using(pg.alias)


def test_tables_of_an_older_version_get_what_they_lack(orders, pg):
    store = Store(pg)
    store.ensure_schema()
    with pg.cursor() as cursor:
        cursor.execute(
            f"DROP TABLE {FAILURE_TABLE}; ALTER TABLE {STATE_TABLE} DROP COLUMN rate, "
            "DROP COLUMN workers, DROP COLUMN waiting, DROP COLUMN note, DROP COLUMN total"
        )
    run(pg, Backfill(Order, values={"n": F("n") + 1}), key="k")
    [seen] = control.seen(pg)
    assert (seen.state, seen.rows_done, seen.failures) == ("done", 500, 0)


def test_a_pause_outlasts_the_process_that_obeyed_it(orders, pg, other, monkeypatch):
    """The pod was evicted meanwhile; the next migrate waits too, and says for what."""
    from safemigrate.backfill import engine

    Store(pg).ensure_schema()
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=100)
    started = Store(pg).start("k", "shop_order", engine.fingerprint(backfill))
    control.order(pg, started.pk, Event.PAUSE, by="ann@laptop")
    slept = []

    def sleeps(seconds):
        slept.append(seconds)
        assert orders.filter(n=1).count() == 0
        if len(slept) == 2:
            control.order(pg, started.pk, Event.RESUME, by="ann@laptop")

    monkeypatch.setattr(engine.time, "sleep", sleeps)
    assert run(pg, backfill, key="k").rows == 500
    assert len(slept) == 2


def test_canceled_it_says_by_whom_and_how_to_go_on(orders, pg):
    from safemigrate.backfill import engine

    Store(pg).ensure_schema()
    backfill = Backfill(Order, values={"n": F("n") + 1})
    started = Store(pg).start("k", "shop_order", engine.fingerprint(backfill), State.QUEUED)
    control.order(pg, started.pk, Event.CANCEL, by="ann@laptop")
    with pytest.raises(BackfillFailed, match="was canceled by ann@laptop at "):
        run(pg, backfill, key="k")
    assert orders.filter(n=1).count() == 0


def test_an_order_waits_for_the_batch_in_work_but_not_for_ever(orders, pg, other, monkeypatch):
    run(pg, Backfill(Order, values={"n": 1}), key="k")
    monkeypatch.setattr(control, "DEADLINE", timedelta(seconds=0))
    other.execute(f"SELECT 1 FROM {STATE_TABLE} FOR UPDATE")
    with pytest.raises(LockNotObtained, match="was busy with one batch"):
        control.order(pg, control.seen(pg)[0].id, Event.PAUSE, by="ann@laptop")
