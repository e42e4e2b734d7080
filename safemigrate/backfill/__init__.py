"""The backfill engine: key ranges, a transaction for each batch, a cursor that lasts."""

from safemigrate.backfill.checking import check
from safemigrate.backfill.engine import run
from safemigrate.backfill.evidence import remaining
from safemigrate.backfill.fingerprint import fingerprint
from safemigrate.backfill.keys import for_migration, key_for
from safemigrate.backfill.store import STATE_TABLE, forget
from safemigrate.backfill.work import Backfill, Result

__all__ = [
    "STATE_TABLE",
    "Backfill",
    "Result",
    "check",
    "fingerprint",
    "for_migration",
    "forget",
    "key_for",
    "remaining",
    "run",
]
