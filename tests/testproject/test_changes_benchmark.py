"""The benchmark of model changes: its edits fit the shop. No database."""

import ast

import pytest

from testproject import releases
from testproject.benchmarks.changes import Outcome, middle, together
from testproject.benchmarks.edits import CHANGES, edit
from testproject.rollout.manage import RolloutError
from testproject.rollout.windows import Request, Run, Window


@pytest.mark.parametrize("name", CHANGES)
def test_every_edit_finds_its_place_and_leaves_python(name, tmp_path):
    """The shop may change; a benchmark must not measure a change that was not made."""
    releases.copy("r1", tmp_path)
    edit(tmp_path, CHANGES[name].before)
    before = (tmp_path / "shop/models.py").read_text()
    edit(tmp_path, CHANGES[name].after)
    for path in (tmp_path / "shop").glob("*.py"):
        ast.parse(path.read_text())
    assert (tmp_path / "shop/models.py").read_text() != before


def test_an_edit_whose_place_is_gone_is_refused(tmp_path):
    releases.copy("r1", tmp_path)
    with pytest.raises(RolloutError, match=r"models.py has no 'class Basket'"):
        edit(tmp_path, {"models.py": [("class Basket", "class Cart")]})


def outcome(**numbers):
    quiet = {
        "name": "index",
        "failed": 0,
        "wrong": 0,
        "exit_codes": (0, 0),
        "quiet_ms": 10.0,
        "worst_ms": 15.0,
        "ratio": 1.5,
        "seconds": (4.0, 1.0),
        "rate": None,
        "share": None,
    }
    return Outcome(**quiet | numbers)


def test_of_several_deployments_the_middle_one_counts_and_each_failure():
    turns = [outcome(ratio=5.0), outcome(failed=2, exit_codes=(0, 1)), outcome(ratio=0.5)]
    found = middle(turns)
    assert (found.ratio, found.failed, found.exit_codes) == (1.5, 2, (0, 1))
    assert not found.kept


@pytest.mark.parametrize(
    ("broken", "kept"),
    [
        ({}, True),
        ({"ratio": 2.1}, False),
        ({"wrong": 1}, False),
        ({"exit_codes": (1, 0)}, False),
        ({"share": 0.59}, False),
        ({"share": 0.6}, True),
    ],
)
def test_a_change_is_kept_if_every_promise_is(broken, kept):
    assert outcome(**broken).kept is kept


def test_all_deployments_are_summed_up_by_whether_a_migrate_ran():
    run = Run("index")
    run.windows = [Window("r1", ("r1",), 0, 10), Window("migrate", ("r1",), 10, 15, "r2")]
    run.requests = [
        Request("r1", due, waited, "read_order", "ok")
        for due, waited in ((1, 2.0), (2, 40.0), (11, 3.0), (12, 9.0), (16, 500.0))
    ]
    told = together([run, run])
    assert "without a migration: 4 requests in 20 s, in ms p50 2.0" in told
    assert "while a migrate ran: 4 requests in 10 s, in ms p50 3.0" in told
    assert told.count("worst 9.0") == told.count("worst 40") == 1
