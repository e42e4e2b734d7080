"""A value that the database should compute and store: the steps that E115 names, walked."""

from __future__ import annotations

import pytest

from tests.stories.schema import schema

pytestmark = pytest.mark.slow

R1 = """
class Order(models.Model):
    total = models.IntegerField(null=True)
"""
GENERATED = """
    twice = models.GeneratedField(
        expression=models.F("total") * 2, output_field=models.IntegerField(), db_persist=True
    )
"""
PLAIN = """
    twice = models.IntegerField(null=True)
    def save(self, *args, **more):
        self.twice = None if self.total is None else self.total * 2
        super().save(*args, **more)
"""
FILL = """
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0002_order_twice")]
    operations = [
        BatchedBackfill(
            "order", values={"twice": F("total") * 2}, where=~Q(twice=F("total") * 2) & Q(
                total__isnull=False
            ), after_rollout=True,
        )
    ]
"""
BY_HAND = """
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        Assured(
            migrations.AddField("order", "twice", models.GeneratedField(
                expression=F("total") * 2, output_field=models.IntegerField(), db_persist=True
            )),
            because="the shop is closed tonight",
        )
    ]
"""


@pytest.fixture
def shop(project):
    """r1 is in use; a developer asks for the stored field and reads what to do."""
    project.models(R1)
    project.run("makemigrations", "shop")
    project.deploy("r1")
    project.sql("INSERT INTO shop_order (total) SELECT generate_series(1, 9)")
    project.models(R1 + GENERATED)
    ran = project.manage("makemigrations", "shop")
    assert ran.code == 1
    told = " ".join(ran.text.split())
    assert "let code set it wherever it sets what it is computed from" in told
    assert 'BatchedBackfill("order", values={"twice": <the expression>}' in told
    assert "where=~Q(twice=<the expression>), after_rollout=True)" in told
    assert project.migrations() == ["0001_initial"]
    return project


def old_code(shop) -> None:
    shop.sql("UPDATE shop_order SET total = total + 100 WHERE id % 3 = 0")
    shop.sql("INSERT INTO shop_order (total) VALUES (50), (NULL)")


def new_code(shop, number: int) -> None:
    code = f"""
from shop.models import Order
Order.objects.create(total={number})
one = Order.objects.get(pk=1); one.total = {number}; one.save()
"""
    shop.run("shell", "-c", code, RELEASE=shop.release)


def wrong(shop) -> int:
    query = "SELECT count(*) FROM shop_order WHERE twice IS DISTINCT FROM total * 2"
    return shop.sql(query)[0][0]


def test_a_plain_field_that_code_sets_is_right_in_every_row_once_older_code_is_gone(shop):
    """Older code changes the total of rows that newer code has doubled already."""
    shop.models(R1 + PLAIN)
    shop.run("makemigrations", "shop")
    shop.migration("0003_twice", FILL)
    assert "0003_twice" in shop.deploy("r2").out, "it is held back and named"
    old_code(shop)
    new_code(shop, 700)
    shop.sql("UPDATE shop_order SET total = 1 WHERE total = 700")  # old code
    assert wrong(shop)
    shop.deploy("r3")
    assert shop.applied() == ["0001_initial", "0002_order_twice", "0003_twice"]
    assert wrong(shop) == 0
    new_code(shop, 800)
    assert wrong(shop) == 0
    shop.run("makemigrations", "--check")


def test_in_a_maintenance_window_the_database_computes_and_stores_it(shop, from_scratch):
    shop.migration("0002_twice", BY_HAND)
    shop.run("makemigrations", "--check")
    shop.deploy("r2")
    assert wrong(shop) == 0
    old_code(shop)
    assert wrong(shop) == 0
    assert schema(shop) == from_scratch(R1 + GENERATED)
