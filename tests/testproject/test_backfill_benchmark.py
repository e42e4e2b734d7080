"""The benchmark of backfills runs to its end and measures what it says."""

import subprocess
import sys

import pytest

from testproject.benchmarks.backfill import ROOT, WAYS


def benchmark(*words):
    done = subprocess.run(
        [sys.executable, "-m", "testproject.benchmarks.backfill", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.once
def test_ways_are_measured_alone_and_beside_traffic():
    way = "safemigrate, 2 workers"
    assert way in WAYS
    out = benchmark("--rows", "12000", "--traffic", "20", "--quiet-seconds", "1", "--only", way)
    assert "12,000 rows " in out
    assert "12,000 rows, beside 20 requests/s" in out
    assert "traffic alone: p99" in out
    assert out.count(f"│ {way} ") == 2


@pytest.mark.slow
@pytest.mark.once
def test_its_growth_is_measured_with_the_table():
    out = benchmark("--grow", "5000")
    assert "│ one UPDATE, 5,000 rows" in out
    assert "│ safemigrate, 5,000 rows" in out


@pytest.mark.slow
@pytest.mark.once
def test_waits_are_measured_by_turns_and_the_median_is_told():
    words = "--turns 1 --traffic 20 --quiet-seconds 1 --fill-rate 3000"
    out = benchmark("--rows", "6000", *words.split())
    assert "6,000 rows, by turns" in out
    assert "medians: p99 " in out
