"""A many-to-many field that refers to another model, where not all went as it was meant to."""

from __future__ import annotations

import pytest
from django.db import models

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay
from tests.operations.shop import Shop, killed_at

TAGS = models.ManyToManyField("shop.tag")
OTHERS = {
    "another model": models.ManyToManyField("shop.customer", related_name="+"),
    "another model and table": models.ManyToManyField(
        "shop.customer", related_name="+", db_table="shop_labels"
    ),
}


@pytest.fixture
def shop(pg) -> Shop:
    return Shop(pg).open()


@pytest.fixture(params=OTHERS.values(), ids=OTHERS)
def expand(request) -> ops.ExpandAlterManyToMany:
    return ops.ExpandAlterManyToMany("order", "tags", request.param)


def contract_of(expand: ops.ExpandAlterManyToMany) -> ops.ContractAlterManyToMany:
    return ops.ContractAlterManyToMany("order", "tags", expand.field, TAGS)


def tag_an_order(shop: Shop, number: int) -> list[int]:
    """What the release before finds once it has written a row."""
    tag = shop.model("Tag").objects.create(id=number, word="new")
    order = shop.model("Order").objects.first()
    order.tags.add(tag)
    return [tag.pk for tag in order.tags.order_by("pk")]


def test_a_contract_that_rows_stop_leaves_a_way_back(shop, expand):
    """Without a foreign key for a whole release, rows that refer to nothing are likely."""
    before, schema = shop.state, shop.schema()
    tag_an_order(shop, 70)
    shop.apply(expand)
    with pytest.raises(DataInTheWay):
        shop.apply(contract_of(expand))
    shop.unapply(expand, before)
    assert shop.schema() == schema
    assert tag_an_order(shop, 71) == [70, 71]


def test_a_contract_that_is_killed_leaves_a_way_back(shop, expand):
    """At whatever statement; at the last, it came to its end and was not recorded."""
    before, schema = shop.state, shop.schema()
    one = shop.model("Customer").objects.get()
    at, fell = 0, True
    while fell:
        at += 1
        shop.apply(expand)
        fell = killed_at(shop, contract_of(expand), at)
        shop.unapply(expand, before)
        assert shop.schema() == schema, f"killed at statement {at}"
        # A number that a customer has: the next round's contract shall find no row in its way.
        assert tag_an_order(shop, one.pk) == [one.pk]
        shop.model("Tag").objects.all().delete()
    assert at > 2


@pytest.mark.parametrize(
    "change",
    [ops.ExpandRenameModel("Tag", "Label"), ops.ContractDrop("tag")],
    ids=lambda change: type(change).__name__,
)
def test_what_it_referred_to_may_have_another_name_or_none_by_now(shop, expand, change):
    """The contract was held back, while a later release, or another app, went on."""
    shop.apply(expand)
    shop.apply(change)
    before, schema = shop.state, shop.schema()
    shop.apply(contract_of(expand))
    assert shop.ask("SELECT count(*) FROM pg_class WHERE relname ~ 'tags' AND relkind = 'v'") == [
        (0,)
    ]
    assert before.models.keys() == shop.state.models.keys()
    shop.unapply(contract_of(expand), before)
    assert shop.schema() == schema
    assert shop.ask("SELECT order_id, tag_id FROM shop_order_tags") == []
