"""Ask the rules about one operation, without a database."""

from __future__ import annotations

from typing import Any

import django
import pytest
from django.db import connections, migrations, models
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.rules import Finding, Step, judge


def shop() -> ProjectState:
    """A shop's tables, full and busy."""
    state = ProjectState()
    for name, fields, options in (
        (
            "Customer",
            {"email": models.CharField(max_length=50, db_index=True), "key": models.UUIDField()},
            {},
        ),
        ("Shop", {"name": models.CharField(max_length=10)}, {}),
        (
            "Order",
            {
                "total": models.IntegerField(null=True),
                "number": models.CharField(max_length=20),
                "note": models.TextField(null=True),
                "price": models.DecimalField(max_digits=8, decimal_places=2),
                "customer": models.ForeignKey("shop.Customer", models.CASCADE),
                "tags": models.ManyToManyField("shop.Customer", related_name="+"),
                "status": models.IntegerField(db_default=1),
                "shop_id": models.BigIntegerField(null=True),
                "named": models.IntegerField(db_column="fixed"),
            },
            {"unique_together": {("number", "customer")}, "index_together": set()},
        ),
        ("Elsewhere", {"total": models.IntegerField()}, {"managed": False}),
        ("Seen", {}, {"proxy": True}),
        ("Kept", {"total": models.IntegerField()}, {"db_table": "kept_table"}),
    ):
        pk = [("id", models.BigAutoField(primary_key=True))]
        state.add_model(ModelState("shop", name, [*pk, *fields.items()], options))
    return state


by_the_server = pytest.mark.skipif(
    django.VERSION < (6, 1), reason="Django 6.1 is the first to leave deleting to the server"
)


def to(model: str, on_delete: str, **options: Any) -> models.ForeignKey:
    return models.ForeignKey(f"shop.{model}", getattr(models, on_delete), **options)


def referring(on_delete: str) -> ProjectState:
    before = shop()
    before.alter_field("shop", "order", "customer", to("Customer", on_delete), True)
    return before


def ask(operation: Any, **changes: Any) -> list[Finding]:
    """Every finding about ``operation`` on the shop's tables, on PostgreSQL."""
    before = changes.pop("before", None) or shop()
    values: dict[str, Any] = {
        "app_label": "shop",
        "operation": operation,
        "before": before,
        "vendor": "postgresql",
        "connection": connections["default"].copy(),
        **changes,
    }
    return judge(Step(**values))


def ids(operation: Any, **changes: Any) -> list[str]:
    return [finding.rule for finding in ask(operation, **changes)]


def one(operation: Any, rule: str, **changes: Any) -> Finding:
    """The only finding, which must be of this rule."""
    found = ask(operation, **changes)
    assert [finding.rule for finding in found] == [rule]
    finding = found[0]
    assert "\n" not in finding.what
    assert len(finding.what) < 80, finding.what
    return finding


def on_a_new_table(operation: Any) -> list[str]:
    """What is said if the table is made in the same migration."""
    return ids(operation, new_models=frozenset({("shop", "order")}))


def adding(field: Any, name: str = "fresh") -> migrations.AddField:
    return migrations.AddField("order", name, field)


def altering(name: str, field: Any, model: str = "order") -> migrations.AlterField:
    return migrations.AlterField(model, name, field)


# SQL ---------------------------------------------------------------------------------------

NOOP = migrations.RunSQL.noop


def run_sql(sql: Any, back: Any = NOOP) -> migrations.RunSQL:
    return migrations.RunSQL(sql, back)


def one_of_sql(sql: Any, rule: str, back: Any = NOOP, **changes: Any) -> Finding:
    return one(sql if isinstance(sql, migrations.RunSQL) else run_sql(sql, back), rule, **changes)


class FakeMigration:
    """As much of a migration as a rule looks at."""

    def __init__(self, *operations: Any, atomic: bool = True) -> None:
        self.operations, self.atomic = operations, atomic


def within(*operations: Any, atomic: bool = True) -> list[str]:
    """What is said of the last operation of a migration."""
    return ids(operations[-1], migration=FakeMigration(*operations, atomic=atomic))
