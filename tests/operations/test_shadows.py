"""Another type for a column in use: values kept, and in the end what Django makes from scratch."""

from __future__ import annotations

from typing import Any

import pytest
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


@pytest.fixture
def tables(pg) -> Tables:
    return Tables(pg)


def thing(field: models.Field, *more: Any, **options: Any) -> migrations.CreateModel:
    fields = [("id", BIG(primary_key=True)), ("size", field), *more]
    return migrations.CreateModel("Thing", fields, options=options)


WIDER = {
    "plain": (models.IntegerField(), models.BigIntegerField(), 1),
    "null": (models.IntegerField(null=True), models.BigIntegerField(null=True), 1),
    "indexed": (models.IntegerField(db_index=True), models.BigIntegerField(db_index=True), 1),
    "unique": (models.IntegerField(unique=True), models.BigIntegerField(unique=True), 1),
    "default": (models.IntegerField(default=3), models.BigIntegerField(default=3), 1),
    "db_default": (models.IntegerField(db_default=3), models.BigIntegerField(db_default=3), 1),
    "comment": (models.IntegerField(db_comment="a"), models.BigIntegerField(db_comment="b"), 1),
    "positive": (models.PositiveIntegerField(), models.PositiveBigIntegerField(), 1),
    "small": (models.SmallIntegerField(), models.IntegerField(), 1),
    "scale": (
        models.DecimalField(max_digits=6, decimal_places=2),
        models.DecimalField(max_digits=9, decimal_places=4),
        1,
    ),
    "decimal": (models.IntegerField(), models.DecimalField(max_digits=12, decimal_places=2), 1),
    "float": (models.IntegerField(), models.FloatField(), 1),
    "text": (models.CharField(max_length=9, db_index=True), models.TextField(db_index=True), "1"),
    "unique text": (
        models.CharField(max_length=9, unique=True),
        models.TextField(unique=True),
        "1",
    ),
    "collation": (
        models.CharField(max_length=9, unique=True),
        models.CharField(max_length=9, unique=True, db_collation="C"),
        "1",
    ),
}


@pytest.mark.parametrize(("old", "new", "kind"), WIDER.values(), ids=WIDER)
def test_a_wider_type_is_reached_while_both_releases_write(tables, old, new, kind):
    """Each release writes in each window; no value is lost, and the schema ends as from scratch."""
    tables.make(thing(old, ("other", models.IntegerField(default=0))))
    written: dict[int, Any] = {}

    def write(start: int) -> None:
        for code in (before, after):
            rows = code.objects
            made = rows.create(size=value(start))
            rows.bulk_create([code(size=value(start + n)) for n in (1, 2)])
            rows.filter(size=value(start + 1)).update(size=value(start + 3), other=1)
            made.other = 5
            made.save()
            written.update({row.pk: row.size for row in rows.all()})
            written[made.pk] = value(start)
            assert all(written[row.pk] == row.size for row in rows.all())
            start += 10

    value = str if kind == "1" else int
    before = tables.model("Thing")
    steps = tables.steps("thing", "size", new)
    after = tables.after(*steps).apps.get_model("shop", "Thing")
    write(100)
    for number, step in enumerate(steps, start=1):
        tables.apply(step)
        write(100 + 100 * number)
    assert {row.pk: value(row.size) for row in after.objects.all()} == {
        pk: value(size) for pk, size in written.items()
    }
    assert tables.everything() == tables.from_scratch()


@pytest.mark.parametrize(("old", "new", "kind"), WIDER.values(), ids=WIDER)
def test_every_step_has_a_way_back_to_the_schema_it_came_from(tables, old, new, kind):
    """The contract was applied, r3 is to be given up, and r2, and r1 runs again."""
    tables.make(thing(old))
    tables.model("Thing").objects.create(size=7 if kind == 1 else "7")
    steps = tables.steps("thing", "size", new)
    seen = []
    for step in steps:
        seen.append((tables.state, tables.everything(), tables.data()))
        tables.apply(step)
    for step, (state, schema, data) in zip(reversed(steps), reversed(seen), strict=True):
        tables.unapply(step, state)
        assert tables.everything() == schema
        filled = isinstance(step, ops.DropShadowField | ops.CopyShadowField)
        assert tables.data() == data or filled
    for step in steps:
        tables.apply(step)
    assert tables.everything() == tables.from_scratch()
