"""A shop's tables, the backend on them, and what it says and sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from safemigrate.backends import Backend, backend_for
from safemigrate.facts.progress import heard_by
from tests.operations.shop import Shop

PATIENCE_S = 60


@pytest.fixture
def shop(pg) -> Shop:
    return Shop(pg).open()


@pytest.fixture
def backend(pg) -> Backend:
    return backend_for(pg)


@pytest.fixture
def short_deadline(settings) -> None:
    """Nobody waits minutes in a test."""
    settings.SAFEMIGRATE = {
        "LOCK_DEADLINE": timedelta(milliseconds=400),
        "BUILD_DEADLINE": timedelta(seconds=30),
    }


@pytest.fixture
def heard() -> Iterator[list[str]]:
    lines: list[str] = []
    with heard_by(lambda line, passing: lines.append(line)):
        yield lines


def until(true: Callable[[], Any]) -> Any:
    """Wait until something is so; a test that waits in vain fails here."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came true")


@contextmanager
def meanwhile(work: Callable[[], Any]) -> Iterator[list[BaseException]]:
    """Run ``work`` in a thread with a connection of its own; what it raised is in the list."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            raised.append(error)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
