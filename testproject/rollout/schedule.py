"""When requests arrive and which: decided beforehand, whatever the server does (open loop)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# Out of 100 requests. Each kind is a function in the releases' shop/requests.py.
MIX = {
    "read_order": 34,
    "read_latest": 8,
    "sum_of_customer": 12,
    "find_by_email": 6,
    "place_order": 14,
    "change_amount": 14,
    "correct_email": 8,
    "cancel_order": 4,
}

# Rows are written by one worker thread only, so that what it wrote must be what it reads.
SLOTS = 128


@dataclass(frozen=True)
class Arrival:
    at: float  # seconds after the process began to send
    kind: str


def arrivals(rate: float, seed: int) -> Iterator[Arrival]:
    """
    Yield requests for ever, ``rate`` per second.

    The gaps are uneven (half to one and a half of the mean) but not bunched: bunches would be the
    largest waits of a quiet server, and hide what a migration adds.
    """
    chance = random.Random(seed)
    kinds, weights = list(MIX), list(MIX.values())
    at = chance.random() / rate
    while True:
        yield Arrival(at, chance.choices(kinds, weights)[0])
        at += chance.uniform(0.5, 1.5) / rate


def own_key(chance: random.Random, slot: int, orders: int) -> int:
    """Return the key of a seeded order that only this slot writes."""
    return chance.randrange(max(1, (orders - slot - 1) // SLOTS + 1)) * SLOTS + slot + 1
