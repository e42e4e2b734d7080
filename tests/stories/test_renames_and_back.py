"""A table that gets another name and more in one run, undone from before and after the contract."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.projects import Project
from tests.stories.schema import differences, schema

pytestmark = pytest.mark.slow

MODELS = """
class Coupon(models.Model):
    word = models.CharField(max_length=9)


class {name}(models.Model):
    email = models.CharField(max_length=50)
    {fields}

    class Meta:
        {meta}
"""
TOTAL, NOTE = "total = models.IntegerField()", "note = models.TextField(null=True)"
VOLUME, CODE = "volume = models.IntegerField()", "code = models.BooleanField(default=True)"
COUPON = "coupon = models.ForeignKey(Coupon, models.CASCADE, null=True)"
OLD = [TOTAL, NOTE, COUPON]
MORE = {
    "nothing": OLD,
    "a nullable field": [*OLD, "code = models.IntegerField(null=True)"],
    "a required field": [*OLD, CODE],
    "a value for each row": [*OLD, "code = models.UUIDField(default=uuid.uuid4)"],
    "a unique field": [*OLD, "code = models.IntegerField(null=True, unique=True)"],
    "a foreign key": [*OLD, COUPON.replace("coupon", "gift", 1)[:-1] + ', related_name="+")'],
    "a field less": [TOTAL, COUPON],
    "another name for a field": [VOLUME, NOTE, COUPON],
    "an order": OLD,
    "all of it": [VOLUME, CODE, COUPON],
}
"""``{what comes with the new name: the fields}``."""
ORDERED = 'order_with_respect_to = "coupon"'
CASES = [("a table", what) for what in MORE]
# Of other fields Django takes a model for another one, and does not ask.
CASES += [("a model", what) for what in ("nothing", "another name for a field", "an order")]


def models(fields: Sequence[str], name: str = "Order", meta: str = "pass") -> str:
    return MODELS.format(name=name, fields="\n    ".join(fields), meta=meta)


@pytest.fixture
def shop(project) -> Project:
    """r1 is deployed, with rows."""
    project.models(models(OLD))
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.sql("INSERT INTO shop_order (email, total) SELECT 'e', n FROM generate_series(1, 30) n")
    return project


def written_by_older_code(shop: Project, email: str) -> None:
    shop.sql("INSERT INTO shop_order (email, total, note) VALUES (%s, 1000, 'n')", [email])
    assert shop.sql("SELECT total, note FROM shop_order WHERE email = %s", [email]) == [(1000, "n")]
    shop.sql("UPDATE shop_order SET note = NULL WHERE email = %s", [email])


@pytest.mark.parametrize(("of", "what"), CASES)
def test_a_new_name_and_more_is_undone_from_either_side_of_the_contract(shop, of, what):
    """The view that the contract's way back makes has the columns that older code knows."""
    meta = [ORDERED] if what == "an order" else []
    if of == "a model":
        name = "Sale"
    else:
        name = "Order"
        meta.append('db_table = "shop_sale"')
    shop.models(models(MORE[what], name, "\n        ".join(meta) or "pass"))
    renamed = {"shop.Order": "shop.Sale", f"shop.{name}.total": f"shop.{name}.volume"}
    ran = shop.nursery.manage(shop, "makemigrations", renamed=renamed)
    assert ran.code == 0, ran.text
    walked_back(shop, [one for one in shop.migrations() if not one.endswith("_contract")][-1])


def test_a_stock_rename_with_new_fields_that_was_mended_is_undone_as_well(shop):
    """Somebody has written it by hand; safemigrate fix has split it."""
    shop.migration(
        "0002_sale",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [
                migrations.RenameModel("Order", "Sale"),
                migrations.AddField("Sale", "code", models.BooleanField(default=True)),
                migrations.AddField("Sale", "word", models.TextField(null=True)),
                migrations.RemoveField("Sale", "note"),
            ]
        """,
    )
    word = "word = models.TextField(null=True)"
    shop.models(models([TOTAL, COUPON, CODE, word], "Sale"))
    shop.run("safemigrate", "fix", "shop", "0002")
    shop.run("makemigrations", "--check")
    walked_back(shop, [one for one in shop.migrations() if one != "0002_sale"][-1])


def walked_back(shop: Project, expanded: str) -> None:
    """
    Deployed, undone, deployed, and undone from after the contract, by way of the view.

    ``expanded``: the last file before the contract.
    """
    before = schema(shop)

    assert "Held back" in shop.deploy("r2").out
    written_by_older_code(shop, "expanded")
    shop.run("migrate", "shop", "0001")
    assert not (left := differences(schema(shop), before)), "\n".join(left)

    assert "Held back" in shop.deploy("r2").out
    assert "Held back" not in shop.deploy("r3").out
    shop.run("migrate", "shop", expanded)
    written_by_older_code(shop, "contract undone")
    shop.deploy("r4")  # what drops waits for a release again
    assert "Held back" not in shop.deploy("r5").out

    shop.run("migrate", "shop", "0001")
    assert not (left := differences(schema(shop), before)), "\n".join(left)
    written_by_older_code(shop, "all undone")
    assert shop.sql("SELECT count(*), sum(total) FROM shop_order") == [(33, 3465)]
