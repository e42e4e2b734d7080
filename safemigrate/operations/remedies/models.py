"""Whole models."""

from __future__ import annotations

from django.db import migrations

from safemigrate.backends.fields import deletes_itself
from safemigrate.operations.contract import ContractDrop, MakeModelIgnorable
from safemigrate.operations.reading import Asked, has_table
from safemigrate.operations.remedies.base import Chain, remedy


@remedy(migrations.DeleteModel)
def delete_model(asked: Asked) -> Chain | None:
    operation: migrations.DeleteModel = asked.operation
    if not has_table(asked.model):
        return None
    if any(deletes_itself(field) for field in asked.model.fields.values()):
        return None  # a rule says so
    return Chain(
        expand=[MakeModelIgnorable(operation.name)], contract=[ContractDrop(operation.name)]
    )
