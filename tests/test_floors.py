"""Stairs only go down: every import compared with the floor numbers of docs and design."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "safemigrate"
FLOORS = {
    "facts": 0,
    "backends": 1,
    "backfill": 2,
    "operations": 3,
    "rules": 4,
    "planner": 5,
    "executor": 6,
}
TOP = 7
FREE = {"", "version"}  # the package itself and its number

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    """``safemigrate.facts.locks`` -> ``facts``."""
    return module.partition(".")[2].partition(".")[0]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(module: str) -> int:
    return FLOORS.get(room(module), TOP)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module of ours that a file imports, wherever in the file that stands."""
    own = name_of(path)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            names = [base]
            if base == "safemigrate":
                names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, n) for n in names if n.split(".")[0] == "safemigrate")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_floor_imports_a_higher_one(path):
    """A fact that knows the executor is no fact; a rule that asks the planner cannot be tested."""
    own = name_of(path)
    if room(own) in FREE:
        return
    wrong = [
        f"{path.name}:{line} imports {module}"
        for line, module in imports(path)
        if room(module) not in FREE and floor(module) > floor(own)
    ]
    assert wrong == []


def test_the_free_modules_import_nothing_of_the_floors():
    """``import safemigrate`` must not need settings, a driver or a database."""
    for path in (PACKAGE / "__init__.py", PACKAGE / "version.py"):
        assert {room(module) for _, module in imports(path)} <= FREE


def test_every_floor_is_there():
    """A floor that was renamed would be compared as the top one, and pass."""
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir()} >= set(FLOORS)


# The server's own words --------------------------------------------------------------------

VENDOR_BLIND = [path for path in MODULES if room(name_of(path)) not in ("backends", "rules")]


VENDOR = re.compile(r"vendor['\"]?\]? ?(==|!=|in\b|not in\b) ?['\"(\[{]")

# Judgement is by vendor, so somebody has to say by which; they send nothing to it.
CHOOSES_WHAT_TO_JUDGE_BY = {
    "safemigrate.judge": "the alias whose server the rules are asked about",
    "safemigrate.checks": "whether any alias is one that rules exist for",
    "safemigrate.planner.autodetector": "the alias that makemigrations writes for",
}


@pytest.mark.parametrize("path", VENDOR_BLIND, ids=name_of)
def test_only_the_backends_and_the_rules_ask_for_the_vendor(path):
    """MySQL is to be one more folder, not one more branch in every file."""
    found = [
        f"{path.name}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and VENDOR.search(ast.unparse(node))
    ]
    reason = CHOOSES_WHAT_TO_JUDGE_BY.get(name_of(path), "")
    assert bool(found) == bool(reason), found


@pytest.mark.parametrize("path", VENDOR_BLIND, ids=name_of)
def test_only_the_backends_import_a_driver(path):
    """A project on another server has no psycopg."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert not re.search(
                r"psycopg|contrib\.postgres|backends\.postgresql", ast.unparse(node)
            )


# Facts about statements name them; none of them is sent.
TELLS_OF_STATEMENTS = {"safemigrate.facts.statements"}
SERVER_WORDS = re.compile(r"CONCURRENTLY|\bpg_[a-z]+")


@pytest.mark.parametrize(
    "path", [p for p in VENDOR_BLIND if name_of(p) not in TELLS_OF_STATEMENTS], ids=name_of
)
def test_only_the_backends_speak_the_servers_sql(path):
    """Docstrings and messages may name the words; a statement that is sent may not."""
    tree = ast.parse(path.read_text())
    texts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SERVER_WORDS.search(node.value)
        and node not in docstrings(tree)
    ]
    assert [f"{path.name}:{n.lineno} {n.value!r}" for n in texts if is_sql(n.value)] == []


def docstrings(tree: ast.AST) -> list[ast.Constant]:
    """The strings that stand alone: docstrings, also those of attributes."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def is_sql(text: str) -> bool:
    """A statement, or a word of one that statements are searched for; a sentence is neither."""
    statement = re.match(r"\s*(SELECT|CREATE|DROP|ALTER|REINDEX|SET|WITH|FROM|WHERE)\b", text)
    return bool(statement) or text.strip() == "CONCURRENTLY"
