"""The pages for users, taken apart: code blocks, links, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\S*)(?: +(.*?))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = ("migrate", "makemigrations", "safemigrate", "check", "showmigrations", "sqlmigrate")


@dataclass(frozen=True)
class Block:
    """``kind``: the words after the language, as in ```` ```python migration 0002_x ````."""

    language: str
    kind: tuple[str, ...]
    text: str
    line: int


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text()
    found = [
        Block(m[1], tuple((m[2] or "").split()), m[3], text.count("\n", 0, m.start()) + 1)
        for m in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def words(text: str) -> str:
    """With every run of white space as one space, so that line breaks do not count."""
    return " ".join(text.split())


def manage_commands(page: Path) -> Iterator[str]:
    """What stands after ``manage.py``, in blocks and in inline code."""
    for block in blocks(page, "sh", "console"):
        for line in block.text.splitlines():
            if found := re.search(r"manage\.py ([^#|]*)", line):
                yield found[1].strip()
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        code = code.removeprefix("python ").removeprefix("manage.py ")
        if code.startswith(tuple(f"{command} " for command in _COMMANDS)) and "…" not in code:
            yield code.replace("SECONDS", "60").replace("expand|backfill|contract", "expand")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Relative links: the file and the anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page), anchor


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def first_cells(page: Path) -> Iterator[list[str]]:
    """The rows of all tables, cell by cell."""
    for line in prose(page).splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]
