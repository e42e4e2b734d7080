"""Whole deployments: each release's own code writes in each window, every value is checked."""

from __future__ import annotations

import pytest

from tests.projects import Project
from tests.stories.schema import schema

pytestmark = pytest.mark.slow

CUSTOMER = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
"""
R1 = (
    CUSTOMER
    + """
class Order(models.Model):
    email = models.CharField(max_length=50)
    total = models.IntegerField(default=0)
    legacy_flag = models.BooleanField(default=True)
    note = models.CharField(max_length=20, null=True)
"""
)
R2 = (
    CUSTOMER
    + """
class Order(models.Model):
    email = models.CharField(max_length=50, db_index=True)
    total = models.IntegerField(default=0)
    email_verified = models.BooleanField()
    code = models.UUIDField(default=uuid.uuid4, unique=True)
    status = models.CharField(max_length=9, default="new")
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
"""
)
BY_HAND = """
from django.db.models import Case, Value, When

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "{after}")]
    operations = [{operations}]
"""
EXPAND = 'ExpandField("order", "email_verified", models.BooleanField()),'
FILL = """BatchedBackfill(
    "order", values={"email_verified": False}, where=Q(email_verified__isnull=True),
    keep_filled=True,
),"""
CONTRACT = 'SetNotNull("order", "email_verified"),'

OLD_WRITES = """
from shop.models import Order
Order.objects.create(email="{window}-r1-new", total=1)
Order.objects.bulk_create([Order(email="{window}-r1-bulk-%s" % n, total=1) for n in range(3)])
Order.objects.filter(email="{window}-seed").update(total=2)
one = Order.objects.get(email="{window}-mine"); one.total = 3; one.save()
assert all(o.legacy_flag is True for o in Order.objects.filter(email__contains="r1"))
list(Order.objects.values()), Order.objects.filter(legacy_flag=True, note=None).count()
Order.objects.filter(email="{window}-doomed").delete()
"""
NEW_WRITES = """
from shop.models import Customer, Order
who = Customer.objects.create(name="{window}")
Order.objects.create(email="{window}-r2-new", total=1, email_verified=True, customer=who)
Order.objects.bulk_create(
    [Order(email="{window}-r2-bulk-%s" % n, email_verified=True, status="paid") for n in range(3)]
)
one = Order.objects.get(email="{window}-theirs")
one.total, one.email_verified = 4, True
one.save()
for order in Order.objects.all():
    assert order.email_verified in (True, False), order.email
    assert order.code and order.status, order.email
Order.objects.filter(email="{window}-doomed-2").delete()
"""
WINDOWS = ["before", "expanded", "rolling", "rolled", "contracted"]


def write(project: Project, code: str, window: str) -> None:
    project.run("shell", "-c", code.format(window=window), RELEASE=project.release)


def start(project: Project) -> Project:
    """r1 in production, with rows for every window."""
    project.models(R1)
    project.run("makemigrations")
    project.deploy("r1")
    kinds = ["seed", "mine", "theirs", "doomed", "doomed-2"]
    for window in WINDOWS:
        for kind in kinds:
            project.sql(
                "INSERT INTO shop_order (email, total, legacy_flag) VALUES (%s, 0, true)",
                [f"{window}-{kind}"],
            )
    return project


def develop_r2(project: Project) -> None:
    """A developer writes the boolean by hand, because its values need thought; no more."""
    after = "0001_initial"
    for name, operations in (("expand", EXPAND), ("backfill", FILL), ("contract", CONTRACT)):
        text = BY_HAND.replace("{after}", after).replace("{operations}", operations)
        after = f"000{len(project.migrations()) + 1}_verified_{name}"
        project.migration(after, text)
    project.models(R2)
    project.run("makemigrations", "--name", "shop")
    assert project.migrations()[4:] == [
        "0005_shop_expand",
        "0006_shop_backfill",
        "0007_shop_expand",
        "0008_shop_contract",
    ]
    project.run("makemigrations", "--check")


def check_every_value(project: Project) -> None:
    rows = project.sql(
        "SELECT email, total, email_verified, code::text, status, customer_id FROM shop_order"
    )
    assert len({code for *_, code, _, _ in rows}) == len(rows), "every row has a code of its own"
    found = {email: (total, verified, status) for email, total, verified, _, status, _ in rows}
    assert not [
        email
        for email in found
        if "doomed" in email
        and not email.endswith("-2")
        and email.split("-")[0] in ("before", "expanded", "rolling")
    ]
    for email, (total, verified, status) in found.items():
        window, _, kind = email.partition("-")
        assert status == ("paid" if kind.startswith("r2-bulk") else "new"), email
        assert verified == (kind.startswith("r2") or (kind == "theirs" and total == 4)), email
        if kind == "seed":
            assert total == (2 if window in ("before", "expanded", "rolling") else 0), email
        if kind == "mine":
            assert total == (3 if window in ("before", "expanded", "rolling") else 0), email
    for window in ("before", "expanded", "rolling"):
        assert sum(email.startswith(f"{window}-r1") for email in found) == 4
    for window in ("rolling", "rolled", "contracted"):
        assert sum(email.startswith(f"{window}-r2") for email in found) == 4


def test_a_deploy_of_three_releases_that_no_code_notices(project, next_release, from_scratch):
    """r1 → r2 → r3: a boolean filled and NOT NULL, an index, a unique code, two fields gone."""
    r1 = start(project)
    write(r1, OLD_WRITES, "before")
    r2 = next_release(r1, "r2")
    develop_r2(r2)

    told = r2.deploy("r2").out
    assert "0004_verified_contract" in told.partition("Held back")[2]
    assert "0008_shop_contract" in told.partition("Held back")[2]
    write(r1, OLD_WRITES, "expanded")

    write(r2, NEW_WRITES, "rolling")
    write(r1, OLD_WRITES, "rolling")
    write(r2, NEW_WRITES, "rolled")

    r3 = next_release(r2, "r3")
    told = r3.deploy("r3").out
    assert "Held back" not in told, told
    write(r2, NEW_WRITES, "contracted")

    check_every_value(r3)
    assert schema(r3) == from_scratch(R2)
    assert r3.run("migrate", "--check").code == 0


def test_the_code_is_rolled_back_after_the_expand_and_comes_again(project, next_release):
    """r2 had a bug: r1's code is deployed again over the expanded schema, then r3 goes on."""
    r1 = start(project)
    r2 = next_release(r1, "r2")
    develop_r2(r2)
    r2.deploy("r2")
    write(r2, NEW_WRITES, "rolling")

    r1.deploy("r1")
    write(r1, OLD_WRITES, "rolling")
    assert "Held back" in r2.deploy("r2").out, "r2 again is no later release"

    r3 = next_release(r2, "r3")
    with r1.connect("web release=r1") as straggler:
        told = r3.deploy("r3").out
        assert f"process {straggler.info.backend_pid} (web release=r1) still runs" in told
    assert "Held back" not in r3.deploy("r3").out
    write(r3, NEW_WRITES, "rolled")
    assert r3.sql("SELECT count(*) FROM shop_order WHERE email_verified IS NULL") == [(0,)]


def test_the_expand_is_unapplied_and_nothing_of_it_is_left(project, next_release, from_scratch):
    """The feature is abandoned: back to the schema of r1, with r1's rows as they were."""
    r1 = start(project)
    before = schema(r1)
    r2 = next_release(r1, "r2")
    develop_r2(r2)
    r2.deploy("r2")
    write(r2, NEW_WRITES, "rolling")
    r2.run("migrate", "shop", "0001")
    assert schema(r1) == before == from_scratch(R1)
    write(r1, OLD_WRITES, "rolling")
    rows = r1.sql("SELECT DISTINCT legacy_flag FROM shop_order")
    assert rows == [(True,)], "what r2 inserted without the flag has r1's default"


def test_the_contract_is_unapplied_and_the_release_before_runs_again(project, next_release):
    """r3 went wrong after its contract: the columns come back, empty, and r1's code can write."""
    r1 = start(project)
    r2 = next_release(r1, "r2")
    develop_r2(r2)
    r2.deploy("r2")
    r3 = next_release(r2, "r3")
    r3.deploy("r3")
    r3.run("migrate", "shop", "0001")
    write(r1, OLD_WRITES, "before")
    assert set(r1.columns("shop_order")) == {"id", "email", "total", "legacy_flag", "note"}


MODELS_GONE = """
class Order(models.Model):
    email = models.CharField(max_length=50)
"""


def test_a_removed_model_goes_a_release_later(project, next_release, from_scratch):
    """Old code still writes to the table and follows its foreign key while r2 rolls out."""
    project.models(
        MODELS_GONE
        + """
class Audit(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    said = models.CharField(max_length=9)
"""
    )
    project.run("makemigrations")
    project.deploy("r1")
    r2 = next_release(project, "r2")
    r2.models(MODELS_GONE)
    r2.run("makemigrations")
    r2.deploy("r2")
    old = """
from shop.models import Audit, Order
order = Order.objects.create(email="x")
Audit.objects.create(order=order, said="hello")
assert Audit.objects.filter(order__email="x").count() == 1
"""
    project.run("shell", "-c", old, RELEASE="r1")
    r2.run("shell", "-c", "from shop.models import Order; Order.objects.all().delete()")
    r3 = next_release(r2, "r3")
    r3.deploy("r3")
    assert schema(r3) == from_scratch(MODELS_GONE)
