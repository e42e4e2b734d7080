"""One rule, one id, one file, one page, one test class; and how each is put in words."""

import ast
import re
from pathlib import Path

import pytest
from django.core import checks
from django.db import migrations, models

from safemigrate import speak
from safemigrate.judge import Judged
from safemigrate.rules import Finding, Step, judge, registry
from tests.rules.asking import altering, ask, shop

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = list(registry().values())


def _test_classes() -> set[str]:
    files = [*(ROOT / "tests/rules").glob("*.py"), *(ROOT / "tests/checks").glob("*.py")]
    trees = [ast.parse(path.read_text()) for path in files]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


TESTED = _test_classes()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_one_name_in_all_five_places(rule):
    """People find a rule by its id, its page by the slug, and its test by the page."""
    name = rule.slug.replace("-", "_")
    assert re.fullmatch(r"[EW]\d{3}", rule.id)
    assert rule.judge.__name__ == name
    assert rule.judge.__module__ == f"safemigrate.rules.{name}"
    page = (ROOT / "docs/rules" / f"{rule.slug}.md").read_text()
    assert page.startswith(f"# {rule.id} {rule.slug}\n\n{rule.doc}")
    for part in ("## What happens", "## Why it hurts", "## Do instead", "## If it is safe"):
        assert part in page
    assert f"| {rule.id} | [{rule.slug}]" in (ROOT / "docs/rules/README.md").read_text()
    assert f"Test{rule.slug.title().replace('-', '')}" in TESTED


def test_every_page_has_a_rule():
    pages = {path.stem for path in (ROOT / "docs/rules").glob("*.md")} - {"README"}
    assert pages == {rule.slug for rule in RULES}


def test_a_rule_that_breaks_is_a_finding_and_not_a_crash():
    """A custom field raises something nobody thought of: fail closed."""

    class Broken(models.IntegerField):
        def deconstruct(self):
            raise RuntimeError("no idea")

        @property
        def unique(self):
            raise RuntimeError("no idea")

    found = ask(altering("total", Broken(null=True)))
    assert found
    assert all("cannot be judged" in finding.what for finding in found)


def test_a_field_renamed_in_the_same_run_is_one_finding_only():
    """makemigrations asks with the state of before: the new name is not there yet."""
    assert ask(altering("renamed", models.IntegerField())) == []


def test_the_state_is_left_as_it_was():
    state = shop()
    before = {key: model.clone() for key, model in state.models.items()}
    ask(altering("total", models.BigIntegerField(unique=True)), before=state)
    assert "apps" not in vars(state)
    assert {k: m.fields.keys() for k, m in state.models.items()} == {
        k: m.fields.keys() for k, m in before.items()
    }


INDEX = migrations.AddIndex("order", models.Index(fields=["total"], name="order_total_idx"))


def _judged(operation=INDEX):
    finding = judge(Step("shop", operation, shop()))[0]
    return Judged(finding, "shop", "0007_total", Path.cwd() / "shop/migrations/0007_total.py")


def test_a_finding_is_told_in_four_parts_with_code_to_paste():
    assert speak.text(_judged()) == (
        """\
shop.0007_total   safemigrate.E101 plain-index

What happens   AddIndex builds order_total_idx while blocking writes to shop_order.
Why it hurts   CREATE INDEX takes a SHARE lock on shop_order: reads continue, every INSERT,
               UPDATE and DELETE waits until the whole table has been read.
Do instead     in shop/migrations/0007_total.py, with atomic = False on the Migration:

    import safemigrate.operations

    safemigrate.operations.AddIndexConcurrently(
        model_name='order',
        index=models.Index(fields=['total'], name='order_total_idx'),
    ),

If it is safe  wrap it: Assured(<the operation>, because="table is empty until launch")"""
    )


def test_a_chain_is_told_file_by_file_in_the_order_of_its_phases():
    told = speak.text(_judged(migrations.RemoveField("order", "number")))
    first = told.index("1. expand: shop/migrations/0007_total_expand.py, with atomic = False")
    second = told.index("2. contract: shop/migrations/0008_total_contract.py")
    assert first < told.index("MakeFieldIgnorable(") < second < told.index("ContractDrop(")


def test_the_code_of_a_finding_can_be_pasted():
    """Names, imports and indentation are those of a migration file."""
    operations = _judged().finding.instead.operations()
    lines = [line.strip() for line in speak.code(operations).splitlines()]
    assert lines[0] == "import safemigrate.operations"
    names: dict = {}
    text = "\n".join(lines[1:])
    exec(f"from django.db import models\nimport safemigrate.operations\nmade = [{text}]", names)
    assert names["made"][0].deconstruct() == operations[0].deconstruct()


def test_an_operation_that_cannot_be_written_is_described():
    finding = ask(migrations.AddField("order", "f", models.TextField(default=lambda: "")))[0]
    assert "# Add column f to order" in speak.finding_text(finding, "shop")


def test_a_check_carries_the_message_the_hint_and_the_id():
    message = speak.as_check(_judged())
    assert isinstance(message, checks.Error)
    assert message.id == "safemigrate.E101"
    assert message.obj == "shop.0007_total"
    assert len(message.msg) < 80
    assert "SHARE lock" in message.hint
    assert "AddIndexConcurrently(" in message.hint


def test_a_long_name_is_cut_and_a_warning_is_a_warning():
    finding = Finding(what="x" * 200, why="y", rule="W402")
    message = speak.as_check(Judged(finding))
    assert isinstance(message, checks.Warning)
    assert len(message.msg) < 80
    long = models.Index(fields=["total"], name="a" * 30)
    found = ask(migrations.AddIndex("order", long))
    assert len(found[0].what) < 80


def test_what_many_rules_ask_of_a_step_is_worked_out_once():
    """A RunSQL is parsed for the first of ten rules."""
    step, asked = Step("shop", INDEX, shop()), []

    def question(one: Step) -> int:
        asked.append(one)
        return len(asked)

    assert [step.once(question), step.once(question)] == [1, 1]
    assert Step("shop", INDEX, shop()).once(question) == 2
