"""The shop that hundreds of tests begin with is the same for each of them."""

from __future__ import annotations

from safemigrate import operations as ops
from tests.operations.shop import Shop


def test_what_one_test_has_renamed_is_not_seen_by_the_next(pg):
    """Its state is rendered once for all, and Django's clones of a state share model classes."""
    first = Shop(pg).open()
    first.apply(ops.ExpandRenameModel("Order", "Purchase"))
    first.state.apps.get_model("shop", "Purchase")._meta.related_objects  # noqa: B018
    with pg.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    tags = Shop(pg).open().model("Tag")
    known = [field.related_model for field in tags._meta.get_fields() if field.is_relation]
    assert {model.__name__ for model in known} == {"Order"}
    tags.objects.create(word="new").delete()
