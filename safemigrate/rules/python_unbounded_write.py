"""E161."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.models import F, Q

from safemigrate.operations import BatchedBackfill
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_reading import Query, sources, unbounded_writes


@rule("E161", "python-unbounded-write", operation=migrations.RunPython)
def python_unbounded_write(step: Step) -> Iterator[Finding]:
    """Code that changes as many rows as there are, in one transaction."""
    for source, backwards in sources(step):
        for query, done in unbounded_writes(step, source):
            name = query.model[1] if query.model else "a model"
            filled = None if backwards or done != "update" else _filled(step, query)
            yield Finding(
                what=f"{short(source.function.__name__)}() changes all of {short(name)}: {done}.",
                why=(
                    f"{short(ast.unparse(query.node), 120)} goes through any number of rows of "
                    f"{name}: each stays locked until the transaction ends, the application's "
                    "writes to them wait, and vacuum cannot clean up."
                ),
                instead=(filled,) if filled else None,
                steps=()
                if filled
                else (
                    "Use BatchedBackfill, which changes a few rows in each transaction and goes "
                    'on where it was stopped: function="path.of.a.function" for Python code.',
                ),
            )


def _filled(step: Step, query: Query) -> BatchedBackfill | None:
    """The same update in batches, where each of its parts is a value that can be read."""
    if query.model is None or query.model[0] != step.app_label:
        return None
    where = Q()
    values: dict[str, Any] = {}
    try:
        for name, call in query.calls:
            if call.args and name != "using":
                return None
            found = {str(k.arg): _value(k.value) for k in call.keywords}
            if name == "filter":
                where &= Q(**found)
            elif name == "exclude":
                where &= ~Q(**found)
            elif name == "update":
                values = found
            elif name not in ("all", "using"):
                return None
    except ValueError:
        return None
    model = step.before.models.get(query.model)
    return BatchedBackfill(model.name if model else query.model[1], values, where or None)


def _value(node: ast.expr) -> Any:
    """Raises: ValueError for what is neither a literal nor ``F("name")``."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "F":
        return F(ast.literal_eval(node.args[0]))
    return ast.literal_eval(node)
