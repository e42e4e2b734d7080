"""What identifies a backfill from one process to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

KEY_CHARACTERS = 500  # the column; two names of Django's own 255 and a model's name nearly fit

_migration: ContextVar[str | None] = ContextVar("safemigrate_migration", default=None)


@contextmanager
def for_migration(name: str) -> Iterator[None]:
    """
    Say inside the block which migration is being applied, so that its operations can tell.

    Shape:   name: "shop.0007_order_backfill".
    """
    token = _migration.set(name)
    try:
        yield
    finally:
        _migration.reset(token)


def current_migration() -> str | None:
    return _migration.get()


def key_for(app_label: str, model_name: str, fingerprint: str) -> str:
    """
    Return the key of a run: "shop.0007_order_backfill:order:5d41402abc4b".

    With no migration known, the app's label stands in its place. A name too long for the column
    is cut and told apart by its hash.
    """
    key = f"{current_migration() or app_label}:{model_name.lower()}:{fingerprint[:12]}"
    if len(key) <= KEY_CHARACTERS:
        return key
    tail = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: KEY_CHARACTERS - len(tail) - 1]}:{tail}"
