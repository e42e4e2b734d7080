"""DO blocks and functions: the SQL in them, as far as it is written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from safemigrate.facts.grammar import (
    Node,
    Unparsable,
    as_function,
    parts,
    plpgsql,
    statements,
    words,
)
from safemigrate.rules.sql import writes
from safemigrate.rules.sql.bounds import constant
from safemigrate.rules.sql.context import UNKNOWN_NAME, Context, dotted

_SQL_LANGUAGES = ("sql", "plpgsql")
_IN_THE_GRAMMAR = "BEGIN ATOMIC"  # a body that is no text, but read with the statement
_LOOPS = (
    "PLpgSQL_stmt_fors",
    "PLpgSQL_stmt_loop",
    "PLpgSQL_stmt_while",
    "PLpgSQL_stmt_fori",
    "PLpgSQL_stmt_foreach_a",
    "PLpgSQL_stmt_forc",
    "PLpgSQL_stmt_dynfors",
)


def do(ctx: Context, node: Node) -> None:
    args = {
        one["def_elem"]["defname"]: one["def_elem"].get("arg", {}) for one in node.get("args", [])
    }
    language = str(args.get("language", {}).get("string", {}).get("sval", "plpgsql")).lower()
    body = str(args.get("as", {}).get("string", {}).get("sval", ""))
    _body(ctx, language, as_function(body))


def create_function(ctx: Context, node: Node) -> None:
    """Making one does nothing yet; its body is read where it is called."""
    options = {
        one["def_elem"]["defname"]: one["def_elem"].get("arg", {})
        for one in node.get("options", [])
    }
    language = str(options.get("language", {}).get("string", {}).get("sval", "sql")).lower()
    body = "".join(
        str(one.get("string", {}).get("sval", ""))
        for one in options.get("as", {}).get("list", {}).get("items", [])[:1]
    )
    name = dotted(node.get("funcname", []))
    if language == "plpgsql":
        body = ctx.source
    elif "sql_body" in node:
        language, body = _IN_THE_GRAMMAR, ctx.source
    ctx.functions |= {name.rpartition(".")[2]: (language, body), name: (language, body)}
    returns = words(node.get("return_type", {}).get("names", [])).rpartition(".")[2].lower()
    if language in _SQL_LANGUAGES and body and returns not in ("trigger", "event_trigger"):
        _must_parse(ctx, language, body)
    ctx.effect("harmless", "", name)


def _must_parse(ctx: Context, language: str, body: str) -> None:
    try:
        _ = plpgsql(body) if language == "plpgsql" else statements(body)
    except Unparsable as error:
        ctx.unjudged(f"the function's body cannot be read ({error})")


def call(ctx: Context, node: Node) -> None:
    writes.calls(ctx, {"func_call": node.get("funccall", {})})


def body_of(ctx: Context, name: str) -> None:
    """Judge a function made in this migration where it is called."""
    if ctx.depth > 5:
        ctx.unjudged("it calls itself")
        return
    ctx.depth += 1
    _body(ctx, *ctx.functions[name])
    ctx.depth -= 1


def _body(ctx: Context, language: str, body: str) -> None:
    if language == "sql":
        ctx.inner(body)
    elif language == _IN_THE_GRAMMAR:
        _written_out(ctx, statements(body)[0].node["sql_body"])
    elif language == "plpgsql":
        try:
            found = plpgsql(body)
        except Unparsable as error:
            ctx.unjudged(f"the block cannot be read ({error})")
            return
        ctx.variables |= {str(name).lower() for name in parts(found, "refname")}
        commits = next(parts(found, "PLpgSQL_stmt_commit"), None) is not None
        if commits:
            ctx.transaction("commit inside")
        _statements(ctx, found, commits)
    else:
        ctx.unjudged(f"it is written in {language}")


def _written_out(ctx: Context, node: Node) -> None:
    """``BEGIN ATOMIC ...; END``, or ``RETURN`` and an expression."""
    from safemigrate.rules.sql.statements import read

    ((kind, inner),) = node.items()
    if kind == "list":
        for one in inner.get("items", []):
            _written_out(ctx, one)
    elif kind == "return_stmt":
        writes.calls(ctx, inner)
    else:
        read(ctx, kind, inner)


def _statements(ctx: Context, node: Any, commits: bool) -> None:
    """Every statement of a block, in order; in a loop each may run once for every row."""
    if isinstance(node, list):
        for one in node:
            _statements(ctx, one, commits)
        return
    if not isinstance(node, dict):
        return
    for kind, inner in node.items():
        if kind == "dynquery" or kind == "PLpgSQL_stmt_dynfors":
            expression = inner if kind == "dynquery" else inner.get("query", {})
            _execute(ctx, expression.get("PLpgSQL_expr", {}).get("query", ""))
        if kind in _LOOPS:
            was, ctx.in_loop = ctx.in_loop, not commits
            _statements(ctx, inner, commits)
            ctx.in_loop = was
        elif kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_return_query_execute"):
            _execute(ctx, inner.get("query", {}).get("PLpgSQL_expr", {}).get("query", ""))
        elif kind == "PLpgSQL_expr":
            _expression(ctx, inner)
        else:
            _statements(ctx, inner, commits)


def _expression(ctx: Context, expression: Node) -> None:
    """``parseMode`` 0 is a statement, 2 an expression, 3 and above an assignment."""
    query, mode = str(expression.get("query", "")), expression.get("parseMode", 0)
    if mode == 0:
        ctx.inner(query)
        return
    if mode >= 3:
        query = re.split(r":?=", query, maxsplit=1)[-1]
    try:
        for statement in statements(f"SELECT {query}"):
            writes.calls(ctx, statement.node)
    except Unparsable:
        ctx.unjudged("an expression in the block cannot be read")


# EXECUTE ----------------------------------------------------------------------------------------


def _execute(ctx: Context, expression: str) -> None:
    """A text that is written there, with names that come in at run time or without."""
    try:
        found = statements(f"SELECT {expression}")
        value = found[0].node["target_list"][0]["res_target"]["val"]
        text = "".join(_pieces(value))
    except (Unparsable, _AtRunTimeError, KeyError, IndexError):
        ctx.unjudged("EXECUTE runs a text that is put together at run time")
        return
    ctx.inner(text)


class _AtRunTimeError(Exception):
    """A piece of SQL that is known only at run time and may be anything."""


_ARGUMENT = re.compile(r"%(?:\d+\$)?-?\d*([IsL%])")


def _pieces(node: Node) -> Iterator[str]:
    text = constant(node)
    if text is not None:
        yield text
    elif "a_expr" in node and node["a_expr"].get("name") == [{"string": {"sval": "||"}}]:
        yield from _pieces(node["a_expr"]["lexpr"])
        yield from _pieces(node["a_expr"]["rexpr"])
    elif "func_call" in node:
        yield _called(node["func_call"])
    else:
        raise _AtRunTimeError


def _called(call: Node) -> str:
    name = call["funcname"][-1]["string"]["sval"]
    args = call.get("args", [])
    if name == "quote_ident":
        return UNKNOWN_NAME
    if name in ("quote_literal", "quote_nullable"):
        return "''"
    template = constant(args[0]) if name == "format" and args else None
    if template is None or "s" in _ARGUMENT.findall(template):
        raise _AtRunTimeError
    given = iter(args[1:])

    def put(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        known = constant(next(given, {}))
        if found[1] == "L":
            return "''"
        return f'"{known}"' if known else UNKNOWN_NAME

    return _ARGUMENT.sub(put, template)
