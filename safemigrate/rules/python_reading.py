"""What a RunPython does with the database, as far as its source says."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Any

from django.db import models
from django.db.models import Model

from safemigrate.rules.base import Step, table_of
from safemigrate.rules.sql.writes import SMALL

_MAX_FUNCTIONS = 30
_WRITES = frozenset({"save", "delete", "update", "bulk_update", "bulk_create", "create"})
_NARROWS = frozenset({"filter", "get", "exclude"})


@dataclass
class Query:
    """
    One call on a manager: ``Order.objects.filter(...).update(...)``.

    ``calls``: method names with their calls, in order. ``model``: key in the state, if known.
    """

    node: ast.expr
    model: tuple[str, str] | None
    calls: list[tuple[str, ast.Call]]
    sliced: bool = False

    @property
    def last(self) -> str:
        return self.calls[-1][0] if self.calls else ""


@dataclass
class Source:
    """
    One function, read.

    ``nodes``: everything in it, walked once for all rules. ``names``: local name -> the
    expression it was given.
    """

    function: FunctionType
    nodes: list[ast.AST]
    names: dict[str, ast.expr] = field(default_factory=dict)

    @cached_property
    def calls(self) -> list[ast.Call]:
        return [node for node in self.nodes if isinstance(node, ast.Call)]


def sources(step: Step) -> list[tuple[Source, bool]]:
    """Each function of a RunPython, those of its file that it calls too; and whether backwards."""
    return step.once(_sources)


def _sources(step: Step) -> list[tuple[Source, bool]]:
    return [(source, back) for code, back in _ways(step) for source in _reachable(code)]


def unreadable(step: Step) -> Iterator[tuple[Any, bool]]:
    """What a RunPython calls and nobody can read: a lambda, an object; and whether backwards."""
    read = {backwards for _, backwards in sources(step)}
    for code, backwards in _ways(step):
        if code is not None and backwards not in read:
            yield code, backwards


def _ways(step: Step) -> tuple[tuple[Any, bool], ...]:
    operation: Any = step.operation
    return (operation.code, False), (operation.reverse_code, True)


def texts(code: Any) -> list[str]:
    """The functions that ``code`` reaches, as Python; none if nobody can read it."""
    return [ast.unparse(source.nodes[0]) for source in _reachable(code)]


def _reachable(code: Callable[..., Any] | None) -> Iterator[Source]:
    waiting: list[Any] = [code]
    seen: set[FunctionType] = set()
    while waiting and len(seen) < _MAX_FUNCTIONS:
        function = waiting.pop(0)
        function = inspect.unwrap(function) if callable(function) else function
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        if (source := _read(function)) is None:
            continue
        yield source
        called = {n.func.id for n in source.calls if isinstance(n.func, ast.Name)}
        for name in sorted(called):
            found = function.__globals__.get(name)
            if getattr(found, "__module__", "") == function.__module__:
                waiting.append(found)


def _read(function: FunctionType) -> Source | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    found = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None
    )
    if found is None:
        return None
    source = Source(function, list(ast.walk(found)))
    for node in source.nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            source.names[node.targets[0].id] = node.value
    return source


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


# Queries --------------------------------------------------------------------------------------


def query_of(source: Source, node: ast.expr, depth: int = 0) -> Query | None:
    """The query that an expression is, if it starts at a model of ``apps.get_model()``."""
    calls: list[tuple[str, ast.Call]] = []
    sliced, start = False, node
    while depth < 10:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "get_model":
                return Query(start, _key(node), calls[::-1], sliced)
            calls.append((node.func.attr, node))
            node = node.func.value
        elif isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Subscript):
            sliced, node = sliced or isinstance(node.slice, ast.Slice), node.value
        elif isinstance(node, ast.Name) and node.id in source.names:
            found = query_of(source, source.names[node.id], depth + 1)
            if found is None:
                return None
            return Query(start, found.model, found.calls + calls[::-1], sliced or found.sliced)
        else:
            return None
    return None


def _key(call: ast.Call) -> tuple[str, str] | None:
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    words += [k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)]
    parts = ".".join(str(word) for word in words).lower().split(".")
    return (parts[0], parts[1]) if len(parts) == 2 else None


def is_new_or_small(step: Step, query: Query) -> bool:
    if query.model in step.new_models:
        return True
    model = step.before.models.get(query.model) if query.model else None
    return model is not None and table_of(model) in SMALL


def is_bounded(step: Step, query: Query) -> bool:
    """Whether rows are named by a key, or cut off."""
    if query.sliced:
        return True
    keys = {"pk", "id"}
    model = step.before.models.get(query.model) if query.model else None
    if model is not None:
        keys |= {n for n, f in model.fields.items() if f.primary_key or f.unique}
    named = {
        keyword.arg
        for name, call in query.calls
        if name in _NARROWS - {"exclude"}
        for keyword in call.keywords
        if keyword.arg
    }
    return bool(
        named & {*keys, *(f"{key}__in" for key in keys), *(f"{key}__range" for key in keys)}
    )


def unbounded_writes(step: Step, source: Source) -> Iterator[tuple[Query, str]]:
    """Shape: (query, what is done: ``update``, ``delete`` or ``save of each row``)."""
    for call in source.calls:
        query = query_of(source, call)
        if query is None or query.last not in ("update", "delete", "_raw_delete"):
            continue
        if not is_new_or_small(step, query) and not is_bounded(step, query):
            yield query, query.last
    for node in source.nodes:
        if not isinstance(node, ast.For):
            continue
        query = query_of(source, node.iter)
        if query is None or is_new_or_small(step, query) or is_bounded(step, query):
            continue
        written = sorted(
            call.func.attr
            for statement in node.body
            for call in _calls(statement)
            if isinstance(call.func, ast.Attribute)
            and call.func.attr in _WRITES
            and not isinstance(call.func.value, ast.Dict)
        )
        if written:
            yield query, f"{written[0]}() for each row"


# Models and the rest ----------------------------------------------------------------------------


def real_models(source: Source) -> Iterator[str]:
    """Models of today's code that are used instead of those of the migration's time."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("models"):
            if not (node.module or "").startswith("django."):
                yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found = source.function.__globals__.get(node.id)
            if isinstance(found, type) and issubclass(found, Model) and found is not models.Model:
                yield node.id


def queries(source: Source) -> Iterator[Query]:
    for call in source.calls:
        query = query_of(source, call)
        if query is not None and query.calls:
            yield query


def says_which_database(source: Source) -> bool:
    """Whether it looks at ``schema_editor.connection``, by that name or any other."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("connection", "using", "db_manager")
        for node in source.nodes
    )


_NETWORK = ("requests", "httpx", "urllib", "urllib3", "aiohttp", "boto3", "smtplib", "socket")


def network_calls(source: Source) -> Iterator[str]:
    for call in source.calls:
        words = ast.unparse(call.func).split(".")
        module = source.function.__globals__.get(words[0])
        home = getattr(module, "__name__", "") or getattr(module, "__module__", "") or words[0]
        if home.split(".")[0] in _NETWORK or words[-1] in ("send_mail", "apply_async"):
            yield ".".join(words)
