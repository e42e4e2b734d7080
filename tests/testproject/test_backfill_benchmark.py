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
def test_ways_are_measured_alone_and_beside_traffic():
    ways = ("one UPDATE", "safemigrate, 2 workers")
    assert set(ways) <= set(WAYS)
    out = benchmark("--rows", "12000", "--traffic", "20", "--only", *ways)
    assert "12,000 rows " in out
    assert "12,000 rows, beside 20 requests/s" in out
    assert "traffic alone: p99" in out
    for way in ways:
        assert out.count(f"│ {way} ") == 2, way


@pytest.mark.slow
def test_its_growth_is_measured_with_the_table():
    out = benchmark("--grow", "5000", "10000")
    for size in ("5,000", "10,000"):
        assert f"│ one UPDATE, {size} rows" in out
        assert f"│ safemigrate, {size} rows" in out
