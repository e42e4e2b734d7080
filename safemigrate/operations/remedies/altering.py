"""A field that stays and changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations

from safemigrate.backends.fields import has_index
from safemigrate.operations.indexes import AddFieldIndexConcurrently
from safemigrate.operations.reading import Asked, altered
from safemigrate.operations.remedies.base import Chain, remedy

if TYPE_CHECKING:
    from django.db.models import Field


@remedy(migrations.AlterField)
def alter_field(asked: Asked) -> Chain | None:
    operation: migrations.AlterField = asked.operation
    old, new = altered(asked)
    gains = (new.unique and not old.unique) or (has_index(new) and not has_index(old))
    loses = (old.unique and not new.unique) or (has_index(old) and not has_index(new))
    if not gains or loses or _column_of(old) != _column_of(new):
        return None
    build = AddFieldIndexConcurrently(operation.model_name, operation.name, new)
    return Chain(expand=[build])


def _column_of(value: Field[Any, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """What makes the column itself; without its indexes and what the database never sees."""
    _, path, args, kwargs = value.deconstruct()
    ignored = {"db_index", "unique", "default", *value.non_db_attrs}
    return path, list(args), {k: v for k, v in kwargs.items() if k not in ignored}
