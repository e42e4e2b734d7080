"""A migration's file as text: taken apart, so that none of it is lost when it is written anew."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import OperationWriter

from safemigrate.facts.errors import PlanRefused

_KEPT = ("dependencies", "operations", "atomic", "initial", "replaces", "run_before")
_PLAIN = (
    "from django.db import migrations, models",
    "from django.db import models",
    "from django.db import migrations",
)
_BY_HAND = "Split it by hand, as `manage.py safemigrate lint --all` shows."


@dataclass
class Definition:
    """A function, class or constant beside the Migration, with the comments above it."""

    names: frozenset[str]
    text: str
    uses: frozenset[str]


@dataclass
class Import:
    text: str
    names: frozenset[str]


@dataclass
class Written:
    """
    An operation as it stands in the file.

    ``comments``: above it; ``within``: those that ``text`` has; ``behind``: on its last line.
    """

    text: str
    uses: frozenset[str]
    comments: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    behind: str = ""

    @property
    def all_comments(self) -> list[str]:
        return [*self.comments, *self.within, *filter(None, [self.behind])]


@dataclass
class Source:
    """
    The parts of a file.

    ``head``: what comes before the imports. ``notes``: the class's docstring and the comments
    that belong to no operation. ``attributes``: name -> assignment as it stands.
    """

    module: str
    head: str
    imports: list[Import]
    definitions: list[Definition]
    notes: list[str]
    attributes: dict[str, tuple[str, frozenset[str]]]
    operations: list[Written]


@dataclass
class File:
    """What to write: ``operations``: each with the comments above it; text or an operation."""

    attributes: list[str | tuple[str, frozenset[str]]]
    operations: list[tuple[list[str], Operation | Written]]
    notes: list[str] = field(default_factory=list)
    orphans: bool = False
    """Whether it takes the definitions that no operation uses."""


def read(path: Path, migration: Migration) -> Source:
    """
    Take the file of ``migration`` apart.

    Raises: PlanRefused for a file that holds more than can be carried over.
    """
    text = path.read_text(encoding="utf-8")
    return _Reader(text, migration).source()


class _Reader:
    def __init__(self, text: str, migration: Migration) -> None:
        self.text, self.migration = text, migration
        self.lines = text.splitlines()
        self.tree = ast.parse(text)
        self.comments = {
            token.start[0]: token.string
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }

    def refuse(self, what: str) -> PlanRefused:
        name = f"{self.migration.app_label}.{self.migration.name}"
        return PlanRefused(f"The file of {name} {what}, which cannot be carried over.", do=_BY_HAND)

    def source(self) -> Source:
        if type(self.migration).__bases__ != (migrations.Migration,):
            raise self.refuse("has a Migration with a base class of its own")
        body = list(self.tree.body)
        docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        first = next((n for n in body[docstring:]), body[0])
        head_ends = _first_line(first) - 1
        imports: list[Import] = []
        definitions: list[Definition] = []
        found: ast.ClassDef | None = None
        above = head_ends
        for node in body[docstring:]:
            if isinstance(node, ast.ClassDef) and node.name == "Migration":
                found = node
                notes = self._comments(above + 1, _first_line(node) - 1)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                imports.append(self._import(node, above))
            else:
                definitions.append(self._definition(node, above))
            above = node.end_lineno or above
        if found is None:
            raise self.refuse("makes its class Migration in a way of its own")
        notes += [line.strip() for line in self._comments(above + 1, len(self.lines))]
        attributes, operations, inside = self._class(found)
        head = "\n".join(self.lines[:head_ends]).strip()
        return Source(
            module=type(self.migration).__module__,
            head=head,
            imports=imports,
            definitions=definitions,
            notes=[*notes, *inside],
            attributes=attributes,
            operations=operations,
        )

    def _comments(self, start: int, end: int) -> list[str]:
        """The comments on these lines, both included, and whatever else nobody has parsed."""
        return [self.comments[n] for n in range(start, end + 1) if n in self.comments]

    def _import(self, node: ast.Import | ast.ImportFrom, above: int) -> Import:
        names = (alias.asname or alias.name.split(".")[0] for alias in node.names)
        lines = self._comments(above + 1, node.lineno - 1)
        return Import("\n".join([*lines, self._lines(node)]), frozenset(names))

    def _definition(self, node: ast.stmt, above: int) -> Definition:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {one.id for target in targets for one in _names(target)}
        else:
            raise self.refuse(f"has code of its own on line {node.lineno}")
        comments = self._comments(above + 1, _first_line(node) - 1)
        return Definition(frozenset(names), "\n".join([*comments, self._lines(node)]), _used(node))

    def _lines(self, node: ast.stmt) -> str:
        return "\n".join(self.lines[_first_line(node) - 1 : node.end_lineno])

    def _class(
        self, node: ast.ClassDef
    ) -> tuple[dict[str, tuple[str, frozenset[str]]], list[Written], list[str]]:
        attributes: dict[str, tuple[str, frozenset[str]]] = {}
        operations: list[Written] = []
        notes: list[str] = []
        above = node.lineno
        for number, statement in enumerate(node.body):
            notes += self._comments(above + 1, statement.lineno - 1)
            above = statement.end_lineno or above
            text = self._lines(statement)
            if number == 0 and ast.get_docstring(node) is not None:
                notes.insert(0, text.strip())
                continue
            if isinstance(statement, ast.Pass):
                continue
            name = assigned(statement)
            if name not in _KEPT:
                raise self.refuse(
                    f"has more than a plain class Migration on line {statement.lineno}"
                )
            if name == "operations":
                operations = self._operations(statement)
            elif name == "atomic":
                notes += self._comments(statement.lineno, above)
            else:
                attributes[name] = text, _used(statement)
        return attributes, operations, notes

    def _operations(self, statement: Any) -> list[Written]:
        listed = statement.value
        plain = isinstance(listed, ast.List) and not any(
            isinstance(one, ast.Starred) for one in listed.elts
        )
        if not plain or len(listed.elts) != len(self.migration.operations):
            raise self.refuse("makes its list of operations in a way of its own")
        found = [self._operation(one) for one in listed.elts]
        for line, comment in self.comments.items():
            if not statement.lineno <= line <= statement.end_lineno or not found:
                continue
            number = next(
                (n for n, one in enumerate(listed.elts) if line <= one.end_lineno), len(found) - 1
            )
            node, holder = listed.elts[number], found[number]
            if line == node.end_lineno:
                holder.behind = comment
            else:
                inside = node.lineno <= line < node.end_lineno
                (holder.within if inside else holder.comments).append(comment)
        return found

    def _operation(self, node: ast.expr) -> Written:
        text = ast.get_source_segment(self.text, node) or ""
        return Written(" " * node.col_offset + text, _used(node))


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min((int(one.lineno) for one in decorators), default=node.lineno)


def assigned(statement: ast.stmt) -> str:
    """The name that a statement gives a value to; empty for any other statement."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (one for one in ast.walk(node) if isinstance(one, ast.Name))


def _used(node: ast.AST) -> frozenset[str]:
    return frozenset(one.id for one in _names(node) if not hasattr(builtins, one.id))


# Writing ------------------------------------------------------------------------------------


def written(source: Source, file: File) -> str:
    """The text of one file made of parts of ``source`` and of new operations."""
    blocks, needed, used = _operations(source, file)
    lines = [line for line in file.attributes if isinstance(line, str)]
    kept = [entry for entry in file.attributes if not isinstance(entry, str)]
    used |= {name for _, uses in kept for name in uses}
    definitions = _definitions(source, used, file.orphans)
    used |= {name for one in definitions for name in one.uses}
    body = [
        *(f"    {note}" for note in file.notes),
        *lines,
        *(text for text, _ in kept),
        "    operations = [\n" + "\n".join(blocks) + "\n    ]",
    ]
    sections = [
        source.head,
        _imports(source, needed, used),
        *(one.text for one in definitions),
        "class Migration(migrations.Migration):\n" + "\n\n".join(_together(body)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _together(body: Sequence[str]) -> Iterator[str]:
    """Comments and docstring in front of what follows them, with no line between."""
    notes = [line for line in body if line.lstrip().startswith("#")]
    if notes:
        yield "\n".join(notes)
    yield from (line for line in body if not line.lstrip().startswith("#"))


def _operations(source: Source, file: File) -> tuple[list[str], set[str], set[str]]:
    """Shape: the texts; the imports of what is new; the names that what is old uses."""
    blocks: list[str] = []
    needed: set[str] = set()
    used: set[str] = set()
    own = re.compile(re.escape(source.module) + r"\.(\w+)")
    for comments, operation in file.operations:
        blocks += [f"        {comment}" for comment in comments]
        if isinstance(operation, Written):
            behind = f"  {operation.behind}" if operation.behind else ""
            blocks.append(f"{operation.text},{behind}")
            used |= operation.uses
            continue
        text, imports = OperationWriter(operation).serialize()
        used |= set(own.findall(text))
        blocks.append(own.sub(r"\1", text))
        needed |= set(imports) - {f"import {source.module}"}
    return blocks, needed, used


def _definitions(source: Source, used: Iterable[str], orphans: bool) -> list[Definition]:
    """Those that are used, those that these use, and with ``orphans`` what nobody uses."""
    chosen: set[int] = set()
    open_names = set(used)
    while open_names:
        name = open_names.pop()
        for number, one in enumerate(source.definitions):
            if name in one.names and number not in chosen:
                chosen.add(number)
                open_names |= one.uses
    if orphans:
        in_use = {name for one in source.definitions for name in one.uses}
        in_use |= {name for one in source.operations for name in one.uses}
        chosen |= {n for n, one in enumerate(source.definitions) if not one.names & in_use}
    return [one for number, one in enumerate(source.definitions) if number in chosen]


def _imports(source: Source, needed: set[str], used: set[str]) -> str:
    used = used | {"migrations"}
    kept = [
        one
        for one in source.imports
        if "__future__" in one.text or "*" in one.names or one.names & used
    ]
    plain = [one for one in kept if one.text in _PLAIN]
    others = [one for one in kept if one.text not in _PLAIN]
    from_django = {"migrations"}
    if _PLAIN[1] in needed or ("models" in used and any("models" in one.names for one in plain)):
        from_django.add("models")
    for one in others:
        if clash := from_django & one.names:
            if not one.text.startswith("from django.db import "):
                raise PlanRefused(
                    f"{source.module} has {one.text!r}, and what is to be written needs "
                    f"{clash.pop()} of django.db.",
                    do=_BY_HAND,
                )
            from_django -= one.names
    stock = [f"from django.db import {', '.join(sorted(from_django))}"] if from_django else []
    future = [one.text for one in others if "__future__" in one.text]
    lines = {one.text for one in others if one.text not in future} | (needed - set(_PLAIN))
    ordered = sorted([*lines, *stock], key=_import_order)
    return "\n".join([*future, *([""] if future else []), *ordered])


def _import_order(line: str) -> tuple[bool, str]:
    statement = line.splitlines()[-1] if line.startswith("#") else line
    return statement.startswith("from"), statement
