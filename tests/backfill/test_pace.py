from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from safemigrate.backfill.pace import LEAST_ROWS, MOST_ROWS, START_ROWS, Pace

TARGET = timedelta(milliseconds=100)
durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1))
histories = st.lists(st.one_of(st.none(), durations), max_size=40)


def after(history, fixed=None):
    pace = Pace(TARGET, fixed)
    for took in history:
        pace.troubled() if took is None else pace.finished(took)
    return pace


def test_it_starts_with_a_thousand_rows():
    assert Pace(TARGET).rows == START_ROWS == 1_000


@given(histories, durations)
def test_a_batch_is_at_most_twice_the_one_before(history, took):
    pace = after(history)
    before = pace.rows
    pace.finished(took)
    assert pace.rows <= before * 2


def test_alone_a_batch_takes_five_times_as_long_and_in_company_no_longer():
    """The first batch after somebody came is small already: it must not be the one waited for."""
    pace = after([timedelta(milliseconds=100)] * 12)
    for alone, wanted in ((False, 1_000), (True, 5_000), (False, 1_000)):
        pace.in_company(alone)
        assert pace.rows == 1_000
        for _ in range(12):
            pace.finished(timedelta(milliseconds=pace.rows / 10))
        assert pace.rows == wanted


def test_a_fixed_number_of_rows_is_kept_alone_and_in_company():
    pace = Pace(TARGET, 70)
    for alone in (True, False):
        pace.in_company(alone)
        pace.finished(timedelta(milliseconds=1))
        assert pace.rows == 70


@given(histories)
def test_there_is_always_at_least_one_row_and_never_more_than_the_most(history):
    assert 1 <= after(history).rows <= MOST_ROWS


@given(st.lists(durations, max_size=40))
def test_without_trouble_no_batch_is_under_the_least(history):
    assert after(history).rows >= LEAST_ROWS


@given(histories, durations.filter(lambda took: took > TARGET))
def test_a_slow_batch_never_makes_the_next_one_larger_than_the_bounds_ask(history, took):
    pace = after(history)
    before = pace.rows
    pace.finished(took)
    assert pace.rows <= max(before, min(LEAST_ROWS, before * 2))


@given(st.floats(min_value=0.5, max_value=500))
def test_it_settles_where_a_batch_takes_the_target(rows_per_ms):
    """A server of constant speed: after a dozen batches each takes about the target."""
    pace = Pace(TARGET)
    for _ in range(12):
        pace.finished(timedelta(milliseconds=pace.rows / rows_per_ms))
    wanted = min(max(100 * rows_per_ms, LEAST_ROWS), MOST_ROWS)
    assert abs(pace.rows - wanted) <= wanted * 0.05 + 1


@given(histories)
def test_trouble_halves_down_to_one_row(history):
    pace = after(history)
    for _ in range(20):
        before = pace.rows
        pace.troubled()
        assert pace.rows == max(before // 2, 1)
    assert pace.rows == 1


@given(st.lists(durations, max_size=10), st.integers(min_value=1, max_value=200_000))
def test_a_fixed_size_is_kept_whatever_the_time(history, fixed):
    assert after(history, fixed).rows == fixed


def test_a_fixed_size_is_reached_again_after_trouble():
    pace = after([None, None], fixed=5_000)
    assert pace.rows == 1_250
    pace.finished(timedelta(hours=1))
    pace.finished(timedelta(hours=1))
    assert pace.rows == 5_000
