"""A field that is renamed while other things about it change, or are taken back."""

from __future__ import annotations

import pytest

from tests.projects import Project
from tests.stories.schema import differences, schema

pytestmark = pytest.mark.slow

ORDER = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    {}

    class Meta:
        indexes = [models.Index(fields=["email"], name="by_email"){}]
        unique_together = [{}]
"""
OLD = ORDER.format("total = models.IntegerField()", "", "")
ROWS = "INSERT INTO shop_order (email, {}) SELECT 'e' || n, n FROM generate_series(1, 30) n"


@pytest.fixture
def shop(project) -> Project:
    """r1 is deployed, with rows."""
    project.models(OLD)
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.sql(ROWS.format("total"))
    return project


def rename(shop: Project, models: str, name: str = "grand_total") -> None:
    shop.models(models)
    renamed = {"shop.Order.total": f"shop.Order.{name}"}
    ran = shop.nursery.manage(shop, "makemigrations", renamed=renamed)
    assert ran.code == 0, ran.text


def test_a_rename_and_another_type_are_two_runs(shop, from_scratch):
    """As makemigrations says when it is asked for both: first the name, then the type."""
    both = ORDER.format("amount = models.BigIntegerField(default=0)", "", "")
    shop.models(both)
    renamed = {"shop.Order.total": "shop.Order.amount"}
    for answered in ([], ["--noinput"]):
        refused = shop.nursery.manage(shop, "makemigrations", *answered, renamed=renamed)
        assert refused.code == 1
        told = " ".join(refused.err.split())
        assert "give it its new name alone, as it was defined" in told
        assert "makemigrations --not-renamed shop.order.total" in told
        assert shop.migrations() == ["0001_initial"]

    rename(shop, ORDER.format("amount = models.IntegerField()", "", ""), "amount")
    assert "Held back" in shop.deploy("r2").out
    shop.sql("INSERT INTO shop_order (email, total) VALUES ('of r1', 1000)")
    shop.sql("INSERT INTO shop_order (email, amount) VALUES ('of r2', 2000)")

    shop.models(both)
    shop.run("makemigrations", "--noinput")
    shop.run("makemigrations", "--check")
    told = shop.deploy("r3").out
    assert "alter_order_amount_contract" in told.partition("Held back")[2]
    shop.sql("INSERT INTO shop_order (email, amount) VALUES ('of r3', 3000)")

    assert "Held back" not in shop.deploy("r4").out
    assert shop.sql("SELECT count(*), sum(amount) FROM shop_order") == [(33, 465 + 6000)]
    assert not (left := differences(schema(shop), from_scratch(both))), "\n".join(left)


def test_a_rename_and_other_choices_texts_and_default_are_one_run(shop, from_scratch):
    """What most renames bring along, and no database sees."""
    more = (
        'choices=[(1, "one")], default=1, help_text="in cents", validators=[MinValueValidator(0)]'
    )
    after = ORDER.format(f"amount = models.IntegerField({more})", "", "")
    head = "from django.core.validators import MinValueValidator\n"
    rename(shop, head + after, "amount")
    shop.run("makemigrations", "--check")
    assert "Held back" in shop.deploy("r2").out
    shop.sql("INSERT INTO shop_order (email, total) VALUES ('of r1', 1000)")
    shop.sql("INSERT INTO shop_order (email, amount) VALUES ('of r2', 2000)")
    assert shop.sql("SELECT sum(total), sum(amount) FROM shop_order") == [(3465, 3465)]
    assert "Held back" not in shop.deploy("r3").out
    assert not (left := differences(schema(shop), from_scratch(head + after))), "\n".join(left)
    shop.run("migrate", "shop", "0001")
    assert shop.sql("SELECT count(*), sum(total) FROM shop_order") == [(32, 3465)]


def test_a_field_that_goes_and_one_that_comes_are_two_if_the_command_says_so(shop, from_scratch):
    """No terminal, and nothing kept that nobody wants."""
    two = ORDER.format("amount = models.BigIntegerField(default=5)", "", "")
    shop.models(two)
    assert shop.manage("makemigrations", "--noinput", "--not-renamed", "shop.order.email").code == 1
    assert shop.migrations() == ["0001_initial"]
    shop.run("makemigrations", "--noinput", "--not-renamed", "shop.Order.total")
    shop.run("makemigrations", "--check")
    shop.deploy("r2")
    shop.deploy("r3")
    assert shop.sql("SELECT count(*), sum(amount) FROM shop_order") == [(30, 150)]
    assert not (left := differences(schema(shop), from_scratch(two))), "\n".join(left)


def test_what_a_renamed_field_got_is_gone_when_all_is_taken_back(shop):
    """After the contract, so that the old column is made again, with all that the new one has."""
    before = schema(shop)
    index = ', models.Index(fields=["grand_total"], name="by_grand_total")'
    rename(
        shop, ORDER.format("grand_total = models.IntegerField()", index, '("grand_total", "email")')
    )
    shop.deploy("r2")
    assert "Held back" not in shop.deploy("r3").out
    assert shop.indexes("shop_order")["by_grand_total"]
    shop.run("migrate", "shop", "0001")
    assert not (left := differences(schema(shop), before)), "\n".join(left)
    assert shop.sql("SELECT count(*), sum(total) FROM shop_order") == [(30, 465)]


def test_a_model_and_what_is_in_it_take_their_old_names_and_types_again(shop):
    """From after the contract: the view for older code has the columns that it knows."""
    before = schema(shop)
    field = "volume = models.IntegerField()"
    shop.models(ORDER.format(field, "", "").replace("Order", "Purchase"))
    renamed = {"shop.Order": "shop.Purchase", "shop.Order.total": "shop.Purchase.volume"}
    ran = shop.nursery.manage(shop, "makemigrations", renamed=renamed)
    assert ran.code == 0, ran.text
    told = shop.deploy("r2").out
    shop.sql("INSERT INTO shop_order (email, total) VALUES ('of r1', 1000)")
    assert "Held back" not in shop.deploy("r3").out
    contract = shop.migrations()[-1]
    assert contract in told.partition("Held back")[2]

    shop.run("migrate", "shop", shop.migrations()[-2])
    shop.sql("INSERT INTO shop_order (email, total) VALUES ('of r1 again', 2000)")
    shop.sql("INSERT INTO shop_purchase (email, volume) VALUES ('of r2', 4000)")
    assert shop.sql("SELECT count(*), sum(total) FROM shop_order") == [(33, 7465)]
    shop.run("migrate", "shop", "0001")
    assert not (left := differences(schema(shop), before)), "\n".join(left)
    assert shop.sql("SELECT count(*), sum(total) FROM shop_order") == [(33, 7465)]
