"""Many changes in one makemigrations, and in several before the first of them is deployed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.management.test_makemigrations import INITIAL, LEGACY, NOTE, START, TOKEN, change
from tests.projects import DEADLINE_S, Project, Ran

NAME = "    name = models.CharField(max_length=20)\n"
BY_TOKEN = """    class Meta:
        indexes = [models.Index(fields=["token"], name="by_token")]
"""


@pytest.fixture
def shop(project) -> Project:
    """r1 is deployed, with rows."""
    project.models(START)
    project.migration("0001_initial", INITIAL)
    project.deploy("r1")
    project.sql("INSERT INTO shop_order (email, legacy) SELECT 'a', 'b' FROM generate_series(1, 5)")
    return project


def held(ran: Ran) -> list[str]:
    below = ran.out.partition("Held back:\n")[2].splitlines()
    return [line.strip() for line in below if line.startswith("  shop.")]


def answering(shop: Project, answers: str, *args: str) -> Ran:
    """Somebody at a terminal: makemigrations asks only where stdin is one, so it is told it is."""
    code = (
        "import sys; sys.stdin.isatty = lambda: True\n"
        "sys.argv = ['manage.py', *sys.argv[1:]]\n"
        "exec(open('manage.py').read())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=shop.folder,
        env=shop.env(),
        input=answers,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_two_runs_before_the_first_is_deployed_come_with_one_release(shop):
    """A field on Monday, its index and a field that goes on Tuesday; deployed on Wednesday."""
    change(shop, (NOTE, NOTE + TOKEN))
    shop.run("makemigrations")
    change(shop, (TOKEN, TOKEN + BY_TOKEN), (LEGACY, ""))
    shop.run("makemigrations")
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"
    files = shop.migrations()
    contracts = [f"shop.{name}" for name in files if name.endswith("_contract")]
    assert len(contracts) == 2
    assert held(shop.deploy("r2")) == contracts
    assert shop.indexes("shop_order")["by_token"]
    assert "Held back" not in shop.deploy("r3").out
    assert shop.applied() == files
    assert set(shop.columns("shop_order")) == {"id", "email", "note", "token"}


def test_a_second_feature_is_merged_while_the_contract_of_the_first_is_held(shop):
    """Two branches, two leaves; one of them is deployed already."""
    change(shop, (NOTE, NOTE + TOKEN))
    shop.run("makemigrations", "--name", "token")
    [contract] = held(shop.deploy("r2"))
    shop.migration(
        "0002_rank",
        """
        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]
            operations = [migrations.AddField("tag", "rank", models.IntegerField(null=True))]
        """,
    )
    change(shop, (NAME, NAME + "    rank = models.IntegerField(null=True)\n"))
    shop.run("makemigrations", "--merge", "--noinput")
    told = shop.deploy("r2")
    assert "Applying shop.0002_rank... OK" in told.out
    assert held(told) == [contract]
    assert "Held back" not in shop.deploy("r3").out
    assert shop.applied() == shop.migrations()
    assert shop.run("makemigrations", "--check").out == "No changes detected\n"


def test_options_show_and_write_what_they_say(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    assert shop.manage("makemigrations", "--check").code == 1
    shown = shop.run("makemigrations", "--dry-run", "-v", "3").out
    assert shown.count("class Migration(migrations.Migration):") == 3
    assert shop.migrations() == ["0001_initial"]
    written = shop.run("makemigrations", "--scriptable")
    assert [line.rpartition("/")[2] for line in written.out.splitlines()] == [
        f"{name}.py" for name in shop.migrations()[1:]
    ]


def test_every_generated_file_prints_sql_that_a_dba_may_read(shop):
    """sqlmigrate changes nothing, and hides nothing that it cannot know."""
    change(shop, (NOTE, NOTE + TOKEN + BY_TOKEN), (LEGACY, ""))
    shop.run("makemigrations")
    for name in shop.migrations()[1:]:
        told = shop.run("sqlmigrate", "shop", name).out
        assert "--" in told
        words = [line for line in told.splitlines() if line and not line.startswith("--")]
        assert words or "-- UPDATE " in told, name


def test_a_one_off_default_is_asked_for_as_in_django_and_serves_all_rows(shop):
    change(shop, (NOTE, NOTE + "    rank = models.IntegerField()\n"))
    ran = answering(shop, "1\n7\n", "makemigrations")
    assert ran.code == 0, ran.text
    shop.deploy("r2")
    assert shop.sql("SELECT DISTINCT rank FROM shop_order") == [(7,)]
    shop.deploy("r3")
    assert shop.columns("shop_order")["rank"] == ("integer", False, None)


def test_whoever_says_that_it_is_no_rename_keeps_the_old_column_until_the_contract(shop):
    change(shop, (NOTE, NOTE.replace("note", "remark")))
    ran = answering(shop, "n\n", "makemigrations")
    assert ran.code == 0, ran.text
    assert len(held(shop.deploy("r2"))) == 1
    assert {"note", "remark"} <= set(shop.columns("shop_order"))


def test_update_of_a_chain_is_refused_and_nothing_is_lost(shop):
    change(shop, (NOTE, NOTE + TOKEN))
    shop.run("makemigrations")
    before = {name: shop.read(name) for name in shop.migrations()}
    change(shop, (NOTE, NOTE + "    rank = models.IntegerField(default=1)\n"))
    ran = shop.manage("makemigrations", "--update")
    assert ran.code == 1
    assert "Run makemigrations without --update." in ran.err
    assert {name: shop.read(name) for name in shop.migrations()} == before
