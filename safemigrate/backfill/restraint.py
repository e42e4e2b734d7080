"""When a backfill waits for others, and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from django.db import Error
from django.utils.module_loading import import_string

from safemigrate.facts.errors import WrongSettings
from safemigrate.facts.load import MIB, Limits, Load, too_much

if TYPE_CHECKING:
    from safemigrate.facts.settings import Settings

Probe = Callable[[str], str | None]

LOOK_SECONDS = 0.25  # at 50 MB/s of WAL a replica falls another 12 MB behind between two looks
PROBE_SECONDS = 1.0
HELD_SECONDS = 0.5  # between two looks while it waits, at the orders too


class ProbeFailed(Exception):
    """The project's own probe raised, or answered what it may not."""


class Restraint:
    """
    Look at the server now and then, between two batches, and say why the next one has to wait.

    Shape:   look: one look at the server, None where a server has nothing to tell.
             probe: the project's own; called with the alias, answers None or a reason.
             warn: told once what cannot be seen. passes: whether the next look may succeed after
             this error.
    """

    def __init__(
        self,
        look: Callable[[], Load | None],
        limits: Limits,
        *,
        probe: Callable[[], str | None] | None = None,
        warn: Callable[[str], None] = lambda line: None,
        passes: Callable[[Error], bool] = lambda error: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look: Callable[[], Load | None] | None = look
        self._limits, self._probe, self._warn = limits, probe, warn
        self._passes, self._clock = passes, clock
        self._first: Load | None = None
        self._due = {"load": float("-inf"), "probe": float("-inf")}
        self._said: dict[str, str | None] = {}
        self.alone = False
        """Whether the last look found nobody else; False where nothing can be seen."""

    def why(self) -> str | None:
        """Return why to wait, None to go on; between two looks what the last one found."""
        return self._asked("load", LOOK_SECONDS, self._by_load) or self._asked(
            "probe", PROBE_SECONDS, self._by_probe
        )

    def _asked(self, what: str, every: float, ask: Callable[[], str | None]) -> str | None:
        now = self._clock()
        if now >= self._due[what]:
            self._due[what] = now + every
            self._said[what] = ask()
        return self._said.get(what)

    def _by_load(self) -> str | None:
        if self._look is None:
            return None
        try:
            load = self._look()
        except Error as error:
            self.alone = False
            if self._passes(error):
                return None  # a connection that was lost is found by the next batch
            self._look = None  # some services hide the log
            said = str(error).partition("\n")[0]
            self._warn(f"nothing holds this backfill back, the load cannot be read: {said}")
            return None
        if load is None:
            self._look, self.alone = None, False
            return None
        if self._first is None:
            self._first = load
            if load.hidden:
                self._warn(
                    "how far replicas are behind is hidden from this role, so they do not hold "
                    "this backfill back: GRANT pg_monitor TO it"
                )
        self.alone = not load.others
        return too_much(load, self._first, self._limits)

    def _by_probe(self) -> str | None:
        if self._probe is None:
            return None
        try:
            said = self._probe()
        except Exception as error:
            raise ProbeFailed(f"raised {type(error).__name__}: {error}") from error
        if said is None or said == "":
            return None
        if not isinstance(said, str):
            raise ProbeFailed(f"returned {said!r}; it must return None or a reason to wait")
        return f"the probe says: {said}"


class Allowance:
    """A cap in rows per second: how long to pause after each batch. Arithmetic, without a clock."""

    def __init__(self) -> None:
        self._free_at = float("-inf")

    def used(self, rows: int, rate: float, began: float) -> None:
        """``rows`` were written in a batch that began then."""
        self._free_at = max(self._free_at, began) + rows / rate

    def pause(self, now: float) -> float:
        """Return the seconds until the next batch may begin."""
        return max(0.0, self._free_at - now)

    @staticmethod
    def most_rows(rate: float) -> int:
        """Return what one batch may take: half a second's worth, so that a cap is no burst."""
        return max(1, int(rate / 2))


def limits_of(settings: Settings) -> Limits:
    return Limits(
        replica_lag=settings.replica_lag_mb * MIB,
        wal_behind=settings.wal_behind_mb * MIB,
        lock_waiters=settings.waiting_sessions,
        dead_rows_percent=settings.dead_rows_percent,
        ignore_replicas=settings.ignore_replicas,
    )


def probe_of(settings: Settings) -> Probe | None:
    """
    Import the project's probe.

    Raises:  WrongSettings.
    """
    path = settings.backfill_probe
    if not path:
        return None
    try:
        probe = import_string(path)
    except ImportError as error:
        raise WrongSettings(
            f'SAFEMIGRATE["BACKFILL_PROBE"] is {path!r}, which cannot be imported ({error}).',
            do='Give the dotted path of a function, like "shop.probes.busy".',
        ) from error
    if not callable(probe):
        raise WrongSettings(
            f'SAFEMIGRATE["BACKFILL_PROBE"] is {path!r}, a {type(probe).__name__}.',
            do='Give the dotted path of a function, like "shop.probes.busy".',
        )
    return cast("Probe", probe)
