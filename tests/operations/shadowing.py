"""Tables whose columns get another type, and what they end as."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from safemigrate import operations as ops
from tests.operations.shop import Shop

AUTO, BIG = models.AutoField, models.BigAutoField


class Tables(Shop):
    """Models of a test's own, and another shop made from scratch to compare with."""

    def make(self, *creates: migrations.CreateModel) -> Tables:
        for create in creates:
            self.apply(create)
        return self

    def steps(self, model: str, name: str, field: models.Field, **more: Any) -> list[Any]:
        old = self.state.models["shop", model].get_field(name)
        return [
            ops.AddShadowField(model, name, field),
            ops.CopyShadowField(model, name, field),
            ops.SwapShadowField(model, name, field, **more),
            ops.DropShadowField(model, name, old),
        ]

    def everything(self) -> dict[str, Any]:
        found = self.schema()
        found["identity"] = self.ask(
            """
            SELECT c.relname::text, a.attname::text, a.attidentity::text,
                   pg_get_serial_sequence(quote_ident(c.relname), a.attname),
                   CASE WHEN a.attname NOT LIKE 'safe%%' THEN col_description(c.oid, a.attnum) END
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relname LIKE 'shop%%' AND c.relkind = 'r' AND a.attnum > 0
              AND NOT a.attisdropped ORDER BY 1, 2
            """
        )
        found["sequences"] = self.ask(
            "SELECT sequencename::text, data_type::text, max_value FROM pg_sequences "
            "WHERE sequencename LIKE 'shop%%' ORDER BY 1"
        )
        return found

    def from_scratch(self) -> dict[str, Any]:
        """What plain Django makes of the models as they are now; what was there is gone."""
        with self.connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        with self.connection.schema_editor() as editor:
            for key in self.state.models:
                editor.create_model(self.state.apps.get_model(*key))
        return self.everything()


def thing(field: models.Field, *more: Any, **options: Any) -> migrations.CreateModel:
    fields = [("id", BIG(primary_key=True)), ("size", field), *more]
    return migrations.CreateModel("Thing", fields, options=options)
