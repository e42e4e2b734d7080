"""E164."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, judge, rule
from safemigrate.rules.python_reading import Source, sources
from safemigrate.rules.sql.context import UNKNOWN_NAME

_EXECUTES = ("execute", "executemany", "raw")
_EDITS = frozenset(
    str.split("""
    add_field alter_field remove_field delete_model alter_db_table alter_unique_together
    alter_index_together add_index remove_index rename_index add_constraint remove_constraint
    """)
)
# What a RunSQL must say of itself, beside what its SQL does.
_OF_THE_OPERATION = ("W403", "E148")
_PLACES = re.compile(r"%(?:\(\w+\))?s")
_BRACES = re.compile(r"\{[^{}]*\}")


@rule("E164", "python-sql", operation=migrations.RunPython)
def python_sql(step: Step) -> Iterator[Finding]:
    """SQL and schema changes in code are no safer than in an operation."""
    for source, backwards in sources(step):
        name = short(source.function.__name__, 24)
        for call in source.calls:
            if not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr in _EDITS and _is_editor(call.func.value):
                yield _edited(name, call.func.attr)
            elif call.func.attr in _EXECUTES and call.args and _is_cursor(source, call.func):
                yield from _executed(step, name, _text(source, call.args[0]), backwards)


def _is_editor(node: ast.expr) -> bool:
    return ast.unparse(node).rpartition(".")[2] in ("schema_editor", "editor")


def _is_cursor(source: Source, func: ast.Attribute) -> bool:
    if func.attr == "raw":
        return True
    value = source.meant(func.value) if isinstance(func.value, ast.Name) else func.value
    said = ast.unparse(value if value is not None else func.value)
    return _is_editor(func.value) or "cursor" in said or said in ("cur", "connection")


def _text(source: Source, node: ast.expr, depth: int = 0) -> str | None:
    """The SQL, with a name in place of what is put in as it runs; None where nobody can tell."""
    if depth > 10:
        return None
    if isinstance(node, ast.Constant):
        return _PLACES.sub("NULL", node.value) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        value = source.meant(node)
        known = source.function.__globals__.get(node.id)
        if value is not None:
            return _text(source, value, depth + 1)
        return known if isinstance(known, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else UNKNOWN_NAME
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return _PLACES.sub(UNKNOWN_NAME, node.left.value)
        return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_text(source, side, depth + 1) for side in (node.left, node.right)]
        return "".join(UNKNOWN_NAME if part is None else part for part in parts)
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and called.attr == "format":
        template = _text(source, called.value, depth + 1)
        return None if template is None else _BRACES.sub(UNKNOWN_NAME, template)
    return None


def _executed(step: Step, name: str, sql: str | None, backwards: bool) -> Iterator[Finding]:
    if sql is None:
        yield Finding(
            what=f"{name}() sends SQL that is put together as it runs.",
            why=(
                "Nobody can say which tables it locks, or for how long: it may stop one in use, or "
                "remove what the running release needs."
            ),
            steps=_steps("RunSQL"),
        )
        return
    noop = migrations.RunSQL.noop
    operation = migrations.RunSQL(noop, sql) if backwards else migrations.RunSQL(sql, noop)
    for found in judge(dataclasses.replace(step, operation=operation)):
        if found.rule not in _OF_THE_OPERATION:
            yield dataclasses.replace(
                found,
                what=short(found.what.replace("RunSQL", f"{name}()", 1), 79),
                why=found.why.replace(UNKNOWN_NAME, "..."),
                place=None,
            )


def _edited(name: str, method: str) -> Finding:
    return Finding(
        what=f"{name}() calls schema_editor.{method}().",
        why=(
            f"{method}() takes an ACCESS EXCLUSIVE lock, or one that stops writes, on a table that "
            "nobody can tell from here, and holds it until the migration ends; Django's state does "
            "not hear of it."
        ),
        steps=_steps("an operation"),
    )


def _steps(instead: str) -> tuple[str, ...]:
    return (
        f"Use {instead} of its own in the migration instead, which is judged by what it does.",
        'Otherwise look at it, and wrap it: Assured(<the operation>, because="...").',
    )
