from datetime import timedelta

import pytest

from safemigrate.backfill.telling import Progress, final_line
from safemigrate.backfill.work import Result


def result(rows, seconds, batches, median):
    return Result(rows, rows, batches, 1, timedelta(seconds=seconds), median, False)


def test_the_final_line_is_worded_for_programs():
    assert final_line("shop_order", result(1_000_000, 5.1, 41, 98.4)) == (
        "Backfilled shop_order: 1,000,000 rows in 5.1 s (196,000 rows/s, 41 batches, median 98 ms)"
    )


def test_the_final_line_of_nothing_divides_by_nothing():
    assert final_line("shop_order", result(0, 0, 0, 0)) == (
        "Backfilled shop_order: 0 rows in 0.0 s (0 rows/s, 0 batches, median 0 ms)"
    )


def test_the_passing_line_has_rate_and_time_left():
    assert Progress("shop_order", 1_000_000).line(412_000, 196_078.4) == (
        "shop_order: 412,000 of about 1,000,000 rows, 41 %, 196,000 rows/s, about 3 s left"
    )


@pytest.mark.parametrize("total", [None, 100])
def test_without_a_believable_total_there_is_no_percentage(total):
    assert Progress("shop_order", total).line(412_000, 9) == "shop_order: 412,000 rows, 9 rows/s"


def test_a_later_pass_says_which():
    line = Progress("shop_order", None, pass_no=2).line(10, 5)
    assert line == "shop_order: pass 2, 10 rows, 5 rows/s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(99, "99 s"), (600, "10 min"), (7_500, "2 h 05 min")]
)
def test_time_left_is_said_in_the_unit_that_fits(seconds, words):
    assert Progress("t", 1_000 * seconds).line(0, 1_000).endswith(f"about {words} left")


def test_at_most_one_passing_line_each_second(heard):
    now = [0.0]
    progress = Progress("t", None, clock=lambda: now[0])
    for step in range(1, 50):
        now[0] = step / 10
        progress.tell(step)
    assert len(heard) == 4
