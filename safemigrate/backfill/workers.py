"""Several connections share one run, each in a thread: disjoint ranges, no lock in common."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error, connections

from safemigrate.backends import server_for
from safemigrate.backfill.evidence import looking
from safemigrate.backfill.leases import DONE, OPEN, LeaseLost, Leases, RangeSeat
from safemigrate.backfill.lines import Parts, inner_bounds
from safemigrate.backfill.orders import Orders, orders_of
from safemigrate.backfill.shifts import NotNeeded
from safemigrate.backfill.store import RUNNING
from safemigrate.backfill.walking import Counts, Walk
from safemigrate.facts.progress import current_listener, heard_by, say

if TYPE_CHECKING:
    from typing import Any

    from safemigrate.backfill.shifts import Shift
    from safemigrate.backfill.work import Backfill

RANGES_EACH = 8  # of one worker: who is done early takes over what is left
LEAST_PAGES = 200  # of a range, about: for less a worker's connection is not worth its start
LOOK_SECONDS = 0.2
AGAIN_SECONDS = 2.0  # between two tries of a worker to connect
SPARE = timedelta(seconds=20)
"""How long a worker stays that is one too many: a dead one's range comes free in less."""


def by_workers(walk: Walk, run_id: int, waiting: Callable[[str | None], None]) -> bool:
    """
    Fill what is left of the pass with several workers, if that was asked for and is worth it.

    False if ranges are left because the run was stopped.
    """
    return _in_ranges(walk, run_id, lambda: share(walk, run_id, waiting))


def by_one_of_many(walk: Walk, run_id: int, shift: Shift) -> bool:
    """
    Take part in the ranges of the pass, if there are to be any, with one worker: this thread.

    False if ranges are left because the run was stopped, or the shift is over.
    Raises:  NotNeeded.
    """

    def take_part() -> None:
        work(walk, run_id, shift.worker, shift.over, linger=True, limited=True)
        _end_ranges(walk, run_id)

    return _in_ranges(walk, run_id, take_part)


def _in_ranges(walk: Walk, run_id: int, fill: Callable[[], None]) -> bool:
    orders = _glance(walk, run_id)
    if orders is None or not orders.go_on or not cut(walk, run_id, orders.workers):
        return orders is None or not _has_ranges(walk, run_id)
    walk.orders = orders
    fill()
    return not _has_ranges(walk, run_id)


def end_sharing(walk: Walk, run_id: int) -> None:
    """
    Let one walk do the rest of a run that is to be shared and has no ranges, or nobody for them.

    Else it would wait for ever for the workers of ranges that somebody deleted, or that a process
    which may not commit cannot take: that one has found the table empty.
    """
    if walk.own and _has_ranges(walk, run_id):
        return

    def once() -> None:
        with walk.transaction():
            run = walk.store.lock(run_id)
            if run is None or not run.shared or (walk.own and _has_ranges(walk, run_id)):
                return
            run.shared = False
            walk.store.save(run, "shared")
            Leases(walk.connection).forget([run_id])

    walk.trouble.patiently(once)


def _has_ranges(walk: Walk, run_id: int) -> bool:
    leases = Leases(walk.connection)
    return walk.trouble.patiently(lambda: leases.exist() and leases.last(run_id) is not None)


def cut(walk: Walk, run_id: int, workers: int) -> bool:
    """
    Cut what is left of the pass into ranges, unless that is done; False if it is not worth it.

    The bounds come from a sample of the table, so that the ranges are of about the same size for
    any kind of key, with gaps and without.
    """
    leases = Leases(walk.connection)
    if _has_ranges(walk, run_id):
        return True
    if workers < 2 or walk.keys.needs_where:
        return False
    pages = walk.trouble.patiently(lambda: walk.server.pages(walk.table))
    pieces = min(workers * RANGES_EACH, pages // LEAST_PAGES)
    last = walk.trouble.patiently(walk.last)
    if pieces < 2 or last is None:
        return False
    walk.trouble.patiently(leases.ensure_schema)

    def once() -> bool:
        with walk.transaction():
            run = walk.store.lock(run_id)
            if run is None or run.state != RUNNING:
                return False  # another process has ended it, or somebody holds it
            if leases.last(run_id) is not None:
                return True  # another process was faster
            after = walk.keys.load(run.cursor) if run.cursor else None
            if isinstance(walk.keys, Parts):
                inner = walk.keys.ends(after, last)
            else:
                inner = inner_bounds(walk.keys.span(after, last), walk.server, pieces)
            bounds = [key for key in inner if key != last]
            if not bounds:
                return False
            leases.cut(run_id, run.cursor, [walk.keys.dump(key) for key in [*bounds, last]])
            run.shared = True  # whoever has walked it alone until now reads it with its next batch
            walk.store.save(run, "shared")
            return True

    return walk.trouble.patiently(once)


def share(walk: Walk, run_id: int, waiting: Callable[[str | None], None]) -> None:
    """
    Fill all ranges of the run, with threads for all workers but where one is enough.

    Returns when no range is left, or the run was stopped; what is left then is given back.
    Raises:  what a worker raised first, after the others have ended their batches.
    """
    leases, crew = Leases(walk.connection), _Crew(walk, run_id)
    told: str | None = None
    try:
        while True:
            orders = _glance(walk, run_id)
            if orders is None or not orders.go_on or crew.failed:
                break
            if not walk.trouble.patiently(lambda: leases.left(run_id)):
                break
            crew.of(max(orders.workers, 1))
            crew.wait(LOOK_SECONDS)
            if crew.all_kept_out():
                walk.orders = orders
                _alone(walk, run_id, crew)
            why = crew.waits()
            if why or told:
                waiting(why)
            told = why
            walk.tell(walk.counts)
    finally:
        crew.end()
        crew.report(walk.counts)
        if told:
            waiting(None)
    if crew.failed:
        raise crew.failed[0]
    _end_ranges(walk, run_id)


def _alone(walk: Walk, run_id: int, crew: _Crew) -> None:
    """Work on the ranges with this connection for a while: the server has no room for another."""
    until = time.monotonic() + AGAIN_SECONDS
    work(walk, run_id, crew.name, lambda: time.monotonic() >= until)


def _end_ranges(walk: Walk, run_id: int) -> None:
    """Put the cursor of the run behind its ranges, if all are done, and forget them."""
    leases = Leases(walk.connection)

    def once() -> None:
        with walk.transaction():
            run = walk.store.lock(run_id)
            last = leases.last(run_id)
            if run is None or last is None or leases.left(run_id):
                return
            run.cursor, run.shared = last, False
            walk.store.save(run, "cursor", "shared")
            leases.forget([run_id])

    orders = _glance(walk, run_id)
    if orders is not None and orders.go_on:
        walk.trouble.patiently(once)


def _glance(walk: Walk, run_id: int) -> Orders | None:
    def once() -> Any:
        with looking(walk.connection, walk.server):
            return walk.store.glance(run_id)

    run = walk.trouble.patiently(once)
    if run is None:
        return None
    walk.counts.run_rows, walk.counts.seen = run.rows_done, run.pass_seen
    return orders_of(run, walk.backfill)


def work(
    walk: Walk,
    run_id: int,
    worker: str,
    stop: Callable[[], bool],
    *,
    linger: bool = False,
    limited: bool = False,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """
    Take range after range until none is free, the run is stopped or ``stop`` says so.

    ``linger``: until none is left, for ranges whose worker was killed come free later.
    ``limited``: nobody counts the processes, so a range is taken only while fewer are at work
    than the run may have. ``pause``: may return early.
    Raises:  NotNeeded: so many were, all the time that one of them, dead, would have counted.
    """
    leases = Leases(walk.connection)
    needed = time.monotonic()
    while not stop() and walk.orders.go_on:
        most = max(walk.orders.workers, 1) if limited else None
        lease = walk.trouble.patiently(
            partial(leases.take, run_id, worker, most=most, process=walk.server.process())
        )
        if lease is None:
            if not linger or not walk.trouble.patiently(lambda: leases.left(run_id)):
                return
            if most is None or walk.trouble.patiently(partial(leases.at_work, run_id)) < most:
                needed = time.monotonic()
            elif time.monotonic() - needed > SPARE / timedelta(seconds=1):
                raise NotNeeded
            pause(LOOK_SECONDS)
            walk.orders = _glance(walk, run_id) or walk.orders
            continue
        ended = False
        try:
            seat = _Stoppable(leases, lease, walk.backfill, stop)
            walk.to(seat, walk.keys.load(lease.upto))
            ended = walk.orders.go_on
        except LeaseLost:
            continue  # somebody else goes on with it, from the last batch that was committed
        finally:
            # After a failure the connection may be gone; then the lease runs out by itself.
            with suppress(Error):
                leases.give_back(lease, state=DONE if ended else OPEN)
            needed = time.monotonic()


class _Stoppable(RangeSeat):
    """A range whose worker may be told to end by its own process."""

    def __init__(
        self, leases: Leases, lease: Any, backfill: Backfill, stop: Callable[[], bool]
    ) -> None:
        super().__init__(leases, lease, backfill)
        self._stop = stop

    def orders(self, row: Any) -> Orders:
        orders = super().orders(row)
        if self._stop():
            return orders.stopped()
        # Each worker keeps to its part of the cap.
        rate = orders.rate and max(1, orders.rate // max(orders.workers, 1))
        return Orders(orders.state, rate, orders.workers)


class _Crew:
    """The threads of this process."""

    def __init__(self, walk: Walk, run_id: int) -> None:
        self.walk, self.run_id = walk, run_id
        self.wanted = 0
        self.failed: list[BaseException] = []
        self._threads: dict[int, threading.Thread] = {}
        self._ended = threading.Event()  # one of them has; perhaps because nothing is left
        self._why: dict[int, str | None] = {}
        self._walks: list[Walk] = []
        self._servers = [walk.server]
        self._listener = current_listener()
        self._kept_out: dict[int, float] = {}  # place -> when it may try to connect again
        self._told = False
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def of(self, number: int) -> None:
        """Have so many threads at work; those that are too many end after their batch."""
        self.wanted = number
        for place in range(number):
            thread = self._threads.get(place)
            if thread is None or not thread.is_alive():
                if time.monotonic() < self._kept_out.get(place, 0):
                    continue
                thread = threading.Thread(
                    target=self._work, args=(place,), name=f"backfill-{place}"
                )
                self._threads[place] = thread
                thread.start()

    def wait(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            self._ended.clear()

    def end(self) -> None:
        """Wait until each thread has ended its batch and given back its range."""
        self.wanted = 0
        self._ended.set()
        for thread in self._threads.values():
            thread.join()

    def all_kept_out(self) -> bool:
        """Whether no thread that is still wanted has a connection, though each has tried."""
        return self.wanted > 0 and all(place in self._kept_out for place in range(self.wanted))

    def waits(self) -> str | None:
        return next((why for why in self._why.values() if why), None)

    def report(self, counts: Counts) -> None:
        """Add what the threads have done."""
        for walked in self._walks:
            counts.add(walked.counts)

    def _processes(self) -> set[int]:
        """Return the server's processes that the threads talk to, the main one's with them."""
        found = [server.process() for server in self._servers]
        return {process for process in found if process is not None}

    def _work(self, place: int) -> None:
        alias = self.walk.connection.alias
        connection = connections[alias]  # this thread's own
        server, walk = server_for(connection), None
        try:
            # What every worker would say in the same words is said by the first.
            listener = self._listener if place == 0 else lambda line, passing: None
            with server.at_work(), heard_by(listener):
                walk = Walk(
                    connection, server, self.walk.backfill, self.walk.key,
                    own=True, tell=lambda counts: None,
                    waiting=lambda why: self._why.__setitem__(place, why),
                    beside=self._processes,
                )  # fmt: skip
                self._walks.append(walk)
                self._servers.append(server)
                self._kept_out.pop(place, None)
                name = f"{self.name}:{place}"
                work(
                    walk, self.run_id, name, lambda: place >= self.wanted, linger=True,
                    pause=self._ended.wait,
                )  # fmt: skip
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            if walk is None and isinstance(error, Error) and server.is_lost(error):
                self._keep_out(place, server.said(error))
                return  # the main thread sees to that, and starts this one anew
            self.failed.append(error)
            self.wanted = 0
        finally:
            self._why[place] = None
            connection.close()
            self._ended.set()

    def _keep_out(self, place: int, why: str) -> None:
        """The server is away, or has no connection left for this one: try again in a moment."""
        self._kept_out[place] = time.monotonic() + AGAIN_SECONDS
        if not self._told:
            self._told = True
            with heard_by(self._listener):
                say(f"{self.walk.table}: a worker cannot connect, fewer go on: {why}")
