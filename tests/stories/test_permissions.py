"""Who may do something with a model may do it under either of its names, in either release."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from tests.projects import Project

pytestmark = pytest.mark.slow

SHOP = """
from django.contrib.auth.models import Permission

class Thing(models.Model):
    name = models.CharField(max_length=50)

class {0}({1}):
    class Meta:
        permissions = [("refund", "May give back")]
        {2}

class {3}(models.Model):
    name = models.CharField(max_length=50)
    permissions = models.ManyToManyField(Permission)

class OneObject(models.Model):
    user = models.IntegerField()
    permission = models.ForeignKey(Permission, models.CASCADE)
    number = models.IntegerField()

    class Meta:
        unique_together = [("user", "permission", "number")]

class Asked(models.Model):
    permission = models.ForeignKey(Permission, models.CASCADE)
"""
KINDS = {  # what it inherits from, and its Meta in r1 and in r2
    "its table as well": ("models.Model", "", ""),
    "the model alone": ("models.Model", "", 'db_table = "shop_order"'),
    "of more than one table": ("Thing", "", ""),
    "with a schema": ("models.Model", *['db_table = \'"public"."order"\''] * 2),
}
kinds = pytest.mark.parametrize("shop", KINDS.values(), ids=KINDS.keys(), indirect=True)
usual = pytest.mark.parametrize("shop", [KINDS["its table as well"]], ids=[""], indirect=True)
USES = """
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from shop.models import *
from shop import models
Role = getattr(models, "Role", None) or models.Duty
name = "order" if hasattr(models, "Order") else "purchase"
def one(action):
    return Permission.objects.get(codename=f"{{action}}_{{name}}")
def may(who):
    user = User.objects.get(username=who)
    names = {{word for word in user.get_all_permissions() if word.endswith(name)}}
    return {{word.removeprefix("shop.").removesuffix(f"_{{name}}") for word in names}}
def has(role):
    return set(Role.objects.get(name=role).permissions.filter(
        codename__endswith=name).values_list("codename", flat=True))
def sees(number):
    return set(OneObject.objects.filter(permission__codename__endswith=name, number=number)
        .values_list("permission__codename", flat=True))
{0}
"""
GRANTS = """
ann = User.objects.create(username="ann")
staff = Group.objects.create(name="staff")
staff.permissions.add(one("view"), Permission.objects.get(codename="refund"))
User.objects.create(username="bob").groups.add(staff)
ann.user_permissions.add(one("change"), one("add"))
Role.objects.create(name="clerk").permissions.add(one("view"))
OneObject.objects.create(user=1, permission=one("view"), number=7)
Asked.objects.create(permission=one("view"))
"""
AS_AT_FIRST = """
assert may("ann") == {"change", "add"}, may("ann")
assert may("bob") == {"view"} and User.objects.get(username="bob").has_perm("shop.refund")
assert has("clerk") == {f"view_{name}"} and sees(7) == {f"view_{name}"}
"""
GOES_ON = """
ann = User.objects.get(username="ann")
ann.user_permissions.remove(one("change"))
ann.user_permissions.add(one("delete"))
with transaction.atomic():
    Group.objects.get(name="staff").permissions.set([one("change"), one("view")])
    Group.objects.get(name="staff").permissions.set([one("change")])
clerk = Role.objects.get(name="clerk")
with transaction.atomic():
    clerk.permissions.clear()
    clerk.permissions.set([one("view"), one("add")])
OneObject.objects.filter(number=7).update(number=8)
Asked.objects.create(permission=one("view"))
"""
AFTERWARDS = """
assert may("ann") == {"add", "delete"}, may("ann")
assert may("bob") == {"change"}, may("bob")
assert has("clerk") == {f"view_{name}", f"add_{name}"}, has("clerk")
assert sees(7) == set() and sees(8) == {f"view_{name}"}, (sees(7), sees(8))
"""
OURS = "SELECT tgname FROM pg_trigger WHERE tgname ~ 'safemigrate_ties'"
FUNCTIONS = "SELECT proname FROM pg_proc WHERE proname ~ 'safemigrate_ties'"
ROWS = (
    "SELECT id, codename FROM auth_permission WHERE codename ~ '_(order|purchase)$' "
    "OR codename = 'refund' ORDER BY id"
)


def uses(project: Project, code: str, **env: str) -> None:
    """A process of that release, which has just started."""
    words = USES.format(textwrap.dedent(code))
    project.run("shell", "-c", words, **{"RELEASE": project.release, **env})


@pytest.fixture
def shop(project, request) -> Project:
    """r1 is deployed, and somebody may do something."""
    project.setting("INSTALLED_APPS += ['django.contrib.auth']")
    base, meta, _ = request.param
    project.models(SHOP.format("Order", base, meta, "Role"))
    project.run("makemigrations", "shop")
    project.deploy("r1")
    uses(project, GRANTS)
    uses(project, AS_AT_FIRST)
    return project


@pytest.fixture
def renamed(shop, next_release, request) -> Callable[..., Project]:
    """r2, developed; what else is renamed in the same run."""
    base, _, meta = request.node.callspec.params["shop"]

    def developed(**more: str) -> Project:
        r2 = next_release(shop, "r2")
        r2.models(SHOP.format("Purchase", base, meta, more.get("Role", "Role")))
        asked = {f"shop.{old}": f"shop.{new}" for old, new in {"Order": "Purchase", **more}.items()}
        ran = r2.nursery.manage(r2, "makemigrations", renamed=asked, typed=["y", "y"])
        assert ran.code == 0, ran.text
        r2.run("makemigrations", "--check", "--dry-run")
        return r2

    return developed


@kinds
@pytest.mark.parametrize("more", [{}, {"Role": "Duty"}], ids=["alone", "with who has it"])
def test_old_and_new_code_grant_and_take_away_what_both_ask_for(shop, renamed, more):
    """By a user, a group, a model of the project's own, one object; and no trace is left of it."""
    at_first = shop.sql(ROWS)
    r2 = renamed(**more)
    r2.deploy("r2")
    uses(shop, AS_AT_FIRST)
    uses(r2, AS_AT_FIRST)
    shop.run("migrate", RELEASE="r1")
    uses(r2, GOES_ON if more else "")
    uses(shop, "" if more else GOES_ON)
    uses(shop, AFTERWARDS)
    uses(r2, AFTERWARDS)
    r2.deploy("r3")
    r2.deploy("r4")
    uses(r2, AFTERWARDS)
    r2.run("migrate", "--check")
    assert shop.sql(ROWS) == [(key, name.replace("order", "purchase")) for key, name in at_first]
    assert shop.sql("SELECT count(*) FROM shop_asked") == [(2,)]
    assert (shop.sql(OURS), shop.sql(FUNCTIONS)) == ([], [])


@kinds
def test_the_way_back_keeps_what_was_granted_meanwhile(shop, renamed):
    """From before the contract and from after it."""
    at_first = shop.sql(ROWS)
    r2 = renamed()
    r2.deploy("r2")
    uses(r2, GOES_ON)
    r2.run("migrate", "shop", "0001")
    uses(shop, AFTERWARDS)
    shop.run("migrate", RELEASE="r1")
    assert shop.sql(ROWS) == at_first
    assert (shop.sql(OURS), shop.sql(FUNCTIONS)) == ([], [])
    for release in ("r2", "r3"):
        r2.deploy(release)
    uses(r2, AFTERWARDS)
    r2.run("migrate", "shop", "0002")
    uses(shop, AFTERWARDS)
    uses(r2, AFTERWARDS)
    uses(shop, 'User.objects.get(username="ann").user_permissions.clear()')
    uses(r2, 'assert may("ann") == set(), may("ann")')
    r2.run("migrate", "shop", "0001")
    uses(shop, 'assert may("ann") == set() and may("bob") == {"change"}')
    assert shop.sql(ROWS) == at_first
    assert (shop.sql(OURS), shop.sql(FUNCTIONS)) == ([], [])


SETS = """
ann, staff = User.objects.get(username="ann"), Group.objects.get(name="staff")
for _ in range(3):
    ann.user_permissions.set([one("change"), one("add")])
    staff.permissions.set([one("view"), Permission.objects.get(codename="refund")])
    Role.objects.get(name="clerk").permissions.set([one("view")])
"""


@usual
def test_a_list_that_either_release_sets_is_what_one_has(shop, renamed):
    """It has one name of each; the other is in no list, and nobody means to take it away."""
    r2 = renamed()
    r2.deploy("r2")
    for here, there in ((shop, r2), (r2, shop)):
        uses(here, SETS)
        uses(here, AS_AT_FIRST)
        uses(there, AS_AT_FIRST)
        uses(here, 'User.objects.get(username="ann").user_permissions.set([one("view")])')
        uses(here, 'assert may("ann") == {"view"}, may("ann")')
        uses(there, 'assert may("ann") == {"view"}, may("ann")')
        uses(here, 'User.objects.get(username="ann").user_permissions.set([])')
        uses(there, 'assert may("ann") == set(), may("ann")')
        uses(here, SETS)
        uses(there, AS_AT_FIRST)
    r2.deploy("r3")
    uses(r2, SETS)
    uses(r2, AS_AT_FIRST)


@usual
def test_a_contract_that_stops_halfway_takes_nothing_from_anybody(shop, renamed):
    """Code goes on setting lists and granting, whatever has been done of it."""
    r2 = renamed()
    r2.setting("SAFEMIGRATE['LOCK_DEADLINE'] = timedelta(seconds=1)")
    r2.deploy("r2")
    with shop.connect() as reader:
        reader.execute("BEGIN; SELECT FROM auth_user_user_permissions")
        ran = r2.manage("migrate", RELEASE="r3")
        assert 'Could not lock "public"."auth_user_user_permissions"' in ran.text, ran.text
    uses(r2, AS_AT_FIRST)
    uses(r2, SETS)
    uses(r2, AS_AT_FIRST)
    uses(r2, GOES_ON)
    uses(r2, AFTERWARDS)
    r2.deploy("r3")
    uses(r2, AFTERWARDS)


@usual
def test_a_permission_that_somebody_deletes_takes_nothing_from_its_twin(shop, renamed):
    """As who tidies up does, since no model of the new release has it."""
    r2 = renamed()
    r2.deploy("r2")
    uses(r2, "Permission.objects.filter(codename__endswith='order').delete()")
    uses(r2, AS_AT_FIRST)
    uses(r2, GOES_ON)
    uses(r2, AFTERWARDS)
    r2.deploy("r3")
    uses(r2, AFTERWARDS)
    assert [name for _, name in shop.sql(ROWS)].count("view_purchase") == 1


@usual
def test_sqlmigrate_says_what_only_migrate_does(shop, renamed):
    """Whoever runs the printed statements by hand has neither the twins nor what ties them."""
    r2 = renamed()
    expand, contract = r2.migrations()[1:]
    printed = r2.run("sqlmigrate", "shop", expand).out
    assert "-- At run time: who has a permission of shop.Order has that of shop.Purchase" in printed
    printed = r2.run("sqlmigrate", "shop", contract).out
    assert "-- At run time: the permissions of shop.Order become one with those of" in printed


@usual
def test_a_user_who_goes_is_no_bother(shop, renamed):
    """What is tied goes with whom it was granted to."""
    r2 = renamed()
    r2.deploy("r2")
    uses(r2, 'User.objects.get(username="ann").delete(); Group.objects.all().delete()')
    uses(shop, 'assert may("bob") == set(), may("bob")')
    r2.deploy("r3")


@usual
def test_on_sqlite_they_get_the_new_name_at_once(shop, renamed):
    """There is no other code that could ask."""
    lite = {"DATABASE_URL": f"sqlite:///{shop.folder}/db.sqlite3"}
    shop.run("migrate", **lite)
    uses(shop, GRANTS, **lite)
    r2 = renamed()
    r2.run("migrate", **lite)
    uses(r2, AS_AT_FIRST, **lite)
    names = 'sorted(Permission.objects.filter(codename__startswith="view").filter('
    names += 'content_type__model="{}").values_list("codename", flat=True))'
    uses(r2, f'assert {names.format("purchase")} == ["view_purchase"]', **lite)
    r2.run("migrate", "shop", "0001", **lite)
    uses(shop, AS_AT_FIRST, **lite)
    uses(shop, f'assert {names.format("order")} == ["view_order"]', **lite)
