"""A field that stays and changes."""

from __future__ import annotations

from django.db import migrations

from safemigrate.operations.indexes import AddFieldIndexConcurrently
from safemigrate.operations.reading import Asked, altered
from safemigrate.operations.remedies.base import Chain, remedy
from safemigrate.operations.remedies.facets import Facets, facets_of


@remedy(migrations.AlterField)
def alter_field(asked: Asked) -> Chain | None:
    operation: migrations.AlterField = asked.operation
    if operation.name not in asked.model.fields:
        return None  # renamed in the same run
    old, new = altered(asked)
    if old.many_to_many or new.many_to_many or old.generated or new.generated:
        return None
    if old.primary_key != new.primary_key:
        return None  # a rule says so
    changed = facets_of(asked, old, new, operation.name)
    if changed.only_python:
        return None
    if changed.column:
        return None  # renames.chain(asked): all other facets come with the new column
    if changed.type:
        return None  # types.chain(asked): all other facets come with the shadow
    return _in_place(operation, changed)


def _in_place(operation: migrations.AlterField, changed: Facets) -> Chain | None:
    """The column stays, and so does its type, or changes in the catalogue alone."""
    if changed.only_index:
        build = AddFieldIndexConcurrently(operation.model_name, operation.name, changed.new)
        return Chain(expand=[build])
    return None
