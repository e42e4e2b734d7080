"""The schedule of waiting, without a clock."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from safemigrate.facts.patience import Patience

elapsed = st.timedeltas(timedelta(0), timedelta(days=1))
luck = st.floats(0, 1, exclude_max=True)
NOWAIT = timedelta(0)


@given(elapsed)
def test_a_try_queues_only_after_starvation_and_never_long(passed):
    """Whoever queues for ACCESS EXCLUSIVE stops every later query for as long."""
    patience = Patience()
    wait = patience.wait_at(passed)
    assert wait == (NOWAIT if passed < patience.starved_after else patience.short_wait)
    assert wait <= timedelta(milliseconds=20)


@given(elapsed, luck)
def test_a_pause_is_spread_by_half_each_way(passed, luck):
    """Two runners must not probe in step."""
    patience = Patience()
    middle = patience.pause * (1 if passed < patience.starved_after else 4)
    assert middle / 2 <= patience.pause_after(passed, luck) <= middle * 1.5


@given(elapsed, luck)
def test_while_tries_may_queue_they_take_a_small_part_of_the_time(passed, luck):
    """A queue of 20 ms every 25 ms would be a stall, in small pieces."""
    patience = Patience()
    assert patience.wait_at(passed) <= patience.pause_after(passed, luck) / 4 or (
        patience.wait_at(passed) <= patience.pause * 4 * 0.5
    )


@given(elapsed)
def test_a_try_is_made_beside_transactions_that_come_and_go(passed):
    """A table that is never free for an instant is had between two of them, or behind one."""
    patience = Patience()
    assert patience.hopeless_at(passed) >= patience.pause
    assert patience.hopeless_at(passed) > 10 * patience.wait_at(passed)


def test_it_ends_at_its_deadline():
    """A deploy must not wait for ever."""
    patience = Patience(deadline=timedelta(seconds=3))
    assert not patience.is_over(timedelta(seconds=2.9))
    assert patience.is_over(timedelta(seconds=3))
