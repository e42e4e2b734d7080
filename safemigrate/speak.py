"""Findings as people read them: four parts in a terminal, a message and a hint in a check."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import OperationWriter
from rich.text import Text

from safemigrate.facts.phases import Phase
from safemigrate.operations.phases import flat
from safemigrate.operations.remedies import Chain
from safemigrate.rules import Finding, Placed, Rule, Step, Unreadable, registry
from safemigrate.rules.known import needs_autocommit

if TYPE_CHECKING:
    from safemigrate.judge import Judged

WIDTH = 96
_INDENT = 15
_CODE = "cyan"
_IN_EVERY_FILE = {
    "from django.db import migrations, models",
    "from django.db import migrations",
    "from django.db import models",
}


def text(judged: Judged) -> str:
    """The four parts, for a log."""
    return told(judged).plain


def told(judged: Judged, width: int = WIDTH) -> Text:
    """As ``text``, with colours, for a terminal of that width."""
    line = judged.line
    where = f"{_relative(judged.path)}:{line}" if judged.path and line else ""
    return _told(judged.finding, judged.name, judged.path, where, width)


def finding_text(finding: Finding, label: str) -> str:
    """
    As ``text``, while no file is written; ``label``: the app.

    The code says which migrations, not which files.
    """
    return _told(finding, label, None, "", WIDTH).plain


def _told(finding: Finding, label: str, path: Path | None, where: str, width: int) -> Text:
    rule = registry()[finding.rule]
    head = Text.assemble(
        (label or "the project", "bold"), "   ", (f"{rule.check_id} {rule.slug}", colour_of(rule))
    )
    return Text("\n").join(
        [
            head,
            *([Text(where)] if where else []),
            Text(),
            _part("What happens", finding.what, width),
            _part("Why it hurts", finding.why, width),
            *_instead(finding, path, width),
            *([_part("If it is safe", past, width)] if (past := way_past(finding)) else []),
        ]
    )


def colour_of(rule: Rule) -> str:
    return "bold red" if rule.id.startswith("E") else "bold yellow"


def as_check(judged: Judged) -> checks.CheckMessage:
    """Shape: ``msg`` under 80 characters, ``hint`` is why and what to do instead."""
    finding = judged.finding
    rule = registry()[finding.rule]
    kind = checks.Error if rule.id.startswith("E") else checks.Warning
    message = " ".join(finding.what.split())
    instead = (part.plain for part in _instead(finding, judged.path, WIDTH))
    return kind(
        message if len(message) < 80 else f"{message[:78]}…",
        hint="\n".join([finding.why, *instead]),
        obj=judged.name or None,
        id=rule.check_id,
    )


def page_of(rule: Rule) -> str:
    """The page of a rule, as the documentation has it."""
    return (Path(__file__).parent / "pages" / f"{rule.slug}.md").read_text(encoding="utf-8")


def way_past(finding: Finding) -> str:
    """How to say that it does not matter here; empty where nobody can know that."""
    rule = registry()[finding.rule]
    if rule.about is Unreadable:
        return ""
    if rule.about is Step:
        return 'wrap it: Assured(<the operation>, because="table is empty until launch")'
    if rule.about is Placed:
        return f'say so on the Migration: assured = {{"{rule.id}": "both tables are empty"}}'
    return f'silence it: SILENCED_SYSTEM_CHECKS = ["{rule.check_id}"]'


def _part(head: str, body: str, width: int) -> Text:
    """Broken between words alone: a name or a statement's word is copied from here."""
    lines, line = [], f"{head:<{_INDENT - 1}}"
    for word in body.split():
        if len(line) + 1 + len(word) > width and len(line) >= _INDENT:
            lines.append(line)
            line = " " * (_INDENT - 1)
        line += f" {word}"
    found = Text("\n".join([*lines, line]))
    found.stylize("bold", 0, len(head))
    return found


def _instead(finding: Finding, path: Path | None, width: int) -> Iterator[Text]:
    """The third part: code to paste, else the deployments in order."""
    pieces = list(_pieces(finding))
    head = "Do instead"
    if not pieces:
        for number, step in enumerate(finding.steps, 1):
            yield _part(head if number == 1 else "", _numbered(step, number, finding.steps), width)
        return
    if len(pieces) == 1:
        _, operations = pieces[0]
        yield _part(head, f"in {_file(path)}{_autocommit(operations)}:", width)
        yield from (Text(), Text(code(operations), _CODE), Text())
    else:
        yield _part(head, f"in {len(pieces)} migrations, each of its own, in this order:", width)
        for number, (phase, operations) in enumerate(pieces, 1):
            named = f"{phase}: " if phase else ""
            where = _file(path, number - 1, str(phase or number))
            yield Text()
            yield _part("", f"{number}. {named}{where}{_autocommit(operations)}", width)
            yield from (Text(), Text(code(operations), _CODE))
        yield Text()
        if any(phase is Phase.CONTRACT for phase, _ in pieces):
            held = "migrate holds the contract back until no older release is running."
            yield _part("", held, width)
    for step in finding.steps:
        yield _part("", step, width)


def _numbered(step: str, number: int, steps: tuple[str, ...]) -> str:
    return step if len(steps) == 1 or step[:2] == f"{number}." else f"{number}. {step}"


def _pieces(finding: Finding) -> Iterator[tuple[Phase | None, list[Operation]]]:
    """What belongs together in one migration, in order."""
    if isinstance(finding.instead, Chain):
        for phase in Phase:
            if operations := finding.instead.of(phase):
                yield phase, operations
    else:
        for operation in finding.instead or ():
            yield None, [operation]


def _autocommit(operations: list[Operation]) -> str:
    needed = any(needs_autocommit(operation) for operation in flat(operations))
    return ", with atomic = False on the Migration" if needed else ""


def _file(path: Path | None, further: int = 0, ending: str = "") -> str:
    """The file to write, counted on from the one that was found."""
    if path is None:
        return "a migration of its own"
    found = re.fullmatch(r"(\d+)(_.*)?", path.stem)
    stem = path.stem
    if found:
        stem = f"{int(found[1]) + further:0{len(found[1])}}{found[2] or ''}"
    name = f"{stem}_{ending}.py" if ending else path.name
    return _relative(path.with_name(name))


def _relative(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def code(operations: list[Operation]) -> str:
    """The operations as they stand in a migration, with the imports they need."""
    blocks: list[str] = []
    imports: set[str] = set()
    for operation in operations:
        written, needed = _written(operation)
        blocks.append(written)
        imports |= needed
    lines = [f"    {line}" for line in sorted(imports - _IN_EVERY_FILE)]
    return "\n".join([*lines, *([""] if lines else []), *blocks])


def _written(operation: Operation) -> tuple[str, set[str]]:
    writer: Any = OperationWriter(operation, indentation=1)
    try:
        written, imports = writer.serialize()
    except Exception:  # noqa: BLE001  a lambda, or a field that cannot be written
        return f"    # {operation.describe()}", set()
    return written, set(imports)
