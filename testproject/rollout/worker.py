"""
One process of a release: sends its share of the traffic through that release's code.

Speaks with the parent in single lines: says "imported", waits for "go" on standard input, warms
up, says "ready", and sends until standard input closes. Each request becomes one line of the
record file: when it was due, how long until it was answered (from when it was due, so that
queueing counts), its kind, and what became of it.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import threading
import time
from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import django
from django.db.backends.signals import connection_created

from testproject import database
from testproject.rollout.schedule import Arrival, arrivals, own_key

STATEMENT_SECONDS = 60  # no request waits for ever, so neither does the end of the rollout
WARM_UP_PAUSE = 0.02  # seconds; in a hurry, it would be felt by the release that is running


class Visitor:
    """What one thread does: requests on orders of its own slot, answers checked."""

    def __init__(self, slot: int, orders: int) -> None:
        from shop import requests  # the release's own

        self.ask: Any = requests
        self.slot, self.orders = slot, orders
        self.chance = random.Random(slot)
        self.placed: deque[int] = deque()

    def send(self, kind: str) -> bool:
        """Send one request; return whether the values in the answer were right."""
        return getattr(self, kind)()

    def read_order(self) -> bool:
        return self.ask.read_order(self.chance.randint(1, self.orders))

    def read_latest(self) -> bool:
        return self.ask.read_latest()

    def sum_of_customer(self) -> bool:
        return self.ask.sum_of_customer(self.chance.randint(1, max(1, self.orders // 20)))

    def find_by_email(self) -> bool:
        if not self.ask.features.SEARCHES_BY_EMAIL:
            return self.read_order()
        customer = self.chance.randint(1, max(1, self.orders // 20))
        return self.ask.find_by_email(f"customer{customer}@example.com")

    def place_order(self) -> bool:
        from django.utils import timezone

        confirmed_at = timezone.now() if self.chance.random() < 0.5 else None
        customer = self.chance.randint(1, max(1, self.orders // 20))
        email = f"new{self.slot}@example.com"
        pk, right = self.ask.place_order(customer, email, self._amount(), confirmed_at)
        self.placed.append(pk)
        return right

    def change_amount(self) -> bool:
        return self.ask.change_amount(self._own(), self._amount())

    def correct_email(self) -> bool:
        email = f"right{self.chance.randrange(10**6)}@example.com"
        return self.ask.correct_email(self._own(), email)

    def cancel_order(self) -> bool:
        if not self.placed:
            return self.place_order()
        return self.ask.cancel_order(self.placed.popleft())

    def _own(self) -> int:
        return own_key(self.chance, self.slot, self.orders)

    def _amount(self) -> Decimal:
        return Decimal(self.chance.randrange(100, 100_000)) / 100


class Worker:
    """The threads of this process and the file they write to."""

    def __init__(self, options: argparse.Namespace, record: TextIO) -> None:
        self.options, self.record = options, record
        self.arrivals = arrivals(options.rate, seed=options.slot)
        self.taking, self.writing = threading.Lock(), threading.Lock()
        self.warm = threading.Barrier(options.threads + 1)
        self.stopping = threading.Event()
        self.began = 0.0

    def run(self) -> None:
        slots = [self.options.slot + number for number in range(self.options.threads)]
        threads = [threading.Thread(target=self._serve, args=[slot]) for slot in slots]
        for thread in threads:
            thread.start()
            time.sleep(WARM_UP_PAUSE)
        self.warm.wait(STATEMENT_SECONDS)
        gc.collect()
        gc.freeze()  # what was imported is never collected: fewer and shorter pauses
        self.began = time.monotonic()
        self.warm.wait(STATEMENT_SECONDS)
        print("ready", flush=True)
        sys.stdin.read()  # until the parent closes it, or ends
        self.stopping.set()
        for thread in threads:
            thread.join(STATEMENT_SECONDS)

    def _serve(self, slot: int) -> None:
        from django.db import connection

        visitor = Visitor(slot, self.options.orders)
        try:
            for kind in ("read_order", "place_order", "correct_email", "sum_of_customer") * 2:
                self._outcome(visitor, kind)
                time.sleep(WARM_UP_PAUSE)
            self.warm.wait(STATEMENT_SECONDS)
            self.warm.wait(STATEMENT_SECONDS)
            while (arrival := self._next()) is not None:
                self._answer(visitor, arrival)
        finally:
            connection.close()

    def _next(self) -> Arrival | None:
        """Take the next request and wait until it is due; None when it is time to stop."""
        with self.taking:
            arrival = next(self.arrivals)
        early = self.began + arrival.at - time.monotonic()
        if self.stopping.wait(max(0.0, early)):
            return None
        return arrival

    def _answer(self, visitor: Visitor, arrival: Arrival) -> None:
        due = self.began + arrival.at
        outcome = self._outcome(visitor, arrival.kind)
        waited_ms = (time.monotonic() - due) * 1000
        with self.writing:
            self.record.write(f"{due:.6f}\t{waited_ms:.3f}\t{arrival.kind}\t{outcome}\n")

    def _outcome(self, visitor: Visitor, kind: str) -> str:
        """Return ok, wrong, or the error with its SQLSTATE."""
        from django.db import connection

        try:
            return "ok" if visitor.send(kind) else "wrong"
        except Exception as error:  # noqa: BLE001 - whatever it is, the visitor saw it
            connection.close_if_unusable_or_obsolete()
            state = getattr(error.__cause__, "sqlstate", None) or "-"
            said = str(error).partition("\n")[0][:120]
            return f"{type(error).__name__} {state} {said}"


def limit_statements(connection: Any, **_: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    options = parser.parse_args()
    database.end_with_parent()
    sys.setswitchinterval(0.001)
    django.setup()
    connection_created.connect(limit_statements)
    print("imported", flush=True)
    if not sys.stdin.readline():
        return
    with options.record.open("w") as record:
        Worker(options, record).run()


if __name__ == "__main__":
    main()
