"""
The backfill engine: key ranges, a transaction for each batch, a cursor that lasts.

Loaded when something is filled: most runs of ``migrate`` fill nothing, and all pay for imports.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from safemigrate.backfill.keys import for_migration, key_for

if TYPE_CHECKING:
    from safemigrate.backfill.checking import check
    from safemigrate.backfill.engine import enqueue, help_with, run
    from safemigrate.backfill.evidence import remaining
    from safemigrate.backfill.identity import fingerprint
    from safemigrate.backfill.shifts import Helped, Shift
    from safemigrate.backfill.showing import show
    from safemigrate.backfill.store import STATE_TABLE, forget
    from safemigrate.backfill.work import Backfill, Result

__all__ = [
    "STATE_TABLE",
    "Backfill",
    "Helped",
    "Result",
    "Shift",
    "check",
    "enqueue",
    "fingerprint",
    "for_migration",
    "forget",
    "help_with",
    "key_for",
    "remaining",
    "run",
    "show",
]

_HOME = {
    "STATE_TABLE": "store",
    "Backfill": "work",
    "Helped": "shifts",
    "Result": "work",
    "Shift": "shifts",
    "check": "checking",
    "enqueue": "engine",
    "fingerprint": "identity",
    "forget": "store",
    "help_with": "engine",
    "remaining": "evidence",
    "run": "engine",
    "show": "showing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
