"""The main job, small: three releases deployed under traffic, for real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("--orders", "5000", "--seconds", "2", "--rate", "40", "--no-verdict")


def roll_out(folder, *words):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SHOP_", "DATABASE_URL"))}
    if chosen := os.environ.get("SHOP_POSTGRES_BIN"):
        clean["SHOP_POSTGRES_BIN"] = chosen
    done = subprocess.run(
        [sys.executable, ROOT / "testproject", "rollout", "--data", folder, *SMALL, *words],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.once
def test_plain_django_fails_requests_and_the_rollout_says_so(tmp_path):
    said = roll_out(tmp_path, "--flavour", "plain")
    assert "no   no failed request" in said
    assert "column shop_order.legacy_flag does not exist" in said
    assert (tmp_path / "rollout.png").exists()


@pytest.mark.slow
@pytest.mark.once
def test_with_safemigrate_no_request_fails_and_no_value_is_wrong(tmp_path):
    said = roll_out(tmp_path, "--flavour", "safemigrate")
    for promise in (
        "no failed request: 0 failed",
        "no wrong value: 0 wrong",
        "every command exits 0: all did",
        "final schema and data as they should be: they are",
    ):
        assert f"yes  {promise}" in said, said
