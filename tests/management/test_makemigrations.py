"""What makemigrations writes and what it refuses, as a developer or CI runs it."""

from __future__ import annotations

import pytest

from tests.projects import Project, Ran

START = """
class Tag(models.Model):
    name = models.CharField(max_length=20)

class Order(models.Model):
    email = models.CharField(max_length=50)
    legacy = models.CharField(max_length=5)
    note = models.CharField(max_length=5, null=True)
"""


INITIAL = """
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Tag", [
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False,
                                       verbose_name="ID")),
            ("name", models.CharField(max_length=20)),
        ]),
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False,
                                       verbose_name="ID")),
            ("email", models.CharField(max_length=50)),
            ("legacy", models.CharField(max_length=5)),
            ("note", models.CharField(max_length=5, null=True)),
        ]),
    ]
"""


@pytest.fixture
def shop(project) -> Project:
    """A shop whose first migration is written; nothing is applied, nothing needs to be."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    return project


def test_what_is_said_not_to_be_renamed_is_no_question(shop):
    """Django asks where only the name differs; a script that has answered has nobody to ask."""
    change(shop, (NOTE, NOTE.replace("note", "memo")))
    told = shop.run("makemigrations", "shop", "--not-renamed", "shop.Order.note")
    assert "renamed" not in told.text
    assert not any("rename" in name for name in shop.migrations())


def change(shop: Project, *changes: tuple[str, str]) -> None:
    models = (shop.folder / "shop/models.py").read_text()
    for old, new in changes:
        assert old in models
        models = models.replace(old, new)
    (shop.folder / "shop/models.py").write_text(models)


LEGACY = "    legacy = models.CharField(max_length=5)\n"
EMAIL = "    email = models.CharField(max_length=50)\n"
NOTE = "    note = models.CharField(max_length=5, null=True)\n"
TOKEN = "    token = models.UUIDField(default=uuid.uuid4)\n"


def test_everyday_changes_become_four_files_that_read_as_a_story(shop):
    """A field removed, two added, one indexed: what a pull request holds."""
    change(
        shop,
        (LEGACY, TOKEN + "    verified = models.BooleanField(default=False)\n"),
        (EMAIL, EMAIL.replace("50)", "50, db_index=True)")),
    )
    told = shop.run("makemigrations").out
    assert shop.migrations() == [
        "0001_initial",
        "0002_order_token_order_verified_expand",
        "0003_order_token_backfill",
        "0004_alter_order_email_expand",
        "0005_remove_order_legacy_order_token_order_verified_contract",
    ]
    for name in shop.migrations()[1:]:
        assert shop.read(name).count("\n    atomic = False\n") == 1
        assert name in told
        compile(shop.read(name), name, "exec")
    assert "safemigrate.operations.ExpandField(" in shop.read(shop.migrations()[1])
    assert "safemigrate.operations.fields" not in shop.read(shop.migrations()[1])
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"


def test_a_migration_that_needs_no_help_is_djangos_own(shop):
    change(shop, (NOTE, NOTE + "    extra = models.IntegerField(null=True)\n"))
    shop.run("makemigrations")
    written = shop.read("0002_order_extra")
    assert "migrations.AddField(" in written
    assert "atomic" not in written
    assert "safemigrate" not in written


def test_dry_run_tells_and_writes_nothing(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    told = shop.run("makemigrations", "--dry-run", "-v", "3").out
    assert "0004_order_token_contract" in told
    assert "BatchedBackfill" in told
    assert shop.migrations() == ["0001_initial"]


@pytest.mark.parametrize("looking", ["--dry-run", "--check"])
def test_looking_names_a_contract_in_the_way_as_writing_does(shop, looking):
    """The field goes in one run, and comes again in the next, before the first is deployed."""
    shop.deploy("r1")
    change(shop, (LEGACY, ""))
    shop.run("makemigrations")
    change(shop, (NOTE, NOTE + LEGACY.replace("5)", "5, null=True)")))
    files = shop.migrations()
    looked = shop.manage("makemigrations", looking).out.partition("Note:")[2]
    assert "changes the same thing as shop.0003_remove_order_legacy_contract" in looked
    assert shop.migrations() == files
    assert shop.run("makemigrations").out.partition("Note:")[2] == looked


def test_a_dry_run_of_a_new_app_whose_files_would_name_a_setting_is_read_too(shop):
    """Only the file says which app has the user; of an app's first run there is no folder."""
    shop.setting('INSTALLED_APPS += ["django.contrib.auth", "crm"]')
    shop.write("crm/__init__.py", "")
    user = "from django.contrib.auth.models import User\n"
    key = "by = models.ForeignKey(User, models.CASCADE)\n"
    shop.models(f"{user}\nclass Note(models.Model):\n    {key}", app="crm")
    told = shop.run("makemigrations", "crm", "--dry-run").out
    assert "Create model Note" in told
    assert "Note:" not in told
    assert not (shop.folder / "crm/migrations").exists()


def test_check_fails_while_something_is_unwritten(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    ran = shop.manage("makemigrations", "--check")
    assert ran.code == 1
    assert shop.migrations() == ["0001_initial"]


def test_update_is_refused_where_it_would_mix_phases(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    ran = shop.manage("makemigrations", "--update")
    assert ran.code == 1
    assert ran.err == (
        "CommandError: --update would merge backfill, contract, expand steps of shop into one "
        "migration. Nothing was written. Run makemigrations without --update.\n"
    )
    assert shop.migrations() == ["0001_initial"]


def test_update_still_serves_where_nothing_is_mixed(shop):
    change(shop, (NOTE, NOTE + "    extra = models.IntegerField(null=True)\n"))
    shop.run("makemigrations")
    change(shop, (NOTE, NOTE + "    more = models.IntegerField(null=True)\n"))
    shop.run("makemigrations", "--update")
    assert len(shop.migrations()) == 2
    assert "more" in shop.read(shop.migrations()[1])


def test_a_name_tells_the_story_of_all_files(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    shop.run("makemigrations", "--name", "tokens")
    assert shop.migrations()[1:] == [
        "0002_tokens_expand",
        "0003_tokens_backfill",
        "0004_tokens_contract",
    ]


def test_empty_and_merge_work_as_ever(shop):
    shop.run("makemigrations", "shop", "--empty", "--name", "one")
    shop.migration(
        "0002_two",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
        """,
    )
    assert shop.manage("makemigrations").code == 1, "two leaves"
    shop.run("makemigrations", "--merge", "--noinput")
    assert len(shop.migrations()) == 4
    shop.run("makemigrations", "--check")


def test_what_looks_like_a_rename_is_refused_where_nobody_can_be_asked(shop):
    """CI runs --noinput; plain Django drops the column and adds an empty one."""
    change(shop, (NOTE, NOTE.replace("note", "remark")))
    ran = shop.manage("makemigrations", "--noinput")
    assert ran.code == 1
    assert "would drop the data of note" in ran.err
    assert "Nothing was written." in ran.err
    assert "Run makemigrations without --noinput" in ran.err
    assert shop.migrations() == ["0001_initial"]


def test_a_question_without_a_terminal_is_no_traceback(shop):
    """makemigrations in a script or CI, without --noinput."""
    change(shop, (NOTE, NOTE + "    code = models.IntegerField()\n"))
    ran = shop.manage("makemigrations")
    assert ran.code == 1
    assert "Traceback" not in ran.text
    assert "no terminal where somebody could answer it. Nothing was written" in ran.err
    assert "--noinput" in ran.err
    assert shop.migrations() == ["0001_initial"]


def refused(ran: Ran) -> None:
    """A sentence for a developer: what, why, what to do; never a traceback."""
    assert ran.code == 1
    assert "Traceback" not in ran.text
    assert "Nothing was written." in ran.err
    for part in ("What happens", "Why it hurts", "If it is safe"):
        assert part in ran.err


def test_a_change_that_nothing_makes_safe_says_what_why_and_what_to_do(shop):
    change(shop, (LEGACY, "    legacy = models.IntegerField()\n"))
    ran = shop.manage("makemigrations")
    refused(ran)
    assert "shop_order" in ran.err
    assert "ACCESS EXCLUSIVE" in ran.err
    assert shop.migrations() == ["0001_initial"]


def test_every_refused_change_is_named_in_one_go(shop):
    """Nobody wants to learn of them one by one."""
    change(
        shop,
        (LEGACY, "    legacy = models.IntegerField()\n"),
        ("    name = models.CharField(max_length=20)", "    name = models.DateField()"),
    )
    ran = shop.manage("makemigrations")
    refused(ran)
    assert "shop_tag" in ran.err
    assert "shop_order" in ran.err


def test_the_refused_change_goes_through_when_somebody_vouches_for_it(shop):
    """The way past, exactly as the message tells it."""
    change(shop, (LEGACY, "    legacy = models.IntegerField(default=0)\n"))
    assert shop.manage("makemigrations").code == 1
    shop.migration(
        "0002_by_hand",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [
                Assured(
                    migrations.AlterField("order", "legacy", models.IntegerField(default=0)),
                    because="the table is empty until launch",
                ),
            ]
        """,
    )
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"


def test_it_works_while_the_database_is_down(shop):
    """A laptop on a train: Django warns and goes on, and so do we."""
    change(shop, (NOTE, NOTE + TOKEN))
    ran = shop.manage("makemigrations", DATABASE_URL="postgres://shop@127.0.0.1:1/shop")
    assert ran.code == 0, ran.text
    assert len(shop.migrations()) == 4


def test_a_project_on_sqlite_alone_is_left_alone(shop):
    """There is no second process that a migration could disturb."""
    change(shop, (LEGACY, TOKEN))
    shop.run("makemigrations", DATABASE_URL=f"sqlite:///{shop.folder}/db.sqlite3")
    assert len(shop.migrations()) == 2
    assert "safemigrate" not in shop.read(shop.migrations()[1])


def test_generated_files_run_on_sqlite_straight_through(shop):
    """The tests of a PostgreSQL project, run on SQLite for speed."""
    change(shop, (LEGACY, TOKEN + "    verified = models.BooleanField(default=False)\n"))
    shop.run("makemigrations")
    lite = f"sqlite:///{shop.folder}/db.sqlite3"
    told = shop.run("migrate", DATABASE_URL=lite).out
    assert "Held back" not in told
    assert shop.run("migrate", "--check", DATABASE_URL=lite).code == 0
    shop.run("migrate", "shop", "zero", DATABASE_URL=lite)


def test_squash_and_optimize_keep_atomic_false(shop):
    """Until 6.0 Django forgets it, and the squash could never run."""
    change(shop, (EMAIL, EMAIL.replace("50)", "50, db_index=True)")))
    shop.run("makemigrations")
    change(shop, (NOTE, NOTE.replace("5,", "5, db_index=True,")))
    shop.run("makemigrations")
    second, third = shop.migrations()[1:]
    shop.run("squashmigrations", "shop", second[:4], third[:4], "--noinput")
    squashed = next(name for name in shop.migrations() if "squashed" in name)
    assert "atomic = False" in shop.read(squashed)
    shop.run("optimizemigration", "shop", squashed)
    shop.deploy("r1")


def test_a_squash_of_a_finished_chain_is_plain_django(shop):
    """After years the files go; what is left has no trace of us, and makes the same tables."""
    change(
        shop,
        (LEGACY, TOKEN + "    verified = models.BooleanField(default=False)\n"),
        (EMAIL, EMAIL.replace("50)", "50, db_index=True)")),
    )
    shop.run("makemigrations")
    shop.deploy("r1")
    tables = shop.columns("shop_order"), shop.indexes("shop_order").values()
    shop.run("squashmigrations", "shop", shop.migrations()[-1][:4], "--noinput")
    squash = next(name for name in shop.migrations() if "squashed" in name)
    assert "safemigrate" not in shop.read(squash)
    assert "atomic" not in shop.read(squash)
    assert shop.read(squash).count("migrations.CreateModel(") == 2
    assert "no issues" in shop.run("check").out
    assert "No migrations to apply" in shop.deploy("r2").out
    shop.run("migrate", "shop", "zero")
    assert f"Applying shop.{squash}... OK" in shop.deploy("r2").out
    columns, indexes = shop.columns("shop_order"), shop.indexes("shop_order").values()
    assert (columns, len(indexes)) == (tables[0], len(tables[1]))
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"


def test_a_callable_that_lives_in_the_project_is_called_for_each_row(shop):
    change(
        shop,
        ("class Tag", "def pick():\n    import random\n    return random.random()\n\nclass Tag"),
        (NOTE, NOTE + "    luck = models.FloatField(default=pick)\n"),
    )
    shop.run("makemigrations")
    assert "'luck': shop.models.pick" in shop.read("0003_order_luck_backfill")


def test_an_unknown_setting_is_refused_with_the_nearest_right_one(shop):
    shop.setting('SAFEMIGRATE = {"RELEAS": "r1"}')
    ran = shop.manage("makemigrations")
    assert ran.code == 1
    assert "unknown key 'RELEAS'" in ran.err
    assert 'Did you mean "RELEASE"?' in ran.err
    assert "Traceback" not in ran.text
