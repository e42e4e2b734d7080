"""One or more samples of every public operation; a new operation adds its own here."""

from tests.operations.samples import (
    altering,
    constraints,
    fields,
    indexes,
    renamed_columns,
    renames,
    shadows,
)
from tests.operations.samples.constraints import UNIQUE, not_negative, once
from tests.operations.samples.sample import Sample

__all__ = ["SAMPLES", "UNIQUE", "Sample", "not_negative", "once"]

SAMPLES = [
    *fields.SAMPLES,
    *altering.SAMPLES,
    *indexes.SAMPLES,
    *constraints.SAMPLES,
    *shadows.SAMPLES,
    *renames.SAMPLES,
    *renamed_columns.SAMPLES,
]
