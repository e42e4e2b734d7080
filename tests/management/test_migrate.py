"""migrate as a deploy script runs it: processes, exit codes, sentences for whoever is on call."""

from __future__ import annotations

import os
import re
import subprocess

import psycopg
import pytest

from tests.conftest import address
from tests.projects import ROOT, Project, Ran

START = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    legacy = models.CharField(max_length=5)
"""
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
NEXT = """
class Order(models.Model):
    email = models.CharField(max_length=50, db_index=True)
    token = models.UUIDField(default=uuid.uuid4)
"""


@pytest.fixture
def shop(project) -> Project:
    """r1 is deployed; nothing is written for r2."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.deploy("r1")
    return project


def end(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 1, ran.text
    assert "Traceback" not in ran.text
    assert ran.err.startswith(("CommandError: ", "SystemCheckError: "))
    for word in words:
        assert word in ran.text


@pytest.mark.slow
def test_two_at_once_one_works_the_other_waits_and_finds_nothing_to_do(shop):
    """A deploy script that runs on every pod."""
    shop.models(NEXT)
    shop.run("makemigrations")
    shop.release = "r2"
    both = [shop.start("migrate"), shop.start("migrate")]
    ended = [end(process) for process in both]
    assert [ran.code for ran in ended] == [0, 0], [ran.text for ran in ended]
    applied = [ran.out.count("... OK") for ran in ended]
    assert sorted(applied) == [0, 3]


@pytest.mark.slow
def test_a_second_runner_says_who_runs_when_its_wait_is_over(shop):
    shop.setting('SAFEMIGRATE["RUNNER_WAIT"] = timedelta(seconds=1)')
    with shop.connect() as other:
        other.execute("SELECT pg_advisory_lock(1935763045, 1835624306)")
        ran = shop.manage("migrate")
    refused(ran, "Another migrate is at work on this database: server process ")
    assert "Nothing was changed. Wait for it and run migrate again" in ran.err


BAD_SETTINGS = {
    'SAFEMIGRATE["HOLD_CONTRACTS"] = True': ["unknown key 'HOLD_CONTRACTS'", '"HOLD_CONTRACT"?'],
    'SAFEMIGRATE["LOCK_DEADLINE"] = 5': ["is 5, of type int", "Give a datetime.timedelta."],
    'SAFEMIGRATE = "after_deploy"': ["is a string", "django-safemigrate"],
    'SAFEMIGRATE["RELEASE"] = "x" * 70': ["has 70 characters", "at most 48"],
    'SAFEMIGRATE["RELEASE"] = "my release"': ["is 'my release'", "are allowed"],
}


@pytest.mark.parametrize("line", BAD_SETTINGS)
def test_a_wrong_setting_is_named_with_what_to_do(project, line):
    project.setting(line)
    refused(project.manage("migrate"), *BAD_SETTINGS[line])
    assert project.sql("SELECT to_regclass('django_migrations')") == [(None,)]


def test_a_phase_that_is_none_is_refused_by_the_command_line_and_by_call_command(project):
    ran = project.manage("migrate", "--phase", "nonsense")
    assert ran.code == 2
    assert "invalid choice: 'nonsense'" in ran.err
    call = "from django.core.management import call_command; call_command('migrate', phase='x')"
    told = project.manage("shell", "-c", call)
    assert told.code != 0
    assert "There is no phase 'x'; the phases are expand, backfill, contract." in told.err
    assert project.sql("SELECT to_regclass('django_migrations')") == [(None,)]


def test_a_wait_of_less_than_nothing_is_refused(project):
    refused(project.manage("migrate", "--wait", "-1"), "--wait is -1; give seconds, 0 or more.")


def test_a_database_that_is_down_is_named_without_a_traceback(project):
    ran = project.manage("migrate", DATABASE_URL="postgres://shop@127.0.0.1:1/shop")
    refused(
        ran, "The database 'default' cannot be used:", "Nothing was changed.", "run migrate again"
    )


@pytest.mark.parametrize("plan", [["--plan"], []])
def test_a_database_that_is_adopted_is_in_use_and_its_contracts_wait(project, plan):
    """Its code inserts rows without what only newer code knows."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.sql("CREATE TABLE shop_order (id bigserial PRIMARY KEY, email text, legacy text)")
    project.models(f"{START}    paid = models.BooleanField(default=False)\n")
    project.run("makemigrations", "shop")
    ran = project.deploy("r1", "--fake-initial", *plan)
    assert "shop.0003_order_paid_contract" in ran.out.partition("Held back:")[2]
    if not plan:
        project.sql("INSERT INTO shop_order (email) VALUES ('old code')")
        project.deploy("r2")
        assert len(project.applied()) == 3


def test_a_new_database_holds_nothing_back_also_with_fake_initial(project):
    """A deploy script that always says so."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.models(f"{START}    paid = models.BooleanField(default=False)\n")
    project.run("makemigrations", "shop")
    assert "Held back" not in project.deploy("r1", "--fake-initial").out
    assert len(project.applied()) == 3


ADOPTED = "CREATE TABLE shop_order (id bigserial PRIMARY KEY, email text, legacy text)"


def test_a_table_that_is_there_before_its_migration_is_named_with_fake_initial(project):
    """Somebody runs migrate on a database that the app had before it had migrations."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.sql(ADOPTED)
    project.release = "r1"
    for _ in range(2):
        refused(
            project.manage("migrate"),
            "shop.0001_initial cannot be applied on the database 'default': relation "
            '"shop_order" already exists. All of it was rolled back; what was applied before it '
            "stays. The table shop_order is there, and no migration that is recorded has made it. "
            "If it is this app's own, run migrate --fake-initial, which records first migrations "
            "whose tables are all there; if somebody else's, give the model another db_table, in "
            "models.py and in this migration.",
        )
    assert project.applied() == []
    query = "SELECT DISTINCT error FROM safemigrate_ledger WHERE outcome = 'failed'"
    assert project.sql(query) == [("ProgrammingError 42P07",)]
    project.run("migrate", "--fake-initial")
    assert project.applied() == ["0001_initial"]


def test_a_first_migrate_that_met_a_table_was_no_first_install(project):
    """What it began under the same release would let the contracts run under the old code."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.sql(ADOPTED)
    project.models(f"{START}    paid = models.BooleanField(default=False)\n")
    project.run("makemigrations", "shop")
    project.release = "r1"
    refused(project.manage("migrate"), "run migrate --fake-initial")
    ran = project.run("migrate", "--fake-initial")
    assert "shop.0003_order_paid_contract" in ran.out.partition("Held back:")[2]


TAGGED = """
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True)),
            ("tags", models.ManyToManyField("shop.Tag")),
        ]),
        migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True))]),
    ]
"""


@pytest.mark.parametrize("adopting", [[], ["--fake-initial"]])
def test_tables_of_which_some_are_missing_are_made_whole_by_hand(project, adopting):
    """--fake-initial takes a migration as a whole, or not at all."""
    project.migration("0001_initial", TAGGED)
    project.run("migrate")
    project.sql("DROP TABLE shop_item; DELETE FROM django_migrations WHERE app = 'shop'")
    refused(
        project.manage("migrate", *adopting),
        'relation "shop_tag" already exists. All of it was rolled back',
        "The tables shop_tag, shop_order, shop_order_tags are there, and no migration that is "
        "recorded has made them. If they are this app's own, make by hand what is missing of "
        "what sqlmigrate shop 0001_initial prints, then run migrate shop 0001_initial --fake and "
        "migrate again; if somebody else's, give the model another db_table",
    )
    lines = project.run("sqlmigrate", "shop", "0001_initial").out.splitlines()
    (missing,) = [line for line in lines if line.startswith('CREATE TABLE "shop_item"')]
    project.sql(missing)
    project.run("migrate", "shop", "0001_initial", "--fake")
    project.run("migrate")


def test_a_migration_that_cannot_be_run_again_says_so_of_the_table_that_it_left(project):
    """By hand somebody wrote atomic = False, and it was stopped behind its CREATE TABLE."""
    stopped = TAGGED.replace("    initial = True\n", "    initial = True\n    atomic = False\n")
    project.migration(
        "0001_initial",
        stopped.replace("    ]\n", '        migrations.RunSQL("SELECT 1 / 0"),\n    ]\n', 1),
    )
    assert project.manage("migrate", "--skip-checks").code == 1
    project.migration("0001_initial", stopped)
    refused(
        project.manage("migrate"),
        'relation "shop_tag" already exists. What it had done by then stays. The tables shop_tag, ',
        "If they are this app's own, or left by a run of this migration that was stopped, make by "
        "hand what is missing of what sqlmigrate shop 0001_initial prints, then run migrate shop "
        "0001_initial --fake",
    )


OTHERS = {
    "a view": """
        migrations.CreateModel(
            "Item", [("id", models.BigAutoField(primary_key=True))], options={"db_table": "glance"},
        ),
    """,
    "an index": """
        migrations.CreateModel("Item", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("order", models.Index(fields=["email"], name="taken")),
    """,
    "a new table under the name of one that moves": """
        migrations.RenameModel("Order", "Purchase"),
        migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("order", models.Index(fields=["id"], name="taken")),
    """,
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_name_that_no_table_of_the_migration_has_is_left_to_the_server(shop, what):
    shop.sql("CREATE INDEX taken ON shop_order (legacy); CREATE VIEW glance AS SELECT 1 AS id")
    shop.migration(
        "0002_more",
        'class Migration(migrations.Migration):\n    dependencies = [("shop", "0001_initial")]\n'
        f"    operations = [{OTHERS[what]}]\n",
    )
    ran = shop.manage("migrate", "--skip-checks")
    assert ran.code == 1
    assert re.search('relation "(taken|glance)" already exists', ran.err)
    assert "db_table" not in ran.err


def test_a_database_that_can_only_be_read_is_named_without_a_traceback(shop):
    """A standby, or a role that may not write; what would run can still be asked."""
    shop.models(NEXT)
    shop.run("makemigrations")
    ran = shop.manage("migrate", PGOPTIONS="-c default_transaction_read_only=on")
    refused(ran, "can only be read: it is a standby", "Nothing was changed.", "the primary")
    shop.run("migrate", "--plan", PGOPTIONS="-c default_transaction_read_only=on")


def test_a_postgresql_that_is_too_old_is_named_with_both_versions(project):
    project.setting(
        "from django.db.backends.postgresql.features import DatabaseFeatures\n"
        "DatabaseFeatures.minimum_database_version = (99,)"
    )
    ran = project.manage("migrate")
    refused(ran, "PostgreSQL 99 or later is required (found ", "Upgrade the server")
    assert project.sql("SELECT to_regclass('django_migrations')") == [(None,)]


def test_a_driver_that_is_missing_is_named(project):
    """Django needs it before any command of ours can speak; its last line must say it."""
    project.write("psycopg.py", "raise ImportError('there is no psycopg')")
    project.write("psycopg2.py", "raise ImportError('there is no psycopg2')")
    project.nursery = None  # whose processes have imported it already
    ran = project.manage("migrate")
    assert ran.code == 1
    last = ran.err.strip().splitlines()[-1]
    assert "'default' is PostgreSQL" in last
    assert "psycopg is not installed" in last
    assert "pip install 'safemigrate[postgresql]'" in last


def test_a_typing_error_in_the_alias_is_djangos_own_error(project):
    assert project.manage("migrate", "--database", "defautl").code == 2


def test_the_commands_are_one_family_for_django(shop):
    """commands.E001: migrate and makemigrations must have the same autodetector class."""
    assert "no issues" in shop.run("check").out


THEIRS = """
from django.core.management.commands import {name}

class Command({name}.Command):
    def handle(self, *args, **options):
        self.stdout.write("theirs was here")
        super().handle(*args, **options)
"""
JOINED = """
from safemigrate.management.mixins import {mixin}
from theirs.management.commands.{name} import Command as Theirs

class Command({mixin}, Theirs):
    pass
"""


def test_another_packages_commands_join_with_ours(shop):
    """Two packages that ship migrate: one silently loses, unless their bodies are combined."""
    for app, text in (("theirs", THEIRS), ("joined", JOINED)):
        shop.add_app(app)
        shop.write(f"{app}/management/__init__.py", "")
        shop.write(f"{app}/management/commands/__init__.py", "")
        for name, mixin in (("migrate", "MigrateMixin"), ("makemigrations", "MakeMigrationsMixin")):
            shop.write(f"{app}/management/commands/{name}.py", text.format(name=name, mixin=mixin))
    shop.setting('INSTALLED_APPS.insert(0, "joined")')
    shop.apps.remove("joined")
    shop.models(NEXT)
    assert "theirs was here" in shop.run("makemigrations").out
    assert any(name.endswith("_contract") for name in shop.migrations())
    told = shop.deploy("r2").out
    assert "theirs was here" in told
    assert "Held back" in told


def test_another_packages_autodetector_lives_on_below_ours(shop):
    """pgtrigger assigns makemigrations.Command.autodetector when apps are ready."""
    shop.write(
        "shop/apps.py",
        """
        from django.apps import AppConfig

        class Shop(AppConfig):
            name = "shop"
            def ready(self):
                from django.core.management.commands import makemigrations, migrate
                theirs = makemigrations.Command.autodetector
                class Detector(theirs):
                    def _detect_changes(self, *args, **kwargs):
                        print("their detector")
                        return super()._detect_changes(*args, **kwargs)
                makemigrations.Command.autodetector = migrate.Command.autodetector = Detector
        """,
    )
    shop.models(NEXT)
    assert "their detector" in shop.run("makemigrations").out
    assert any(name.endswith("_contract") for name in shop.migrations())
    assert "no issues" in shop.run("check").out


def test_generated_files_run_without_us(shop, server):
    """The tool was taken out of INSTALLED_APPS, but stays importable: its files go on working."""
    shop.models(NEXT)
    shop.run("makemigrations")
    shop.setting('INSTALLED_APPS.remove("safemigrate")')
    told = shop.run("migrate").out
    assert told.count("... OK") == 4
    assert set(shop.columns("shop_order")) == {"id", "email", "token"}
    assert all(shop.indexes("shop_order").values())
    for name in shop.migrations()[1:]:
        assert not shop.run("sqlmigrate", "shop", name).out.startswith("BEGIN")
    shop.run("migrate", "shop", "0001")
    assert set(shop.columns("shop_order")) == {"id", "email", "legacy"}
    shop.run("makemigrations", "--check", "--dry-run")


@pytest.mark.slow
def test_test_databases_are_built_straight_through(shop, server):
    """manage.py test creates a database of its own and runs every migration on it."""
    shop.models(NEXT)
    shop.run("makemigrations")
    shop.write(
        "shop/tests.py",
        """
        from django.test import TestCase
        from shop.models import Order

        class Orders(TestCase):
            def test_an_order_has_a_token(self):
                self.assertTrue(Order.objects.create(email="a").token)
        """,
    )
    ran = shop.run("test", "--noinput", RELEASE="r2")
    assert "OK" in ran.err
    assert "Held back" not in ran.text


def test_a_second_database_has_a_ledger_and_a_gate_of_its_own(shop, server):
    """A router sends the app to one alias; the other learns its history, not its tables."""
    name = "second_" + shop.address["dbname"]
    with psycopg.connect(**address(server), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            shop.setting(f'DATABASES["second"] = {{**DATABASES["default"], "NAME": "{name}"}}')
            shop.setting('DATABASE_ROUTERS = ["routers.OnlyDefault"]')
            shop.write(
                "routers.py",
                """
                class OnlyDefault:
                    def allow_migrate(self, db, app_label, **hints):
                        return db == "default" or app_label != "shop"
                """,
            )
            shop.models(NEXT)
            shop.run("makemigrations")
            assert "Held back" not in shop.deploy("r2", "--database", "second").out
            assert "Held back" in shop.deploy("r2").out
            with psycopg.connect(**address(server, name)) as second:
                row = second.execute(
                    "SELECT to_regclass('shop_order'), count(*) FROM safemigrate_ledger"
                ).fetchone()
            assert row[0] is None
            assert row[1] > 3
            shop.models(NEXT.replace("max_length=50", "max_length=50, help_text='where to'"))
            shop.run("makemigrations")
            shop.deploy("r3", "--database", "second")  # whose locks would be on tables elsewhere
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_permissions_and_content_types_come_with_a_phased_run(shop):
    shop.setting('INSTALLED_APPS.append("django.contrib.auth")')
    shop.deploy("r1")
    shop.models(START + "\nclass Tag(models.Model):\n    name = models.CharField(max_length=9)\n")
    shop.run("makemigrations")
    shop.deploy("r2", "--phase", "expand")
    assert shop.sql("SELECT count(*) FROM auth_permission WHERE codename LIKE '%%_tag'") == [(4,)]


def test_a_package_in_site_packages_is_rewritten_when_its_upgrade_is_deployed(shop):
    """Nobody can fix its files; check leaves them alone, and migrate does what they should."""
    shop.environment["PYTHONPATH"] = os.pathsep.join(
        [str(shop.folder), str(shop.folder / "site-packages"), str(ROOT)]
    )
    shop.add_app("site-packages/blog")
    shop.apps[-1] = "blog"
    shop.migration("0001_initial", INITIAL, app="site-packages/blog")
    shop.deploy("r1")
    shop.migration(
        "0002_total",
        """
        class Migration(migrations.Migration):
            dependencies = [("blog", "0001_initial")]
            operations = [
                migrations.AddField(
                    "order", "total", models.IntegerField(default=0, db_index=True)
                ),
                migrations.RemoveField("order", "legacy"),
            ]
        """,
        app="site-packages/blog",
    )
    assert "no issues" in shop.run("check").out
    told = shop.deploy("r2").out
    assert "blog.0002_total is an installed package's; rewritten to" in told
    assert "blog.0002_total (contract)" in told.partition("Held back:")[2]
    assert "Applying blog.0002_total (contract)... OK" in shop.deploy("r3").out
    assert set(shop.columns("blog_order")) == {"id", "email", "total"}
    assert shop.applied("blog") == ["0001_initial", "0002_total"]
