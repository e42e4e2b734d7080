"""Options of Meta that have a column behind them."""

from __future__ import annotations

from django.db import migrations

from safemigrate.operations.fields import DropDatabaseDefault, MakeFieldIgnorable
from safemigrate.operations.ordering import ORDER, AddOrderColumn, DropOrderColumn
from safemigrate.operations.reading import Asked
from safemigrate.operations.remedies.base import Chain, remedy


@remedy(migrations.AlterOrderWithRespectTo)
def order_with_respect_to(asked: Asked) -> Chain | None:
    operation: migrations.AlterOrderWithRespectTo = asked.operation
    had = bool(asked.model.options.get("order_with_respect_to"))
    has = bool(operation.order_with_respect_to)
    if had == has:
        return None  # the column stays as it is
    if has:
        add = AddOrderColumn(operation.name, str(operation.order_with_respect_to))
        return Chain(expand=[add], contract=[DropDatabaseDefault(operation.name, ORDER, 0)])
    return Chain(
        expand=[MakeFieldIgnorable(operation.name, ORDER)],
        contract=[DropOrderColumn(operation.name)],
    )
