"""What the rollout prints and draws, and what the developers of the shop do by hand."""

import io
import re

import pytest
from rich.console import Console

from testproject import releases
from testproject.rollout import final, picture, report, trees
from testproject.rollout.manage import RolloutError
from testproject.rollout.windows import Command, Fill, Request, Result, Run, Window

GENERATED = """import safemigrate.operations
import shop.models
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        safemigrate.operations.BatchedBackfill(
            model_name='order',
            values={'email_verified': shop.models.verified_by_default},
            where=models.Q(('email_verified__isnull', True)),
        ),
    ]
"""


@pytest.fixture
def run():
    windows = [
        Window("r1, no migration", ("r1",), 100, 110),
        Window("migrate to r2", ("r1",), 110, 115, "r2", fill=Fill(5000, 0.5)),
        Window("r1 and r2", ("r1", "r2"), 115, 125),
    ]
    requests = [Request("r1", 100 + n / 4, 2 + n % 7, "read_order", "ok") for n in range(100)]
    requests += [Request("r2", 116 + n / 4, 3 + n % 5, "read_order", "ok") for n in range(30)]
    requests.append(Request("r1", 112, 1500, "place_order", "ProgrammingError 42703 [gone]"))
    commands = [Command("migrate (r2)", 1, "Traceback\nOperationalError: no [lock]", 5.0)]
    return Run("plain Django", windows=windows, requests=requests, commands=commands)


@pytest.fixture
def tree(tmp_path):
    releases.copy("r2", tmp_path)
    return tmp_path


def printed(run, differences=()):
    out = io.StringIO()
    console = Console(file=out, width=110)
    report.show(console, Result("5,000 orders", [run], list(differences)))
    return out.getvalue()


# The table


def test_the_table_has_a_line_for_each_release_in_each_window(run):
    lines = [line for line in printed(run).splitlines() if re.search(r"\br[12] +\d", line)]
    assert len(lines) == 4


def test_the_table_shows_how_fast_rows_were_filled_where_they_were(run):
    (line,) = [line for line in printed(run).splitlines() if "migrate to r2  " in line]
    assert line.split()[-1] == "10,000"


def test_errors_are_shown_in_their_own_words_brackets_and_all(run):
    assert "1 x r1: ProgrammingError 42703 [gone]" in printed(run)


def test_a_command_that_failed_is_shown_with_its_last_lines(run):
    text = printed(run)
    assert "migrate (r2) ended with 1:" in text
    assert "OperationalError: no [lock]" in text


def test_the_markdown_has_the_same_lines_as_the_table(run):
    text = report.as_markdown(Result("5,000 orders", [run]), "python3 testproject rollout")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4
    assert len({line.count("|") for line in table}) == 1


def test_the_picture_is_written_for_the_page_and_for_everywhere_else(run, tmp_path):
    svg, png = picture.draw([run, run], tmp_path)
    assert "migrate to r2" in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")


def test_schemas_that_differ_are_told_apart():
    plain, safe = {("index", "a"), ("column", "b")}, {("column", "b"), ("trigger", "c")}
    assert final.differences(plain, safe) == [
        "only with plain Django: index a",
        "only with safemigrate: trigger c",
    ]


# The sources of the releases


def test_a_release_is_all_layers_up_to_it():
    assert [layer.name for layer in releases.layers("r3")] == ["r3", "r2", "r1"]


def test_a_release_the_shop_does_not_have_is_refused_by_name():
    with pytest.raises(ValueError, match="'r9'; the shop has r1, r2, r3"):
        releases.layers("r9")


def test_a_copy_of_a_release_has_its_own_models_and_the_first_migration(tree):
    assert "email_verified" in (tree / "shop/models.py").read_text()
    assert [path.name for path in trees.migrations_of(tree)] == ["0001_initial.py"]


def test_the_developer_without_safemigrate_writes_a_migration_of_one_update(tree):
    done = trees.edit_plain(tree)
    added = trees.migrations_of(tree)[-1]
    assert added.name in done
    compile(added.read_text(), added.name, "exec")
    assert '("shop", "0001_initial")' in added.read_text()


def test_the_developer_with_safemigrate_edits_the_generated_backfill(tree):
    path = tree / "shop/migrations/0003_order_email_verified_backfill.py"
    path.write_text(GENERATED)
    trees.edit_safemigrate(tree)
    edited = path.read_text()
    compile(edited, path.name, "exec")
    assert "models.Q(confirmed_at__isnull=False)" in edited
    assert "keep_filled=True,\n            where=" in edited
    assert "verified_by_default" not in edited


def test_an_edit_that_finds_no_backfill_or_another_one_says_what_it_found(tree):
    with pytest.raises(RolloutError, match=r"0001_initial\.py; found 0"):
        trees.edit_safemigrate(tree)
    path = tree / "shop/migrations/0003_backfill.py"
    path.write_text(GENERATED.replace("verified_by_default", "something_else"))
    with pytest.raises(RolloutError, match="found it 0 times"):
        trees.edit_safemigrate(tree)
