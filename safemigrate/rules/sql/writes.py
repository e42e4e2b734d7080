"""INSERT, UPDATE, DELETE, SELECT: how many rows, and which functions."""

from __future__ import annotations

from typing import Any

from safemigrate.facts.functions import Kind, kind_of
from safemigrate.facts.grammar import Node, parts
from safemigrate.rules.sql.bounds import (
    SMALL,
    brings_many,
    constant,
    functions,
    is_bounded,
    is_limited,
    reads_a_table,
)
from safemigrate.rules.sql.context import Context, table_name


def update(ctx: Context, node: Node) -> None:
    _write(ctx, "update", node)


def delete(ctx: Context, node: Node) -> None:
    _write(ctx, "delete", node)


def _write(ctx: Context, key: str, node: Node) -> None:
    inner_statements(ctx, node)
    table = table_name(node["relation"])
    bounded = (table in SMALL and "where_clause" in node) or is_bounded(ctx, table, node)
    ctx.effect(f"{key}-bounded" if bounded and not ctx.in_loop else key, table)


def insert(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    table = table_name(node["relation"])
    many = ctx.in_loop or brings_many(ctx, node)
    ctx.effect("insert-select" if many and table not in SMALL else "insert", table)


def merge(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    ctx.effect("merge", table_name(node["relation"]))


def select(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    calls(ctx, node)
    if "into_clause" in node:
        table = table_name(node["into_clause"]["rel"])
        ctx.new |= {table, table.removeprefix("pg_temp.")}
        ctx.effect("create-table-as", "", new=not reads_a_table(ctx, node))
        return
    tables = [table_name(relation) for relation in parts(node.get("from_clause"), "range_var")]
    if "locking_clause" not in node:
        ctx.effect("select", tables[0] if tables else "")
        for inner in parts({key: node[key] for key in node if key != "with_clause"}, "select_stmt"):
            if "locking_clause" in inner:
                select(ctx, inner)
        return
    for table in tables[:1]:
        if is_limited(node, ctx.variables) or is_bounded(ctx, table, node):
            ctx.effect("select", table)
        else:
            ctx.effect("select-for-update", table)


def inner_statements(ctx: Context, node: Node) -> None:
    """Statements in WITH write like others."""
    for cte in parts(node.get("with_clause"), "common_table_expr"):
        ((kind, inner),) = cte.get("ctequery", {"select_stmt": {}}).items()
        writer = _WRITERS.get(kind)
        if writer:
            writer(ctx, inner)


_WRITERS = {
    "update_stmt": update,
    "delete_stmt": delete,
    "insert_stmt": insert,
    "merge_stmt": merge,
}


# Functions ------------------------------------------------------------------------------------


def calls(ctx: Context, node: Any) -> None:
    """What is called for what it does; of what nobody knows it cannot be told."""
    from safemigrate.rules.sql.code import body_of

    for name, call in functions(node):
        if name == "set_config":
            _set_config(ctx, call)
        elif name in ctx.functions:
            body_of(ctx, name)
        elif kind_of(name) is Kind.UNKNOWN and not name.startswith("st_"):
            ctx.unjudged(f"it calls {name}(), and what that does is not known here")
        elif kind_of(name) is Kind.ACTING:
            ctx.unjudged(f"{name}() does something to the server, not to a table")


def _set_config(ctx: Context, call: Node) -> None:
    args = [constant(arg) for arg in call.get("args", [])]
    if len(args) == 3 and args[0]:
        ctx.setting(args[0].lower(), args[1], args[2] == "true")
    else:
        ctx.unjudged("set_config() with a name that is not written there")
