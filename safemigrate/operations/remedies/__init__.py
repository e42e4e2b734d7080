"""The safe chains, one file for each kind of change."""

from safemigrate.operations.remedies import altering, fields, indexes, models, options, renames
from safemigrate.operations.remedies.base import Chain, chain_for, remedy

__all__ = [
    "Chain",
    "altering",
    "chain_for",
    "fields",
    "indexes",
    "models",
    "options",
    "remedy",
    "renames",
]
