"""How many rows a statement may be about, as far as its text says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import UniqueConstraint

from safemigrate.facts.grammar import Node, parts
from safemigrate.operations.reading import column_name
from safemigrate.rules.sql.context import Context, table_name

FEW = 10_000
"""As many rows as one statement may take; a batch is smaller."""
# Tables of Django's own that stay small in every project.
SMALL = frozenset(
    {"django_migrations", "django_content_type", "django_site", "auth_permission", "auth_group"}
)
_LOWER, _UPPER = (">", ">="), ("<", "<=")
_MIRRORED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "=": "="}
_EXPANDS = ("unnest", "array_elements", "_each", "to_table", "generate_subscripts")


def functions(node: Any) -> Iterator[tuple[str, Node]]:
    for call in parts(node, "func_call"):
        names = [one["string"].get("sval", "") for one in call.get("funcname", [])]
        yield names[-1].lower() if names else "", call


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


def is_bounded(ctx: Context, table: str, node: Node) -> bool:
    """Whether a statement's condition names rows of ``table`` by a key, so that they are few."""
    where = node.get("where_clause")
    if not where:
        return False
    named = _Sources(ctx, node).named(where)
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


def brings_many(ctx: Context, insert: Node) -> bool:
    """Whether an INSERT takes its rows from where they may be many."""
    source = insert.get("select_stmt", {}).get("select_stmt", {})
    sources = _Sources(ctx, insert)
    if sources.is_few(source):
        return False
    inside = [source, *(one for name, one in sources.ctes if name not in sources.few)]
    recursive = insert.get("with_clause", {}).get("recursive") or next(
        parts(source, "recursive"), False
    )
    return bool(recursive) or _series(inside) > FEW or reads_a_table(ctx, inside, sources.names)


def reads_a_table(ctx: Context, node: Any, names: frozenset[str] = frozenset()) -> bool:
    """
    Whether rows come from a table that is there, and so may be many.

    ``names``: of what a WITH around it has, which is no table.
    """
    own = names | {str(cte.get("ctename", "")).lower() for cte in parts(node, "common_table_expr")}
    tables = {table_name(relation) for relation in parts(node, "range_var")}
    return any(
        not ctx.is_new(table) and table not in own | SMALL and not table.startswith("pg_catalog.")
        for table in tables
    )


def is_limited(query: Node, variables: set[str]) -> bool:
    """Whether it says LIMIT and a number that is small; of a block's variable that is assumed."""
    limit = query.get("limit_count")
    if limit is None or query.get("limit_option") == "LIMIT_OPTION_WITH_TIES":
        return False
    rows = _number(limit)
    return _is_variable(limit, variables) if rows is None else rows <= FEW


@dataclass
class _Sources:
    """One statement, and what in it gives a few rows whatever is in the tables."""

    ctx: Context
    node: Node
    outer: frozenset[str] = frozenset()

    @cached_property
    def ctes(self) -> list[tuple[str, Node]]:
        written = self.node.get("with_clause", {}).get("ctes", [])
        found = [one["common_table_expr"] for one in written]
        return [(str(one.get("ctename", "")).lower(), one.get("ctequery", {})) for one in found]

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.ctes) | self.outer

    @cached_property
    def few(self) -> frozenset[str]:
        """The names in WITH of what gives a few rows; each may use those before it."""
        found = self.outer
        for name, query in self.ctes:
            for kind, inner in query.items():
                if _Sources(self.ctx, inner, found)._gives_few(kind):
                    found |= {name}
        return found

    def _gives_few(self, kind: str) -> bool:
        if kind == "select_stmt":
            return self.is_few(self.node)
        if kind in ("update_stmt", "delete_stmt"):
            return is_bounded(self.ctx, table_name(self.node["relation"]), self.node)
        return kind == "insert_stmt" and not brings_many(self.ctx, self.node)

    def is_few(self, query: Node) -> bool:
        """Whether a SELECT gives a few rows."""
        if is_limited(query, self.ctx.variables) or "values_lists" in query:
            return True
        if "larg" in query:
            return all(
                _Sources(self.ctx, query[side], self.few).is_few(query[side])
                for side in ("larg", "rarg")
            )
        if _series(query) > FEW:
            return False
        inside = self if query is self.node else _Sources(self.ctx, query, self.few)
        start = query.get("from_clause", [])
        if not start:
            expands = any(name.endswith(_EXPANDS) for name, _ in functions(query))
            return not (expands and reads_a_table(self.ctx, query, self.names))
        return len(start) == 1 and inside._is_few_in_from(start[0], query)

    def _is_few_in_from(self, source: Node, query: Node) -> bool:
        if "range_subselect" in source:
            inner = source["range_subselect"].get("subquery", {}).get("select_stmt", {})
            return self.is_few(inner)
        if "range_var" in source:
            one = source["range_var"]
            if str(one.get("relname", "")).lower() in self.few and "schemaname" not in one:
                return True
            return is_bounded(self.ctx, table_name(one), query)
        return "range_function" in source and not reads_a_table(self.ctx, source, self.names)

    # The condition ------------------------------------------------------------------------------

    @cached_property
    def beside(self) -> frozenset[str]:
        """What FROM or USING calls that which gives a few rows."""
        found = set()
        for source in [*self.node.get("from_clause", []), *self.node.get("using_clause", [])]:
            if "relation" in self.node and len(source) == 1 and self._is_few_in_from(source, {}):
                ((_, one),) = source.items()
                found.add(_called(one))
        return frozenset(found)

    @cached_property
    def own(self) -> str:
        """What the statement calls the table it is about."""
        first: Node = next(parts(self.node.get("from_clause"), "range_var"), {})
        return _called(self.node.get("relation", first))

    def named(self, where: Node) -> set[str]:
        """The columns that a condition gives one value, or a few."""
        if where.get("bool_expr", {}).get("boolop") == "OR_EXPR":
            return set.intersection(*map(self.named, where["bool_expr"].get("args", [])))
        found: set[str] = set()
        ends: dict[str, tuple[list[Node], list[Node]]] = {}
        for one in _conjuncts(where):
            if one.get("bool_expr", {}).get("boolop") == "OR_EXPR":
                found |= self.named(one)
            elif "sub_link" in one:
                found |= self._named_by_query(one["sub_link"])
            elif "a_expr" in one:
                found |= self._named_by_value(one["a_expr"])
                for column, side, end in self._ends(one["a_expr"]):
                    ends.setdefault(column, ([], []))[side].append(end)
        return found | {column for column, (low, high) in ends.items() if self._is_near(low, high)}

    def _named_by_query(self, link: Node) -> set[str]:
        """``id IN (SELECT ... LIMIT n)``."""
        equal = link.get("oper_name", _EQUAL) == _EQUAL
        if link.get("sub_link_type") == "ANY_SUBLINK" and equal and self._is_few_inside(link):
            return self._columns(link.get("testexpr", {}))
        return set()

    def _is_few_inside(self, link: Node) -> bool:
        query = link.get("subselect", {}).get("select_stmt", {})
        return not self._is_correlated(query) and self.is_few(query)

    def _named_by_value(self, expression: Node) -> set[str]:
        kind, left, right = expression.get("kind"), *_sides(expression)
        if expression.get("name") != _EQUAL:
            return set()
        if kind == "AEXPR_OP":
            return {
                name
                for column, value in ((left, right), (right, left))
                if self._is_one_value(value)
                for name in self._columns(column)
            }
        if kind == "AEXPR_OP_ANY" and right.get("sub_link", {}).get("sub_link_type") == _ARRAY:
            return self._columns(left) if self._is_few_inside(right["sub_link"]) else set()
        few = kind in ("AEXPR_IN", "AEXPR_OP_ANY") and self._is_one_value(right)
        return self._columns(left) if few else set()

    def _ends(self, expression: Node) -> Iterator[tuple[str, int, Node]]:
        """Shape: (column, 0 for the lower end and 1 for the upper, where it is)."""
        kind, left, right = expression.get("kind"), *_sides(expression)
        if kind == "AEXPR_BETWEEN":
            for side, end in enumerate(right.get("list", {}).get("items", [])):
                yield from ((column, side, end) for column in self._columns(left))
        elif kind == "AEXPR_OP":
            operator = expression["name"][-1].get("string", {}).get("sval", "")
            mirrored = _MIRRORED.get(operator, "")
            for column, sign, end in ((left, operator, right), (right, mirrored, left)):
                if sign in _LOWER + _UPPER:
                    yield from ((name, int(sign in _UPPER), end) for name in self._columns(column))

    def _is_near(self, lower: list[Node], upper: list[Node]) -> bool:
        """Whether a few keys lie between; of two variables of a block that is assumed."""
        both = [*lower, *upper]
        if not (lower and upper) or not all(map(self._is_one_value, both)):
            return False
        if any(end.get("a_const", {}).get("isnull") for end in both):
            return True
        low, high = ([n for n in map(_number, ends) if n is not None] for ends in (lower, upper))
        if low and high:
            return min(high) - max(low) <= FEW
        return all(
            any(_is_variable(end, self.ctx.variables) for end in ends) for ends in (lower, upper)
        )

    def _columns(self, node: Node) -> set[str]:
        """The columns of this table that stand there, alone or as a row."""
        if "row_expr" in node:
            return {name for one in node["row_expr"].get("args", []) for name in self._columns(one)}
        words = _words(node.get("column_ref", {}))
        if not words or (len(words) > 1 and words[-2] != self.own):
            return set()
        return {words[-1]}

    def _is_one_value(self, node: Any) -> bool:
        """Whether a value is the same for each row of the table, or of few that are beside it."""
        if isinstance(node, list):
            return all(map(self._is_one_value, node))
        if not isinstance(node, dict):
            return True
        if "sub_link" in node:
            link = node["sub_link"]
            return link.get("sub_link_type") == "EXPR_SUBLINK" and not self._is_correlated(
                link.get("subselect")
            )
        if "column_ref" in node:
            words = _words(node["column_ref"])
            beside = len(words) > 1 and words[-2] in self.beside
            return beside or bool(words and words[0] in self.ctx.variables)
        return all(map(self._is_one_value, node.values()))

    def _is_correlated(self, query: Any) -> bool:
        """Whether a query asks about the row that is being looked at."""
        inside = {_called(one) for one in parts(query, "range_var")}
        references = (_words(one) for one in parts(query, "column_ref"))
        return self.own not in inside and any(
            len(words) > 1 and words[-2] == self.own for words in references
        )


_EQUAL = [{"string": {"sval": "="}}]
_ARRAY = "ARRAY_SUBLINK"


def _sides(expression: Node) -> tuple[Node, Node]:
    return expression.get("lexpr", {}), expression.get("rexpr", {})


def _conjuncts(where: Node) -> Iterator[Node]:
    if where.get("bool_expr", {}).get("boolop") == "AND_EXPR":
        for one in where["bool_expr"].get("args", []):
            yield from _conjuncts(one)
    else:
        yield where


def _called(source: Node) -> str:
    """By its alias, or by its name."""
    alias = source.get("alias", {}).get("aliasname")
    return str(alias or source.get("relname", "")).lower()


def _words(reference: Node) -> list[str]:
    fields = reference.get("fields", [])
    return [str(one["string"].get("sval", "")).lower() for one in fields if "string" in one]


def _is_variable(node: Any, variables: set[str]) -> bool:
    """Whether it is put together from variables of the block around it."""
    first = [_words(one)[:1] for one in parts({"value": node}, "column_ref")]
    return bool(first) and all(words and words[0] in variables for words in first)


def _number(node: Node) -> float | None:
    """What a number comes to that is written there, also as ``5 * 1000``."""
    if "a_expr" in node and node["a_expr"].get("kind") == "AEXPR_OP":
        left, right = map(_number, _sides(node["a_expr"]))
        sign = node["a_expr"]["name"][-1].get("string", {}).get("sval")
        if left is None or right is None or sign not in ("+", "-", "*"):
            return None
        return left * right if sign == "*" else left + (right if sign == "+" else -right)
    said = constant(node)
    for read in (float, lambda text: float(int(text, 0))):
        try:
            found = read(said or "")
        except (ValueError, OverflowError):
            continue
        return found if math.isfinite(found) else None
    return None


def _series(node: Any) -> float:
    """How many rows generate_series() gives where it is counted in numbers; 1 for others."""
    rows = 1.0
    for name, call in functions(node):
        if name == "generate_series":
            start, end, step = ([_number(one) for one in call.get("args", [])] + [None] * 3)[:3]
            if start is not None and end is not None:
                rows *= max(1.0, abs(end - start) / (abs(step or 1) or 1))
    return rows
