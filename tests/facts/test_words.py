"""Errors, phases and progress: what people read."""

from __future__ import annotations

import inspect
import threading

import pytest

from safemigrate.facts import errors
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import current_listener, heard_by, say

ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.SafeMigrateError)
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_says_what_what_changed_and_what_to_do(error):
    """Whoever reads it is on call."""
    raised = error("A is B.", do="Do C.")
    assert str(raised) == "A is B. Nothing was changed. Do C."
    assert str(error("A is B.", changed="D was dropped.", do="Do C.")) == (
        "A is B. D was dropped. Do C."
    )
    assert (raised.what, raised.changed, raised.do) == ("A is B.", errors.NOTHING_CHANGED, "Do C.")


def test_the_phases_are_in_their_order():
    """Files are sorted by it."""
    assert [str(p) for p in sorted(Phase, key=lambda phase: phase.order)] == [
        "expand",
        "backfill",
        "contract",
    ]


def test_nobody_listens_unless_asked():
    """Tests and stock executors get no output that they did not ask for."""
    heard: list[tuple[str, bool]] = []
    say("before")
    with heard_by(lambda line, passing: heard.append((line, passing))):
        say("one")
        say("two", passing=True)
    say("after")
    assert heard == [("one", False), ("two", True)]


def test_a_thread_can_be_handed_the_listener():
    """The one that watches an index build."""
    heard: list[str] = []
    with heard_by(lambda line, passing: heard.append(line)):
        listener = current_listener()
        thread = threading.Thread(target=lambda: (say("lost"), listener("found", False)))
        thread.start()
        thread.join()
    assert heard == ["found"]
