"""safemigrate fix: a migration written by hand becomes its safe chain; nothing is lost."""

from __future__ import annotations

import pytest

from tests.projects import Project

INITIAL = """
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False,
                                       verbose_name="ID")),
            ("email", models.CharField(max_length=50)),
            ("legacy", models.CharField(max_length=5)),
        ]),
    ]
"""
MODELS = """
class Order(models.Model):
    email = models.CharField(max_length=50, db_index=True)
    total = models.IntegerField(default=0)
    token = models.UUIDField(default=uuid.uuid4)
    kind = models.SlugField(default="a", db_index=False)
"""
BY_HAND = '''\
# Copyright of the shop.
"""Totals, at last."""
from __future__ import annotations

import uuid
from django.db import migrations, models
from shop import words  # for the code below

KIND = "b"  # as the accountants call it


# Old orders were all of one kind.
def forwards(apps, schema_editor):
    orders = apps.get_model("shop", "Order")
    orders.objects.update(kind=_kind() + words.NONE)


def _kind():
    return KIND


def nobody_calls_this():
    """But somebody may have wanted to keep it."""


class Migration(migrations.Migration):
    """Written in a hurry."""

    # It comes after the first.
    dependencies = [
        ("shop", "0001_initial"),
    ]

    operations = [
        # Every order has a total.
        migrations.AddField("order", "total", models.IntegerField(default=0)),
        migrations.AddField(
            "order",
            # a slug, not a choice
            "kind",
            models.SlugField(default="a", db_index=False),
        ),  # the kind
        migrations.RunPython(
            forwards,  # no way back needed
            migrations.RunPython.noop,
        ),  # fill
        migrations.AddField("order", "token", models.UUIDField(default=uuid.uuid4)),
        migrations.AlterField("order", "email", models.CharField(max_length=50, db_index=True)),
        migrations.RemoveField("order", "legacy"),
    ]
'''
PARTS = [
    "0002_totals_expand",
    "0002_totals_backfill",
    "0002_totals_expand_2",
    "0002_totals_backfill_2",
    "0002_totals_expand_3",
    "0002_totals",
]


@pytest.fixture
def shop(project) -> Project:
    """A developer wrote r2's migration as one always did."""
    project.migration("0001_initial", INITIAL)
    project.write("shop/words.py", 'NONE = ""\n')
    project.models(MODELS)
    project.write("shop/migrations/0002_totals.py", BY_HAND)
    # What its code does is another rule's business; fix carries it over as it is.
    project.setting('SILENCED_SYSTEM_CHECKS = ["safemigrate.E161", "safemigrate.W404"]')
    return project


@pytest.fixture
def deployed(shop) -> Project:
    """r1 is in production."""
    shop.deploy("r1", "--skip-checks", "shop", "0001")
    return shop


def test_everything_of_the_file_is_in_its_parts(shop):
    """Check refuses the file, fix writes the chain, check is content, migrate carries it out."""
    assert shop.manage("check").code == 1
    told = shop.run("safemigrate", "fix", "shop", "0002").out
    assert [line.strip() for line in told.splitlines()[1:]] == [
        f"shop/migrations/{name}.py" for name in PARTS
    ]
    whole = "\n".join(shop.read(name) for name in PARTS)
    comments = [line.partition("#")[2] for line in BY_HAND.splitlines() if "#" in line]
    for kept in (*comments, '"""Written in a hurry."""', "def nobody_calls_this", "import words"):
        assert kept in whole, kept
    assert all("# Copyright of the shop." in shop.read(name) for name in PARTS)
    code = shop.read("0002_totals_backfill")
    assert "def forwards" in code
    assert 'KIND = "b"' in code
    assert "forwards,  # no way back needed" in code
    assert "def forwards" not in shop.read("0002_totals_backfill_2")
    assert "no issues" in shop.run("check").out
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"


def test_what_is_left_in_its_parts_is_told(shop):
    """Code stays as it is; whoever sees that all went well would learn of it in CI."""
    shop.setting('SILENCED_SYSTEM_CHECKS = ["safemigrate.W404"]')
    told = shop.run("safemigrate", "fix", "shop", "0002").out
    files, _, left = told.partition("Left in them is what fix does not rewrite. Change it:\n")
    assert all(f"shop/migrations/{name}.py" in files for name in PARTS)
    assert left.strip().startswith("shop.0002_totals_backfill   safemigrate.E161")
    assert left.count("What happens") == 1
    assert "Do instead" in left
    assert "safemigrate.E161" in shop.manage("check").err


def test_its_parts_run_as_a_chain_and_end_as_django_would_have_ended(deployed):
    shop = deployed
    shop.sql("INSERT INTO shop_order (email, legacy) VALUES ('a', 'x')")
    shop.run("safemigrate", "fix", "shop", "0002")
    assert "0002_totals\n" in shop.deploy("r2").out.partition("Held back:")[2]
    assert shop.sql("SELECT total, kind FROM shop_order") == [(0, "b")]
    shop.deploy("r3")
    assert set(PARTS) <= set(shop.applied())
    assert shop.columns("shop_order")["token"] == ("uuid", False, None)
    assert "legacy" not in shop.columns("shop_order")
    shop.sql("DELETE FROM shop_order")
    shop.run("migrate", "shop", "0001")
    assert "token" not in shop.columns("shop_order")


def test_what_comes_after_it_goes_on_depending_on_all_of_it(deployed):
    shop = deployed
    shop.migration(
        "0003_more",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0002_totals")]
            operations = [migrations.AddField("order", "more", models.IntegerField(null=True))]
        """,
    )
    shop.run("safemigrate", "fix", "shop", "0002_totals")
    assert "0003_more... OK" in shop.deploy("r2").out
    assert "0002_totals" not in shop.applied()
    shop.deploy("r3")
    assert "0002_totals" in shop.applied()


def test_a_dry_run_shows_every_file_and_writes_none(shop):
    told = shop.run("safemigrate", "fix", "shop", "0002", "--dry-run").out
    assert [told.index(f"shop/migrations/{name}.py\n") for name in PARTS]
    assert "safemigrate.operations.BatchedBackfill(" in told
    assert shop.read("0002_totals") == BY_HAND
    assert shop.migrations() == ["0001_initial", "0002_totals"]


def refused(shop: Project, *words: str, args: tuple[str, ...] = (), **env: str) -> None:
    before = {name: shop.read(name) for name in shop.migrations()}
    ran = shop.manage("safemigrate", "fix", "shop", "0002", *args, **env)
    assert ran.code == 1
    assert "Traceback" not in ran.text
    for word in words:
        assert word in ran.err, ran.err
    assert {name: shop.read(name) for name in shop.migrations()} == before


def test_what_is_applied_somewhere_is_left_alone(shop):
    shop.setting('SILENCED_SYSTEM_CHECKS = ["safemigrate.E%s" % n for n in range(100, 400)]')
    shop.setting('SAFEMIGRATE["HOLD_CONTRACT"] = False')
    shop.deploy("r2")
    refused(shop, "is applied on the database 'default'", "Unapply it there first")


def test_where_nobody_can_tell_somebody_has_to_vouch(shop):
    down = "postgres://shop@127.0.0.1:1/shop"
    refused(shop, "Nobody can tell", "--unapplied", DATABASE_URL=down)
    shop.run("safemigrate", "fix", "shop", "0002", "--unapplied", DATABASE_URL=down)
    assert len(shop.migrations()) == 7


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("KIND = ", "print('hello')\nKIND = ", "has code of its own on line"),
        ("    operations = [", "    safe = True\n    operations = [", "more than a plain class"),
        ("    operations = [", "    operations = list() + [", "in a way of its own"),
        ("(migrations.Migration)", "(type('Base', (migrations.Migration,), {}))", "base class"),
    ],
)
def test_a_file_that_would_lose_something_is_refused(shop, old, new, word):
    shop.write("shop/migrations/0002_totals.py", BY_HAND.replace(old, new, 1))
    refused(shop, word, "Nothing was changed.", "Split it by hand")


def test_a_change_that_nothing_makes_safe_is_shown_with_its_finding(shop):
    unsafe = 'migrations.AlterField("order", "legacy", models.JSONField()),\n        # Every'
    shop.write("shop/migrations/0002_totals.py", BY_HAND.replace("# Every", unsafe, 1))
    refused(shop, "What happens", "Nothing was written.", "Assured(")


def test_two_operations_that_become_one_leave_both_their_comments(shop):
    """An index that changes under its name is built beside the old one and takes its place."""
    shop.migration(
        "0002_totals",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [
                migrations.AddIndex("order", models.Index(fields=["email"], name="mails")),
            ]
        """,
    )
    shop.migration(
        "0003_mails",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0002_totals")]
            operations = [
                # too wide
                migrations.RemoveIndex("order", "mails"),
                # better
                migrations.AddIndex("order", models.Index(fields=["-email"], name="mails")),
            ]
        """,
    )
    shop.run("safemigrate", "fix", "shop", "0003")
    written = "".join(shop.read(name) for name in shop.migrations())
    assert "ReplaceIndex" in written
    assert "# too wide" in written
    assert "# better" in written


@pytest.mark.parametrize(
    ("renames", "words"),
    [
        ([("a", "a")], "is renamed to its own name"),
        ([("a", "b"), ("b", "a")], "is to be called b while another one is called so"),
    ],
)
def test_names_that_the_file_has_lost_are_for_makemigrations_to_find(shop, renames, words):
    """Django makes one rename of two, so nobody can tell from its file what was wanted."""
    written = "".join(
        f'migrations.RenameIndex("order", old_name="{old}", new_name="{new}"),'
        for old, new in renames
    )
    (shop.folder / "shop/migrations/0002_totals.py").unlink()
    shop.migration(
        "0002_exchanged",
        f"""
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [{written}]
        """,
    )
    shop.migration(
        "0001_initial",
        INITIAL.rstrip()[:-1]
        + """
        migrations.AddIndex("Order", models.Index(fields=["email"], name="a")),
        migrations.AddIndex("Order", models.Index(fields=["legacy"], name="b")),
    ]
""",
    )
    refused(shop, words, "Nothing was written.", "Delete this file", "run makemigrations")


@pytest.fixture
def tagging(shop) -> Project:
    """Orders have tags; the model between them is still Django's own."""
    shop.migration(
        "0001_initial",
        """
        class Migration(migrations.Migration):
            initial = True
            operations = [
                migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))]),
                migrations.CreateModel("Order", [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("tags", models.ManyToManyField("shop.tag")),
                ]),
            ]
        """,
    )
    return shop


def test_a_model_between_two_whose_rows_code_copies_is_no_model_for_the_old_table(tagging):
    """It would find the rows there already, and write each of them twice."""
    tagging.migration(
        "0002_totals",
        """
        def copy(apps, schema_editor):
            made = apps.get_model("shop", "Tagged").objects
            for order in apps.get_model("shop", "Order").objects.all():
                made.bulk_create(made.model(order=order, tag=tag) for tag in order.tags.all())


        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [
                migrations.CreateModel("Tagged", [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("order", models.ForeignKey("shop.order", models.CASCADE)),
                    ("tag", models.ForeignKey("shop.tag", models.CASCADE)),
                ]),
                migrations.RunPython(copy, migrations.RunPython.noop),
                migrations.RemoveField("order", "tags"),
                migrations.AddField(
                    "order", "tags", models.ManyToManyField("shop.tag", through="shop.Tagged")
                ),
            ]
        """,
    )
    refused(tagging, "can start only when this is done", "Nothing was written.")


def test_the_comments_of_an_operation_that_became_several_stand_there_once(tagging):
    """The model is made where its table is: the rest of it comes behind."""
    shop = tagging
    shop.migration(
        "0002_totals",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [
                # who has tagged what
                migrations.CreateModel("Tagged", [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("order", models.ForeignKey("shop.order", models.CASCADE)),
                    ("tag", models.ForeignKey("shop.tag", models.CASCADE)),
                    # and why
                    ("why", models.TextField(default="")),
                ], options={"db_table": "shop_order_tags", "unique_together": {("order", "tag")}}),
                # by that table
                migrations.AlterField(
                    "order", "tags", models.ManyToManyField("shop.tag", through="shop.Tagged")
                ),
            ]
        """,
    )
    shop.run("safemigrate", "fix", "shop", "0002")
    whole = "".join(shop.read(name) for name in shop.migrations()[1:])
    for comment in ("# who has tagged what", "# and why", "# by that table"):
        assert whole.count(comment) == 1, whole
    assert "CreateModel" in whole
    assert whole.count("ExpandField") == 1


def test_nothing_is_written_where_nothing_is_wrong(shop):
    (shop.folder / "shop/migrations/0002_totals.py").unlink()
    shop.migration(
        "0002_more",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [migrations.AddField("order", "more", models.IntegerField(null=True))]
        """,
    )
    assert "needs no fix" in shop.run("safemigrate", "fix", "shop", "0002").out


def test_what_is_wrong_and_only_its_author_can_change_is_told(shop):
    """SQL is not rewritten; to say that nothing is wrong with it would be a lie."""
    (shop.folder / "shop/migrations/0002_totals.py").unlink()
    shop.migration(
        "0002_more",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [migrations.RunSQL("UPDATE shop_order SET legacy = ''", "SELECT 1")]
        """,
    )
    before = shop.read("0002_more")
    ran = shop.manage("safemigrate", "fix", "shop", "0002")
    assert ran.code == 1
    assert "Nothing was written. Change it:" in ran.err
    assert "safemigrate.E146" in ran.err
    assert shop.read("0002_more") == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("shop", "0009"), "There is no migration '0009' in 'shop'."),
        (("shop", "000"), "more than one migration for 'shop' with the prefix"),
        (("shap", "0001"), "There is no app 'shap' with migrations."),
        (("contenttypes", "0002"), "belongs to an installed package"),
    ],
)
def test_a_migration_that_is_not_there_or_not_ours_is_named(shop, args, words):
    ran = shop.manage("safemigrate", "fix", *args)
    assert ran.code == 1
    assert words in ran.err
    assert "Traceback" not in ran.text
