"""The documentation is true: its stories run, its commands, links, keys and texts are there."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import django
import pytest
from django.core.management import get_commands, load_command_class

from safemigrate import operations
from safemigrate.facts import settings
from safemigrate.facts.release import MAX_RELEASE_CHARS, PLATFORM_VARIABLES
from safemigrate.planner import gate
from tests.docs import pages
from tests.projects import Project

DOCS = pages.ROOT / "docs"
OF_A_STORY = ("models", "settings", "migration", "file")
STORIES = [
    page
    for page in pages.PAGES
    if pages.blocks(page, "console")
    or any(set(block.kind) & set(OF_A_STORY) for block in pages.blocks(page, "python"))
]

every_page = pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)


@pytest.mark.parametrize("page", STORIES, ids=pages.name)
def test_the_story_of_a_page_runs_from_top_to_bottom(page: Path, project: Project):
    """Somebody types in the whole page: what it prints is what the page says."""
    everything = pages.blocks(page, "python", "console")
    if any("INSTALLED_APPS" in block.text for block in everything):
        config = (project.folder / "config.py").read_text()
        project.write("config.py", config.replace('"safemigrate", ', ""))
    types_commands = any(block.language == "console" for block in everything)
    for block in everything:
        if block.language == "console":
            _type_in(project, page, block)
        elif block.kind:
            _put(project, block)
            if block.kind == ("models",) and not types_commands:
                project.run("makemigrations")
    project.run("migrate" if project.migrations() else "check")


def _put(project: Project, block: pages.Block) -> None:
    kind, *rest = block.kind
    if kind == "models":
        project.models(block.text)
    elif kind == "settings":
        project.setting(block.text)
    else:
        [where] = rest
        project.write(f"shop/migrations/{where}.py" if kind == "migration" else where, block.text)


def _type_in(project: Project, page: Path, block: pages.Block) -> None:
    """Run each ``$ NAME=value python manage.py ...`` and compare what is printed below it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        typed = shlex.split(command)
        start = typed.index("python")
        env = dict(word.split("=", 1) for word in typed[:start])
        ran = project.run(*typed[start + 2 :], **env)
        assert ran.out.strip() == printed.strip(), f"{pages.name(page)}: $ {command}"


@every_page
def test_plain_python_blocks_run(page: Path):
    """A reader pastes the block into a shell of a project."""
    for block in pages.blocks(page, "python"):
        if not block.kind:
            exec(compile(block.text, f"{pages.name(page)}:{block.line}", "exec"), {})


@every_page
def test_blocks_are_of_a_kind_that_is_tested(page: Path):
    """A new kind of block, or a misspelt one, would be read by nobody but users."""
    known = {"console", "python", "sh", "sql", "text", "yaml"}
    for block in pages.blocks(page):
        where = f"{pages.name(page)}:{block.line}"
        assert block.language in known, where
        if block.language == "python" and block.kind:
            assert block.kind[0] in OF_A_STORY, where


@every_page
def test_every_command_is_there_with_its_options(page: Path):
    """A command that a page shows is parsed by the command itself."""
    for line in pages.manage_commands(page):
        command, *rest = shlex.split(line)
        assert command in get_commands(), f"{pages.name(page)}: {line}"
        made = load_command_class(get_commands()[command], command)
        made.create_parser("manage.py", command).parse_args(rest)


def test_both_commands_of_the_readme_are_known_to_the_bootstrap():
    """``python3 testproject ...`` without options, as a newcomer types it."""
    readme = (pages.ROOT / "README.md").read_text()
    typed = re.findall(r"python3 testproject (\w+)$", readme, re.MULTILINE)
    assert typed == ["rollout", "tests"]
    helped = subprocess.run(
        [sys.executable, "testproject", "--help"],
        cwd=pages.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for command in typed:
        assert f"python3 testproject {command} " in helped


@every_page
def test_every_relative_link_leads_somewhere(page: Path):
    """Also the anchor in it."""
    for target, anchor in pages.links(page):
        where = f"{pages.name(page)} -> {target.name}#{anchor}"
        assert target.exists(), where
        assert not anchor or anchor in pages.anchors(target), where


def test_the_index_names_every_page():
    there = {target.name for target, _ in pages.links(DOCS / "README.md")}
    written = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert written <= there


def test_the_settings_page_has_every_key_type_and_default():
    """Both ways: no key is missing, none is made up."""
    rows = {cells[0].strip("`"): cells for cells in pages.first_cells(DOCS / "settings.md")}
    written = {key: row[1:3] for key, row in rows.items() if len(row) == 4 and key.isupper()}
    wanted = {field.name.upper(): _type_and_default(field) for field in _fields()}
    assert written == wanted
    assert f"At most {MAX_RELEASE_CHARS} characters" in (DOCS / "settings.md").read_text()


def _fields():
    return dataclasses.fields(settings.Settings)


def _type_and_default(field) -> list[str]:
    default = field.default
    if isinstance(default, bool):
        return ["bool", f"`{default}`"]
    if isinstance(default, int):
        return ["int", f"`{default}`"]
    if isinstance(default, timedelta):
        return ["timedelta", _spoken(default)]
    if isinstance(default, tuple):
        return ["list of strings", ", ".join(f"`{value}`" for value in default) or "`[]`"]
    if field.name == "assured":
        return ["dict", "`{}`"]
    if field.name == "baseline":
        return ["string or path", f"`{default}`"]
    return ["string", f"`{default}`" if default else '`""`']


def _spoken(duration: timedelta) -> str:
    for unit in ("days", "hours", "minutes", "seconds"):
        if (number := duration / timedelta(**{unit: 1})) >= 1 or unit == "seconds":
            return f"{number:g} {unit}"
    raise AssertionError(duration)


def test_the_settings_page_has_every_variable_of_a_platform():
    """In the order in which they are asked."""
    text = (DOCS / "settings.md").read_text().partition("## Releases from hosting platforms")[2]
    written = re.findall(r"`([A-Z][A-Z_]+)`", text)
    assert tuple(word for word in written if word != "RELEASE") == PLATFORM_VARIABLES


def test_the_operations_page_has_every_public_name():
    text = (DOCS / "operations.md").read_text()
    assert [name for name in operations.__all__ if f"`{name}" not in text] == []
    heads = re.findall(r"^### (.+)$", text, re.MULTILINE)
    headed = {word for head in heads for word in head.split(", ")}
    of_users = {
        name
        for name in operations.__all__
        if hasattr(getattr(operations, name), "database_forwards") and name != "SafeOperation"
    }
    assert headed == of_users


BEFORE = """
class Paired(models.Model):
    one = models.IntegerField()
    two = models.IntegerField()

class Audit(models.Model):
    text = models.TextField()

class Customer(models.Model):
    email = models.EmailField()

class Reply(models.Model):
    to = models.ForeignKey(Customer, models.CASCADE)

class Begun(models.Model):
    begun = models.ForeignKey(Customer, models.CASCADE)

class Ended(models.Model):
    ended = models.ForeignKey(Customer, models.DB_CASCADE)

class Order(models.Model):
    amount = models.IntegerField()
    code = models.CharField(max_length=9)
    unindexed = models.IntegerField(db_index=True)
    required = models.IntegerField()
    widened = models.IntegerField()
    narrowed = models.BigIntegerField()
    optional = models.IntegerField(null=True)
    filled = models.IntegerField(null=True)
    unfilled = models.IntegerField(null=True)
    loosened = models.IntegerField()
    preset = models.IntegerField()
    unset = models.IntegerField(db_default=1)
    checked = models.IntegerField()
    pointing = models.BigIntegerField(null=True, db_column="pointing_id")
    chosen = models.IntegerField(default=1)

    class Meta:
        indexes = [
            models.Index(fields=["amount"], name="old_idx"),
            models.Index(fields=["unindexed", "amount"], name="same_idx"),
            models.Index(fields=["amount"], name="changed_idx"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="old_check"),
            models.CheckConstraint(condition=models.Q(amount__gte=1), name="changed_check"),
            models.CheckConstraint(condition=models.Q(amount__gte=2), name="first_check"),
            models.CheckConstraint(condition=models.Q(amount__gte=3), name="worded_check"),
            models.UniqueConstraint(fields=["amount"], name="changed_once"),
        ]
"""
AFTER = """
def lucky():
    return 7

class Customer(models.Model):
    email = models.EmailField()

class Reply(models.Model):
    to = models.ForeignKey(Customer, models.CASCADE)

    class Meta:
        order_with_respect_to = "to"

class Begun(models.Model):
    begun = models.ForeignKey(Customer, models.DB_CASCADE)

class Ended(models.Model):
    ended = models.ForeignKey(Customer, models.CASCADE)

class Order(models.Model):
    amount = models.IntegerField()
    code = models.CharField(max_length=9, unique=True)
    unindexed = models.IntegerField()
    nullable = models.CharField(max_length=3, null=True)
    widened = models.BigIntegerField()
    narrowed = models.IntegerField()
    positive = models.PositiveIntegerField(null=True)
    constant = models.SmallIntegerField(default=1)
    token = models.UUIDField(default=uuid.uuid4)
    computed = models.BigIntegerField(default=lucky)
    filled = models.IntegerField(default=3)
    unfilled = models.IntegerField()
    loosened = models.IntegerField(null=True)
    preset = models.IntegerField(db_default=1)
    unset = models.IntegerField()
    checked = models.PositiveIntegerField()
    pointing = models.ForeignKey(Customer, models.CASCADE, null=True, related_name="+")
    chosen = models.IntegerField(default=2, choices=[(1, "one"), (2, "two")])
    customer = models.ForeignKey(Customer, models.CASCADE, null=True, related_name="+")
    customers = models.ManyToManyField(Customer, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["code"], name="new_idx"),
            models.Index(fields=["unindexed", "amount"], name="renamed_idx"),
            models.Index(fields=["amount", "code"], name="changed_idx"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=4), name="new_check"),
            models.CheckConstraint(condition=models.Q(amount__gte=5), name="changed_check"),
            models.CheckConstraint(condition=models.Q(amount__gte=2), name="second_check"),
            models.CheckConstraint(
                condition=models.Q(amount__gte=3), name="worded_check", violation_error_code="low"
            ),
            models.UniqueConstraint(fields=["amount", "code"], name="changed_once"),
            models.UniqueConstraint("code", "amount", name="new_once"),
        ]

class Paired(models.Model):
    one = models.IntegerField()
    two = models.IntegerField()

    class Meta:
        unique_together = [("one", "two")]

class Fresh(models.Model):
    pass
"""
CHANGES = {  # a row of the table -> what it does to the models above
    "new nullable field": "nullable",
    "new nullable `PositiveIntegerField`": "positive",
    "new NOT NULL field, constant": "constant",
    "new field, `default=uuid": "token",
    "new field, another callable": "computed",
    "new `ForeignKey`": "customer",
    "new `ManyToManyField`": "customers",
    "new model": "Fresh",
    "new `Index`": "new_idx",
    "`db_index=True`": "code",
    "`Index` changed under": "changed_idx",
    "`Index` removed": "old_idx",
    "`Index` with a new name": "renamed_idx",
    "`db_index` or `unique` removed": "unindexed",
    "null → NOT NULL, with a default": "filled",
    "null → NOT NULL, with no value": "unfilled",
    "NOT NULL → null": "loosened",
    "`db_default` set": "preset",
    "`db_default` removed": "unset",
    "integer → positive": "checked",
    "wider type": "widened",
    "narrower type": "narrowed",
    "number → `ForeignKey`": "pointing",
    "`on_delete` to": "begun",
    "`on_delete` from": "ended",
    "`default`, `choices`": "chosen",
    "new `UniqueConstraint`": "new_once",
    "`UniqueConstraint` changed": "changed_once",
    "`unique_together`": "paired",
    "new `CheckConstraint`": "new_check",
    "`CheckConstraint` changed": "changed_check",
    "constraint renamed": "second_check",
    "other words for": "worded_check",
    "constraint removed": "old_check",
    "field removed, required": "required",
    "field removed, nullable": "optional",
    "`order_with_respect_to` set": "(?:reply|_order)",
    "model removed": "Audit",
}


def test_the_table_of_model_changes_is_what_makemigrations_writes(project: Project):
    """Each row, in its order; "refused" is what the rules' own pages and tests are about."""
    by_server = django.VERSION >= (6, 1)
    before, after = (
        text if by_server else text.replace("models.DB_", "models.") for text in (BEFORE, AFTER)
    )
    project.models(before)
    project.run("makemigrations")
    project.models(after)
    gone = [f"--not-renamed=shop.{name}" for name in ("order.required", "order.optional", "audit")]
    project.run("makemigrations", "--noinput", *gone)
    files = "".join(project.read(name) for name in project.migrations()[1:])
    written = [
        (m[1], m[2])
        for m in re.finditer(r"^        [\w.]*?(\w+)\(\n((?: {12}.*\n)*)", files, re.MULTILINE)
    ]
    rows = _table_of_changes()
    assert [change for change in rows if _member(change) is None] == []
    for change, promised in rows.items():
        if change.startswith("`on_delete`") and not by_server:
            continue
        aside = "(safemigrate_new_shop_order_)?"
        named = re.compile(rf"(name=|values=\{{)'{aside}{_member(change)}(_[0-9a-f]{{8}})?'")
        found = [kind for kind, arguments in written if named.search(arguments)]
        assert found == promised, change


def _member(change: str) -> str | None:
    return next((name for start, name in CHANGES.items() if change.startswith(start)), None)


def _table_of_changes() -> dict[str, list[str]]:
    text = (DOCS / "operations.md").read_text().partition("## Model change")[2].partition("##")[0]
    rows: dict[str, list[str]] = {}
    change = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 4 or cells[0] in ("model change", "---") or "refused" in cells[1]:
            continue
        change = cells[0] or change
        rows.setdefault(change, []).extend(re.findall(r"`(\w+)`", cells[1]))
    return rows


def test_every_reason_of_the_gate_is_on_the_phases_page():
    """Word for word: people search for what ``migrate`` has printed."""
    text = pages.words((DOCS / "phases.md").read_text())
    spoken = [part for reason in _reasons() for part in reason if len(part) > 3]
    assert spoken
    assert [part for part in spoken if pages.words(part) not in text] == []


def test_every_quoted_reason_is_one_of_the_gate():
    patterns = [".+".join(map(re.escape, reason)) for reason in _reasons()]
    quoted = [b for b in pages.blocks(DOCS / "phases.md", "text") if b.kind == ("reasons",)]
    assert quoted
    for block in quoted:
        line = block.text.strip()
        assert any(re.fullmatch(pattern, line) for pattern in patterns), line


def _reasons() -> list[list[str]]:
    """The texts in gate.py that are sentences; what stands between their values."""
    found = []
    for function in ast.walk(ast.parse(inspect.getsource(gate))):
        if not isinstance(function, ast.FunctionDef):
            continue
        first = function.body[0]
        described = id(first.value) if isinstance(first, ast.Expr) else 0
        inside = [node for node in ast.walk(function) if isinstance(node, ast.JoinedStr)]
        pieces = {id(value) for joined in inside for value in joined.values}
        for node in ast.walk(function):
            if isinstance(node, ast.JoinedStr):
                found.append(_parts(node))
            elif _is_sentence(node) and id(node) not in pieces | {described}:
                found.append([node.value])
    return found


def _is_sentence(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 3


def _parts(joined: ast.JoinedStr) -> list[str]:
    parts = [""]
    for value in joined.values:
        if isinstance(value, ast.Constant):
            parts[-1] += value.value
        else:
            parts.append("")
    return parts


@pytest.mark.parametrize(
    ("page", "phrase"),
    [
        ("phases.md", "they change the same thing."),
        ("phases.md", "Everything else that is due was applied."),
        ("phases.md", "it comes after "),
        ("phases.md", "Both are new in this release, so that moment never comes."),
        ("locks.md", "Nobody holds it at this moment"),
        ("locks.md", "Nothing of this step was changed, and no query was kept waiting."),
        ("locks.md", "Run migrate again, or end that session first."),
        ("what-if.md", "cannot be built: there are duplicates."),
        ("what-if.md", "The unfinished index was dropped."),
        ("what-if.md", "rows were filled and stay"),
        ("what-if.md", "it goes on where this run stopped"),
        ("what-if.md", "so it cannot be NOT NULL."),
        ("what-if.md", "so it cannot be NOT NULL"),
    ],
)
def test_what_the_pages_quote_is_what_safemigrate_says(page: str, phrase: str):
    """An error text that was changed is changed on its page too."""
    assert phrase in pages.words((DOCS / page).read_text())
    sources = (pages.ROOT / "safemigrate").rglob("*.py")
    # Adjacent string literals are one text.
    assert any(phrase in re.sub(r'"\s+f?"', "", path.read_text()) for path in sources)
