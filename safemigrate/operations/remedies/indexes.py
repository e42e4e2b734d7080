"""Indexes of Meta."""

from __future__ import annotations

from django.db import migrations

from safemigrate.operations.indexes import AddIndexConcurrently, RemoveIndexConcurrently
from safemigrate.operations.reading import Asked
from safemigrate.operations.remedies.base import Chain, remedy


@remedy(migrations.AddIndex)
def add_index(asked: Asked) -> Chain:
    operation: migrations.AddIndex = asked.operation
    return Chain(expand=[AddIndexConcurrently(operation.model_name, operation.index)])


@remedy(migrations.RemoveIndex)
def remove_index(asked: Asked) -> Chain:
    operation: migrations.RemoveIndex = asked.operation
    return Chain(contract=[RemoveIndexConcurrently(operation.model_name, operation.name)])
