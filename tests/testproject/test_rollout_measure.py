"""What the rollout's measurements mean: the schedule, the windows, the verdict. No database."""

import math
import random
from itertools import pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testproject.rollout.command import exit_code, parser
from testproject.rollout.deploy import Plan, fill_of
from testproject.rollout.schedule import MIX, SLOTS, arrivals, own_key
from testproject.rollout.windows import (
    Command,
    Fill,
    Request,
    Run,
    Window,
    felt,
    percentile,
    verdict,
)


def request(due, waited_ms=5.0, release="r1", outcome="ok"):
    return Request(release, due, waited_ms, "read_order", outcome)


def quiet_run(flavour="safemigrate", *, busy_ms=9.0, **more):
    windows = [Window("before", ("r1",), 0, 10), Window("migrate to r2", ("r1",), 10, 20, "r2")]
    requests = [request(1, 5.0), request(2, 8.0), request(12, busy_ms)]
    return Run(flavour, windows=windows, requests=requests, **more)


# The schedule


def test_requests_arrive_at_the_rate_that_was_asked_for():
    due = [arrival.at for arrival in takewhile(lambda a: a.at < 100, arrivals(30, seed=1))]
    assert len(due) == pytest.approx(3000, rel=0.05)


def test_the_same_seed_gives_both_flavours_the_same_requests():
    first, second = arrivals(30, seed=7), arrivals(30, seed=7)
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)]


def test_requests_do_not_come_in_bunches():
    coming = arrivals(10, seed=3)
    due = [next(coming).at for _ in range(500)]
    gaps = [after - before for before, after in pairwise(due)]
    assert min(gaps) > 0.049
    assert max(gaps) < 0.151


def test_every_kind_of_request_comes():
    coming = arrivals(10, seed=3)
    assert {next(coming).kind for _ in range(2000)} == set(MIX)


@given(slot=st.integers(0, SLOTS - 1), orders=st.integers(SLOTS, 10**6), seed=st.integers())
def test_a_slot_writes_only_its_own_orders_and_only_seeded_ones(slot, orders, seed):
    key = own_key(random.Random(seed), slot, orders)
    assert 1 <= key <= orders
    assert (key - 1) % SLOTS == slot


# Percentiles and windows


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_hundredth_percentile_is_the_worst_and_each_is_a_value_that_was_seen(values):
    assert percentile(values, 100) == max(values)
    assert percentile(values, 50) in values


def test_a_percentile_of_nothing_is_not_a_number():
    assert math.isnan(percentile([], 99))


def test_a_request_counts_where_it_was_due_even_if_it_was_answered_later():
    window = Window("migrate", ("r1",), 10, 20)
    seen = felt([request(9.9, 50.0), request(19.9, 4000.0), request(20.0)], window, "r1")
    assert (seen.requests, seen.worst_ms) == (1, 4000.0)


def test_failed_and_wrong_are_counted_apart_and_by_release():
    window = Window("both", ("r1", "r2"), 0, 10)
    requests = [
        request(1, outcome="wrong"),
        request(2, outcome="ProgrammingError 42703 no such column"),
        request(3, release="r2"),
    ]
    assert (felt(requests, window, "r1").failed, felt(requests, window, "r1").wrong) == (1, 1)
    assert (felt(requests, window, "r2").failed, felt(requests, window, "r2").wrong) == (0, 0)


def test_a_line_of_a_record_is_read_back():
    error = "DataError 22001 value too long"
    assert Request.read("r2", f"12.5\t3.250\tread_order\t{error}") == Request(
        "r2", 12.5, 3.25, "read_order", error
    )


# The verdict


def test_a_quiet_run_keeps_every_promise():
    assert all(point.met for point in verdict(quiet_run()))


@pytest.mark.parametrize(
    ("run", "broken"),
    [
        (quiet_run(busy_ms=17.0), "worst wait"),
        (quiet_run(commands=[Command("migrate (r2)", 1, "", 1.0)]), "every command"),
        (quiet_run(remarks=["legacy_flag is still there"]), "final schema"),
    ],
)
def test_a_broken_promise_is_named(run, broken):
    missed = [point.asked for point in verdict(run) if not point.met]
    assert len(missed) == 1
    assert missed[0].startswith(broken)


def test_one_failed_request_anywhere_breaks_the_promise():
    run = quiet_run()
    run.requests.append(request(99, outcome="OperationalError 08006 gone"))
    assert [p.asked for p in verdict(run) if not p.met] == ["no failed request"]


def test_a_run_in_which_nothing_was_sent_keeps_no_promise_about_waits():
    run = quiet_run()
    run.requests.clear()
    assert [p.asked[:10] for p in verdict(run) if not p.met] == ["worst wait"]


def test_the_fill_is_compared_with_one_big_update():
    plain, safe = quiet_run("plain Django"), quiet_run()
    plain.windows[1].fill = Fill(1000, 1.0)
    safe.windows[1].fill = Fill(1000, 1.2, batches=4, median_ms=150)
    assert all(point.met for point in verdict(safe, plain))
    safe.windows[1].fill = Fill(1000, 2.0, batches=2, median_ms=350)
    assert [point.met for point in verdict(safe, plain)][-2:] == [False, False]


def test_plain_django_promised_nothing_so_its_errors_do_not_fail_the_command():
    plain, safe = quiet_run("plain Django", busy_ms=9000.0), quiet_run()
    assert exit_code([plain, safe], [verdict(plain), verdict(safe)]) == 0
    assert exit_code([safe], [verdict(quiet_run(busy_ms=9000.0))]) == 1


def test_the_quiet_window_is_as_long_as_a_held_migrate_will_be():
    plan = Plan(orders=1_000_000, seconds=8, rate=60, hold_seconds=10)
    assert plan.quiet_seconds >= 10 + 10
    assert Plan(orders=5_000, seconds=30, rate=60, hold_seconds=0).quiet_seconds == 30


@pytest.mark.parametrize("words", [["--orders", "0"], ["--rate", "-1"], ["--flavour", "vanilla"]])
def test_an_option_that_makes_no_sense_is_refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(words)
    assert words[0] in capsys.readouterr().err


# What migrate said about its fill


def test_the_fill_of_plain_django_is_read_from_its_output():
    assert fill_of("  Applying shop.0003...Filled 1200 rows in 0.500 s\n OK") == Fill(1200, 0.5)


def test_the_fill_of_safemigrate_is_read_from_its_output():
    said = (
        "Backfilled shop.Order: 1,000,000 rows in 5.1 s (196,000 rows/s, 41 batches, median 98 ms)"
    )
    fill = fill_of(said)
    assert (fill.rows, fill.batches, fill.median_ms) == (1_000_000, 41, 98)
    assert fill.rows_per_second == pytest.approx(196_000)


def test_a_migrate_without_a_fill_has_none():
    assert fill_of("No migrations to apply.") is None
