"""A renamed model has one content type, by whichever name code of either release asks for it."""

from __future__ import annotations

import textwrap

import pytest

from tests.projects import Project

pytestmark = pytest.mark.slow

SHOP = """
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType

class {name}(models.Model):
    email = models.CharField(max_length=50)

    class Meta:
        {meta}

class Mark(models.Model):
    text = models.CharField(max_length=9, default="")
    kind = models.ForeignKey(ContentType, models.CASCADE)
    number = models.BigIntegerField()
    about = GenericForeignKey("kind", "number")
"""
KEEPS = 'db_table = "shop_order"'
METAS = {"its table as well": "pass", "the model alone": KEEPS}
WAYS = {
    "for a model": "ContentType.objects.get_for_model(Sold)",
    "for models": "ContentType.objects.get_for_models(Sold, Mark)[Sold]",
    "by its key": "ContentType.objects.get_by_natural_key('shop', name)",
    "or made": "ContentType.objects.get_or_create(app_label='shop', model=name)[0]",
    "plainly": "ContentType.objects.get(app_label='shop', model=name)",
    "made in bulk": "(ContentType.objects.bulk_create([ContentType(app_label='shop', model=name)]),"
    " ContentType.objects.get(app_label='shop', model=name))[1]",
    "in a transaction": "in_a_transaction()",
}
USES = """
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from shop.models import Mark, {name} as Sold
name = Sold._meta.model_name
def in_a_transaction():
    with transaction.atomic():
        return ContentType.objects.get_for_model(Sold)
{first}
kind = {way}
assert (kind.model, kind.model_class()) == (name, Sold), kind
assert ContentType.objects.get_for_model(Sold).pk == kind.pk
Mark.objects.create(about=Sold.objects.create(email="x"))
with transaction.atomic():
    for mark in [*Mark.objects.all(), *Mark.objects.prefetch_related("about")]:
        assert type(mark.about) is Sold and mark.kind_id == kind.pk, mark.kind
        assert mark.kind.model_class() is Sold
before = len(connection.queries_log)
ContentType.objects.get_for_model(Sold), ContentType.objects.get_for_id(kind.pk).model_class()
assert len(connection.queries_log) == before, "it is cached"
"""
READS_FIRST = "assert all(type(mark.about) is Sold for mark in Mark.objects.all())"


def models(name: str, meta: str) -> str:
    return SHOP.format(name=name, meta=meta)


@pytest.fixture
def shop(project) -> Project:
    """r1 is deployed, and has marked an order."""
    project.setting("INSTALLED_APPS += ['django.contrib.auth']")
    project.models(models("Order", "pass"))
    project.run("makemigrations", "shop")
    project.deploy("r1")
    uses(project, "Order", "for a model")
    return project


@pytest.fixture
def renamed(shop, next_release):
    """r2, developed; by the Meta of its model."""

    def developed(meta: str) -> Project:
        r2 = next_release(shop, "r2")
        r2.models(models("Purchase", meta))
        asked = {"shop.Order": "shop.Purchase"}
        ran = r2.nursery.manage(r2, "makemigrations", renamed=asked, typed=["y"])
        assert ran.code == 0, ran.text
        r2.run("makemigrations", "--check", "--dry-run")
        return r2

    return developed


def uses(project: Project, name: str, way: str, first: str = "") -> None:
    """A process that has just started, and knows no content type yet."""
    code = USES.format(name=name, way=WAYS[way], first=first)
    project.run("shell", "-c", code, RELEASE=project.release)


def types(project: Project) -> list[tuple[int, str]]:
    return project.sql(
        "SELECT id, model FROM django_content_type WHERE app_label = 'shop' AND model <> 'mark'"
    )


def permissions(project: Project) -> list[str]:
    rows = project.sql(
        "SELECT codename FROM auth_permission WHERE codename LIKE 'view_%' AND content_type_id IN "
        "(SELECT id FROM django_content_type WHERE app_label = 'shop' AND model <> 'mark')"
    )
    return sorted(name for (name,) in rows)


@pytest.mark.parametrize("what", METAS)
def test_code_that_starts_after_the_rename_finds_the_one_content_type(shop, renamed, what):
    """Old code finds it by the old name, with new code beside it; and none is left that has two."""
    ((number, _),) = types(shop)
    r2 = renamed(METAS[what])
    r2.deploy("r2")
    named = [(number, "purchase")]
    for way in WAYS:
        uses(shop, "Order", way)
        assert types(shop) == named, way
    uses(shop, "Order", "for a model", READS_FIRST)
    uses(r2, "Purchase", "for a model", READS_FIRST)
    assert types(shop) == named
    shop.run("migrate", RELEASE="r1")
    assert types(shop) == named, "as code that is rolled back does"
    assert permissions(shop) == ["view_order", "view_purchase"]
    shop.run("remove_stale_contenttypes", "--noinput")
    assert types(shop) == named
    r2.deploy("r3")
    r2.deploy("r4")  # what was gone for a release waits for another one
    r2.run("migrate", "--check")
    uses(r2, "Purchase", "for models", READS_FIRST)
    assert types(shop) == named


def test_new_code_that_starts_after_the_way_back_finds_the_one_content_type(shop, renamed):
    """The deploy was undone while the new release went on, and was made again."""
    ((number, _),) = types(shop)
    r2 = renamed(KEEPS)
    r2.deploy("r2")
    r2.run("migrate", "shop", "0001")
    for way in WAYS:
        uses(r2, "Purchase", way)
        uses(shop, "Order", "for a model", READS_FIRST)
        assert types(shop) == [(number, "order")], way
    r2.deploy("r2")
    uses(shop, "Order", "for a model", READS_FIRST)
    assert types(shop) == [(number, "purchase")]


def test_old_code_finds_it_after_the_way_back_of_the_contract(shop, renamed):
    """What was written down for it went with the contract, and comes again."""
    r2 = renamed("pass")
    named = [(types(shop)[0][0], "purchase")]
    for release in ("r2", "r3"):
        r2.deploy(release)
    written = "SELECT app_label, old, new FROM safemigrate_renamed"
    assert shop.sql(written) == []
    r2.run("migrate", "shop", "0002")
    assert shop.sql(written) == [("shop", "order", "purchase")]
    uses(shop, "Order", "for a model", READS_FIRST)
    assert types(shop) == named


def test_a_second_content_type_of_code_without_safemigrate_is_merged_at_the_contract(shop, renamed):
    """Its marks, and what was granted by it, belong to the first one then."""
    r2 = renamed("pass")
    r2.deploy("r2")
    ((number, _),) = types(shop)
    config = (shop.folder / "config.py").read_text()
    shop.setting('INSTALLED_APPS.remove("safemigrate")')
    uses(shop, "Order", "for a model", "Mark.objects.all().delete()")
    assert len(types(shop)) == 2, "what this is about"
    shop.sql(
        f"""
        INSERT INTO auth_permission (name, codename, content_type_id)
        SELECT 'Can ' || c || ' order', c || '_order', t.id
        FROM unnest(ARRAY['view', 'add']) c, django_content_type t
        WHERE t.app_label = 'shop' AND t.model <> 'mark'
        ON CONFLICT DO NOTHING;
        WITH staff AS (INSERT INTO auth_group (name) VALUES ('staff') RETURNING id)
        INSERT INTO auth_group_permissions (group_id, permission_id)
        SELECT s.id, p.id FROM staff s, auth_permission p
        WHERE p.codename = 'view_order'
           OR p.codename = 'add_order' AND p.content_type_id <> {number};
        """
    )
    (shop.folder / "config.py").write_text(config)
    r2.deploy("r3")
    assert types(shop) == [(number, "purchase")]
    uses(r2, "Purchase", "for a model", READS_FIRST)
    assert permissions(shop) == ["view_purchase"]
    granted = "SELECT p.codename, p.content_type_id FROM auth_group_permissions g "
    granted += "JOIN auth_permission p ON p.id = g.permission_id ORDER BY 1"
    assert shop.sql(granted) == [("add_purchase", number), ("view_purchase", number)]


def test_what_django_does_is_left_alone_where_nothing_was_renamed(shop):
    """No table of ours, in a transaction that goes on; and what is stale is asked about once."""
    code = """
    import pickle
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection, transaction
    from django.test.utils import CaptureQueriesContext
    from shop.models import Mark, Order
    ContentType.objects.create(app_label="shop", model="gone")
    Mark.objects.all().delete()
    with transaction.atomic():
        ContentType.objects.filter(app_label="shop", model="order").delete()
        made = ContentType.objects.get_for_model(Order)
        try:
            ContentType.objects.get_by_natural_key("shop", "nothing")
        except ContentType.DoesNotExist:
            pass
        assert ContentType.objects.get(pk=made.pk).model_class() is Order
    stale = lambda: ContentType.objects.get(model="gone").model_class()
    assert stale() is None and ContentType(app_label="shop", model="x").model_class() is None
    with CaptureQueriesContext(connection) as sent:
        assert stale() is None
    assert len(sent) == 1, sent.captured_queries
    kept = pickle.loads(pickle.dumps(ContentType.objects.filter(model="gone")))
    assert [one.model for one in kept] == ["gone"]
    assert list(ContentType.objects.values("model").filter(pk=made.pk)) == [{"model": "order"}]
    """
    shop.run("shell", "-c", textwrap.dedent(code))
    assert shop.sql("SELECT to_regclass('safemigrate_renamed')") == [(None,)]


def test_a_role_that_reads_content_types_alone_finds_it_too(shop, renamed):
    """Web processes own nothing; where they may not look, it is as without us, and no error."""
    r2 = renamed(KEEPS)
    r2.deploy("r2")
    code = """
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection, transaction
    from shop.models import Order
    connection.cursor().execute("SET ROLE web_of_content_types")
    with transaction.atomic():
        print(ContentType.objects.get_for_model(Order).pk)
        assert ContentType.objects.exists()
    """
    ((number, _),) = types(shop)
    shop.sql(
        "CREATE ROLE web_of_content_types; GRANT SELECT, INSERT ON django_content_type TO "
        "web_of_content_types; GRANT USAGE ON SEQUENCE django_content_type_id_seq TO "
        "web_of_content_types"
    )
    try:
        ran = shop.run("shell", "-c", textwrap.dedent(code))
        assert ran.out.split()[-1] == str(number)
        shop.sql("REVOKE SELECT ON safemigrate_renamed FROM PUBLIC")
        shop.run("shell", "-c", textwrap.dedent(code))
        assert len(types(shop)) == 2
    finally:
        shop.sql("DROP OWNED BY web_of_content_types; DROP ROLE web_of_content_types")


def test_a_second_content_type_whose_rows_differ_from_those_of_the_first_stops_the_contract(
    shop, renamed
):
    """A constraint of the project's own allows one of them, and nobody knows which."""
    r2 = renamed("pass")
    r2.deploy("r2")
    ((number, _),) = types(shop)
    shop.sql(
        """
        CREATE UNIQUE INDEX one_mark ON shop_mark (kind_id, number);
        WITH made AS (
            INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'order')
            RETURNING id
        )
        INSERT INTO shop_mark (text, kind_id, number)
        SELECT 'other', m.id, s.number FROM made m, shop_mark s
        """
    )
    ran = r2.manage("migrate", RELEASE="r3")
    assert ran.code == 1, ran.text
    said = " ".join(ran.text.split())
    assert f"cannot refer to {number}, with which it is one" in said, said
    assert 'SELECT * FROM shop_mark WHERE "kind_id" IN (' in said, said
    shop.sql("DELETE FROM shop_mark WHERE text = 'other'")
    r2.deploy("r3")
    assert types(shop) == [(number, "purchase")]


def test_the_content_type_of_a_new_model_under_the_old_name_is_no_second_one(shop, renamed):
    """An order is something else by now; its marks stay its own."""
    r2 = renamed("pass")
    r2.deploy("r2")
    named = types(shop)
    again = "class Order(models.Model):\n    class Meta:\n        db_table = 'shop_another'\n"
    r2.models(models("Purchase", "pass") + again)
    r2.run("makemigrations", "shop")
    shop.sql("INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'order')")
    both = types(shop)
    r2.deploy("r3")
    r2.run("migrate", "--check")
    assert sorted(types(shop)) == sorted(both)
    assert len(both) == len(named) + 1


def test_a_queryset_of_another_package_goes_on_working(shop, renamed):
    """It has set its own before us."""
    r2 = renamed("pass")
    r2.deploy("r2")
    ((number, _),) = types(shop)
    own = """
from django.contrib.contenttypes.models import ContentTypeManager

class Own(models.QuerySet):
    def own(self):
        return self.count()

ContentTypeManager._queryset_class = Own
"""
    shop.models(models("Order", "pass") + own)
    uses(shop, "Order", "for models", "assert ContentType.objects.all().own()")
    assert types(shop) == [(number, "purchase")]
