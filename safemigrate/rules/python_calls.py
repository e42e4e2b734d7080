"""What a function of RunPython uses beside its own queries: models, connections, other machines."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from django.db import models
from django.db.models import Model

from safemigrate.rules.python_reading import Query, Source, got_from, query_of


def real_models(source: Source) -> Iterator[str]:
    """Models of today's code that are used instead of those of the migration's time."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("models"):
            if not (node.module or "").startswith(("django.db.", "django.contrib.gis.db.")):
                yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_user_model"):
            yield "get_user_model()"
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


_NETWORK = (
    "subprocess",
    "requests",
    "httpx",
    "urllib",
    "urllib3",
    "aiohttp",
    "boto3",
    "smtplib",
    "socket",
)


def network_calls(source: Source) -> Iterator[str]:
    for call in source.calls:
        words = ast.unparse(call.func).split(".")
        module = source.function.__globals__.get(words[0])
        home = getattr(module, "__name__", "") or getattr(module, "__module__", "") or words[0]
        waits = words[-1] in ("send_mail", "apply_async", "delay") or words == ["os", "system"]
        if home.split(".")[0] in _NETWORK or waits:
            yield ".".join(words)


def sleeps(source: Source, in_transaction: bool) -> Iterator[str]:
    """Where a transaction does nothing for a time; one that the code begins itself, too."""
    for call in source.calls if in_transaction else _in_atomic_blocks(source):
        words = ast.unparse(call.func).split(".")
        known = source.function.__globals__.get(words[0])
        if words[-1] == "sleep" and getattr(known, "__name__", "time") in ("time", "sleep"):
            yield ".".join(words)


def _in_atomic_blocks(source: Source) -> Iterator[ast.Call]:
    for block in (node for node in source.nodes if isinstance(node, ast.With)):
        if any("atomic" in ast.unparse(item.context_expr) for item in block.items):
            yield from (node for node in ast.walk(block) if isinstance(node, ast.Call))


def uses_the_database(source: Source) -> bool:
    sends = ("execute", "executemany", "save", "delete")
    return any(queries(source)) or any(
        isinstance(call.func, ast.Attribute) and call.func.attr in sends for call in source.calls
    )


def opaque_calls(source: Source) -> Iterator[str]:
    """Calls of what may do anything."""
    for call in source.calls:
        name = ast.unparse(call.func)
        if name.rpartition(".")[2] == "call_command" or name in ("exec", "eval"):
            yield name
        elif any(query_of(source, rows) for rows in got_from(call.func)[:1]):
            yield "getattr"  # of rows, by a name that is known as it runs: it may be update
