"""The safe chains, one file for each kind of change."""

from safemigrate.operations.remedies import (
    altering,
    constraints,
    fields,
    indexes,
    models,
    options,
    renames,
)
from safemigrate.operations.remedies.base import Chain, chain_for, remedy

__all__ = [
    "Chain",
    "altering",
    "chain_for",
    "constraints",
    "fields",
    "indexes",
    "models",
    "options",
    "remedy",
    "renames",
]
