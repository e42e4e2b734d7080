"""
SQL as PostgreSQL itself reads it; the one module that knows which parser is underneath.

The grammar is that of PostgreSQL 18. Where the parser cannot be imported nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

Node = dict[str, Any]


class Unparsable(Exception):
    """The text is no SQL of PostgreSQL's, or nobody can read it here; says which."""


@dataclass(frozen=True)
class Statement:
    """
    ``kind``: as in PostgreSQL's grammar, ``alter_table_stmt``. ``node``: what it says; what has
    its default value is left out. ``text``: as it was written.
    """

    kind: str
    node: Node
    text: str


@lru_cache(maxsize=4096)
def statements(sql: str) -> tuple[Statement, ...]:
    """
    Every statement of a text, in order; none for comments and white space.

    Raises: Unparsable.
    """
    if "\0" in sql:
        raise Unparsable("a NUL stands in it, and what follows could not be read")
    parser, as_dict = _parser()
    try:
        tree = as_dict(parser.parse(sql))
    except Exception as error:
        raise Unparsable(str(error) or type(error).__name__) from error
    raw = sql.encode()
    return tuple(_statement(one, raw) for one in tree.get("stmts", ()))


def _statement(raw_statement: Node, raw: bytes) -> Statement:
    ((kind, node),) = raw_statement["stmt"].items()
    start = raw_statement.get("stmt_location", 0)
    end = start + raw_statement["stmt_len"] if "stmt_len" in raw_statement else len(raw)
    return Statement(kind, node, raw[start:end].decode().strip())


def numbers(sql: str) -> list[str]:
    """
    The numbers of a text as they are written there; the tree has only what they come to.

    Raises: Unparsable.
    """
    parser, _ = _parser()
    raw = sql.encode()
    try:
        tokens = parser.scan(sql).tokens
    except Exception as error:
        raise Unparsable(str(error) or type(error).__name__) from error
    kinds = parser.pg_query_pb2.Token
    return [
        raw[one.start : one.end].decode()
        for one in tokens
        if one.token in (kinds.ICONST, kinds.FCONST)
    ]


def plpgsql(function: str) -> list[Node]:
    """
    What the body of a CREATE FUNCTION or PROCEDURE holds; SQL in it is text.

    Raises: Unparsable; also for a trigger's, of which the parser tells nothing that can be read.
    """
    parser, _ = _parser()
    try:
        found: list[Node] = parser.parse_plpgsql(function)
    except Exception as error:
        raise Unparsable(str(error) or type(error).__name__) from error
    return found


def as_function(body: str) -> str:
    """A block of DO as a function that could be called."""
    tag = "$body$"
    while tag in body:
        tag = f"{tag[:-1]}y$"
    return f"CREATE PROCEDURE block() LANGUAGE plpgsql AS {tag}{body}{tag}"


@cache
def _parser() -> tuple[Any, Any]:
    # Late: a check in which nothing is new loads no parser.
    try:
        import postgast
        from google.protobuf.json_format import MessageToDict
    except ImportError as error:
        raise Unparsable(f"the parser is not installed ({error}); pip install postgast") from error
    return postgast, lambda tree: MessageToDict(tree, preserving_proto_field_name=True)


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Every named part of a tree, the outer before the inner."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def parts(node: Any, name: str) -> Iterator[Any]:
    """Every part of that name, at any depth."""
    return (value for found, value in walk(node) if found == name)


def words(names: list[Node]) -> str:
    """A qualified name: ``shop.order``."""
    return ".".join(one["string"].get("sval", "") for one in names if "string" in one)
