"""INSERT, UPDATE, DELETE, SELECT: how many rows, and which functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import UniqueConstraint

from safemigrate.facts.functions import Kind, kind_of
from safemigrate.facts.grammar import Node, parts
from safemigrate.operations.reading import column_name
from safemigrate.rules.sql.context import Context, table_name

FEW = 10_000
"""As many rows as one statement may take; a batch is smaller."""
# Tables of Django's own that stay small in every project.
SMALL = frozenset(
    {"django_migrations", "django_content_type", "django_site", "auth_permission", "auth_group"}
)


def update(ctx: Context, node: Node) -> None:
    _write(ctx, "update", node)


def delete(ctx: Context, node: Node) -> None:
    _write(ctx, "delete", node)


def _write(ctx: Context, key: str, node: Node) -> None:
    inner_statements(ctx, node)
    table = table_name(node["relation"])
    where = node.get("where_clause")
    bounded = (table in SMALL and bool(where)) or is_bounded(ctx, table, where)
    ctx.effect(f"{key}-bounded" if bounded and not ctx.in_loop else key, table)


def insert(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    table = table_name(node["relation"])
    source = node.get("select_stmt", {}).get("select_stmt", {})
    many = _reads_a_table(ctx, source) and not _is_limited(source)
    ctx.effect("insert-select" if (many or ctx.in_loop) and table not in SMALL else "insert", table)


def merge(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    ctx.effect("merge", table_name(node["relation"]))


def select(ctx: Context, node: Node) -> None:
    inner_statements(ctx, node)
    calls(ctx, node)
    if "into_clause" in node:
        table = table_name(node["into_clause"]["rel"])
        ctx.new |= {table, table.removeprefix("pg_temp.")}
        ctx.effect("create-table-as", "", new=not _reads_a_table(ctx, node))
        return
    tables = [table_name(relation) for relation in parts(node.get("from_clause"), "range_var")]
    if "locking_clause" not in node:
        ctx.effect("select", tables[0] if tables else "")
        for inner in parts({key: node[key] for key in node if key != "with_clause"}, "select_stmt"):
            if "locking_clause" in inner:
                select(ctx, inner)
        return
    for table in tables[:1]:
        if _is_limited(node) or is_bounded(ctx, table, node.get("where_clause")):
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


def functions(node: Any) -> Iterator[tuple[str, Node]]:
    for call in parts(node, "func_call"):
        names = [one["string"].get("sval", "") for one in call.get("funcname", [])]
        yield names[-1].lower() if names else "", call


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


def constant(node: Node) -> str | None:
    """A literal's text; None for anything else."""
    if "type_cast" in node:
        return constant(node["type_cast"].get("arg", {}))
    if "a_const" not in node:
        return None
    value = node["a_const"]
    if "sval" in value:
        return str(value["sval"].get("sval", ""))
    if "ival" in value:
        return str(value["ival"].get("ival", 0))
    if "boolval" in value:
        return "true" if value["boolval"].get("boolval") else "false"
    if "fval" in value:
        return str(value["fval"].get("fval", ""))
    return None


# Bounds ---------------------------------------------------------------------------------------


def _reads_a_table(ctx: Context, source: Node) -> bool:
    """Whether rows come from a table that is there, and so may be many."""
    own = {str(cte.get("ctename", "")).lower() for cte in parts(source, "common_table_expr")}
    tables = {table_name(relation) for relation in parts(source, "range_var")}
    return any(
        not ctx.is_new(table) and table not in own | SMALL and not table.startswith("pg_catalog.")
        for table in tables
    )


def is_bounded(ctx: Context, table: str, where: Node | None) -> bool:
    """Whether a condition names rows by a key, so that they are few."""
    if not where:
        return False
    named = set(_named(where, ctx.variables))
    return any(key <= named for key in keys_of(ctx, table))


def keys_of(ctx: Context, table: str) -> list[set[str]]:
    """The columns of each key; of a table without a model, what a key is usually called."""
    model = ctx.model(table)
    keys = [{"ctid"}]
    if model is None:
        return [*keys, {"id"}, {"uuid"}, {"pk"}]
    fields = {n: f for n, f in model.fields.items() if not getattr(f, "many_to_many", False)}
    groups = [
        *((name,) for name, found in fields.items() if found.primary_key or found.unique),
        *(model.options.get("unique_together") or ()),
        *(
            constraint.fields
            for constraint in model.options.get("constraints") or ()
            if isinstance(constraint, UniqueConstraint) and constraint.condition is None
        ),
    ]
    keys += [
        {str(column_name(fields[name], name)).lower() for name in group}
        for group in groups
        if fields.keys() >= {*group}
    ]
    return [key for key in keys if key]


def _named(where: Node, variables: set[str]) -> Iterator[str]:
    """The columns that a condition gives one value, or a few."""
    if "bool_expr" in where:
        if where["bool_expr"].get("boolop") == "AND_EXPR":
            for arg in where["bool_expr"].get("args", []):
                yield from _named(arg, variables)
        return
    if "sub_link" in where:
        yield from _named_by_query(where["sub_link"])
    elif "a_expr" in where:
        yield from _named_by_value(where["a_expr"], variables)


def _named_by_query(link: Node) -> Iterator[str]:
    """``id IN (SELECT ... LIMIT n)``."""
    query = link.get("subselect", {}).get("select_stmt", {})
    if link.get("sub_link_type") == "ANY_SUBLINK" and _is_limited(query):
        yield from _column(link.get("testexpr", {}))


def _named_by_value(expression: Node, variables: set[str]) -> Iterator[str]:
    kind = expression.get("kind")
    operator = [name["string"]["sval"] for name in expression.get("name", []) if "string" in name]
    left, right = expression.get("lexpr", {}), expression.get("rexpr", {})
    few = kind in ("AEXPR_IN", "AEXPR_OP_ANY") and operator == ["="]
    one = kind == "AEXPR_OP" and operator == ["="]
    if kind == "AEXPR_BETWEEN" or few:
        if not _has_column(right, variables) and _span(right) <= FEW:
            yield from _column(left)
    elif one:
        for column, value in ((left, right), (right, left)):
            if "sub_link" in value or not _has_column(value, variables):
                yield from _column(column)


def _is_limited(query: Node) -> bool:
    """Whether it says LIMIT, and not for show: ALL, or more rows than one statement should take."""
    limit = query.get("limit_count")
    if limit is None or limit.get("a_const", {}).get("isnull"):
        return False
    said = constant(limit)
    return said is None or not said.isdigit() or int(said) <= FEW


def _span(node: Node) -> int:
    """How many numbers lie between two that are written there."""
    ends = [constant(one) or "" for one in node.get("list", {}).get("items", [])]
    if len(ends) != 2 or not all(end.lstrip("-").isdigit() for end in ends):
        return 0
    return int(ends[1]) - int(ends[0])


def _has_column(node: Any, variables: set[str]) -> bool:
    """Whether a value may be another in each row."""
    for reference in parts({"value": node}, "column_ref"):
        first = reference.get("fields", [{}])[0].get("string", {}).get("sval", "")
        if first.lower() not in variables:
            return True
    return next(parts({"value": node}, "sub_link"), None) is not None


def _column(node: Node) -> Iterator[str]:
    fields = node.get("column_ref", {}).get("fields", [])
    if fields and "string" in fields[-1]:
        yield str(fields[-1]["string"].get("sval", "")).lower()
