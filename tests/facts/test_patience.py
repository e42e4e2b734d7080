"""The schedule of waiting, without a clock."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from safemigrate.facts.patience import Patience

elapsed = st.timedeltas(timedelta(0), timedelta(days=1))
luck = st.floats(0, 1, exclude_max=True)
NOWAIT = timedelta(0)


@given(elapsed, st.integers(0, 10_000))
def test_a_try_queues_only_after_starvation_and_never_long(passed, refused):
    """Whoever queues for ACCESS EXCLUSIVE stops every later query for as long."""
    patience = Patience()
    starved = patience.is_starved(passed, refused)
    assert starved == (passed >= timedelta(seconds=30) or refused >= 60)
    wait = patience.wait(starved=starved)
    assert wait == (patience.short_wait if starved else NOWAIT)
    assert wait <= timedelta(milliseconds=20)


@given(luck, st.booleans())
def test_a_pause_is_spread_by_half_each_way(chance, starved):
    """Two runners must not probe in step."""
    patience = Patience()
    middle = patience.pause * (4 if starved else 1)
    assert middle / 2 <= patience.pause_before(chance, starved=starved) <= middle * 1.5


@given(luck)
def test_while_tries_may_queue_they_take_a_small_part_of_the_time(chance):
    """A queue of 20 ms every 25 ms would be a stall, in small pieces."""
    patience = Patience()
    assert patience.wait(starved=True) * 5 <= patience.pause_before(chance, starved=True)


@given(st.booleans())
def test_a_try_is_made_beside_transactions_that_come_and_go(starved):
    """A table that is never free for an instant is had between two of them, or behind one."""
    patience = Patience()
    assert patience.hopeless(starved=starved) >= patience.pause
    assert patience.hopeless(starved=starved) > 10 * patience.wait(starved=starved)


def test_it_ends_at_its_deadline():
    """A deploy must not wait for ever."""
    patience = Patience(deadline=timedelta(seconds=3))
    assert not patience.is_over(timedelta(seconds=2.9))
    assert patience.is_over(timedelta(seconds=3))
