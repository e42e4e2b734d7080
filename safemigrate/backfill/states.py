"""What may follow what in the life of a run: one table, without a database."""

from __future__ import annotations

from enum import StrEnum

from safemigrate.facts.errors import WrongOperation


class State(StrEnum):
    """Where a run is; the words stand in the state table."""

    QUEUED = "queued"  # a migration has asked for it; no process has begun
    RUNNING = "running"  # a process works on it, or worked on it until it was killed
    PAUSED = "paused"  # somebody holds it; a process may be waiting for the resume
    CANCELED = "canceled"  # somebody ended it; no process goes on until it is resumed
    FAILED = "failed"  # it stopped by itself and said why
    DONE = "done"  # no row is left, by evidence, but for those set aside


class Event(StrEnum):
    """What happens to a run; the ones of people are the words of the command line."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    FAIL = "fail"
    FINISH = "finish"


TRANSITIONS: dict[tuple[State, Event], State] = {
    # A process begins, or goes on where another one was killed or failed.
    (State.QUEUED, Event.START): State.RUNNING,
    (State.RUNNING, Event.START): State.RUNNING,
    (State.FAILED, Event.START): State.RUNNING,
    # Somebody holds it: also before it has begun, so that the next deploy waits.
    (State.QUEUED, Event.PAUSE): State.PAUSED,
    (State.RUNNING, Event.PAUSE): State.PAUSED,
    (State.FAILED, Event.PAUSE): State.PAUSED,
    # The process that waits goes on, or the next one does.
    (State.PAUSED, Event.RESUME): State.RUNNING,
    (State.CANCELED, Event.RESUME): State.RUNNING,
    # A deploy that is tried again must not begin anew what somebody has ended.
    (State.QUEUED, Event.CANCEL): State.CANCELED,
    (State.RUNNING, Event.CANCEL): State.CANCELED,
    (State.PAUSED, Event.CANCEL): State.CANCELED,
    (State.FAILED, Event.CANCEL): State.CANCELED,
    # A batch in work fails while somebody has just paused: what was asked for stays.
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.FINISH): State.DONE,
}

UNFINISHED = frozenset(State) - {State.DONE}


class CannotFollow(WrongOperation):
    """The run is in a state from which that does not lead anywhere."""


def after(state: str, event: Event) -> State:
    """
    Return the state that follows.

    Raises:  CannotFollow, naming what is possible.
    """
    found = TRANSITIONS.get((State(state), event))
    if found is None:
        can = allowed(state)
        raise CannotFollow(
            f"A backfill that is {state} cannot {event}.",
            do=f"It can: {', '.join(can)}." if can else "A new run begins with the next migrate.",
        )
    return found


def allowed(state: str) -> list[str]:
    """Return what may happen to a run in this state, in the order of ``Event``."""
    return [str(event) for event in Event if (State(state), event) in TRANSITIONS]


def sources(event: Event) -> list[str]:
    """Return the states in which ``event`` may come."""
    return [str(state) for state, named in TRANSITIONS if named is event]
