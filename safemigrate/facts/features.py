"""
What a statement may say only since a certain version of PostgreSQL.

Whole statements that came later are in ``statements.py``. tests/facts/test_features.py runs a
sample of each on the servers at hand: one that is older must refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from safemigrate.facts.grammar import Node, walk, words


@dataclass(frozen=True)
class Feature:
    """
    ``words``: as people say it. ``since``: the first version that has it. ``function``: if it is
    one, which may be there before that under the same name.
    """

    words: str
    since: int
    function: str = ""


NOT_VALID_PARTED = Feature("NOT VALID foreign key of a partitioned table", 18)
_SAID = {
    "nulls_not_distinct": Feature("NULLS NOT DISTINCT", 15),
    "fk_del_set_cols": Feature("ON DELETE SET NULL (columns)", 15),
    "storage_name": Feature("STORAGE in a column definition", 16),
    "without_overlaps": Feature("WITHOUT OVERLAPS", 18),
    "fk_with_period": Feature("FOREIGN KEY (..., PERIOD ...)", 18),
    "alter_enforceability": Feature("ALTER CONSTRAINT ... ENFORCED", 18),
    "alter_inheritability": Feature("ALTER CONSTRAINT ... INHERIT", 18),
    "returning_option": Feature("RETURNING WITH", 18),
}
"""By the name that the grammar gives it; it is there only where it is said."""

_WITH_VALUE = {
    ("generated_kind", "v"): Feature("GENERATED ... VIRTUAL", 18),
    ("match_kind", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE"): Feature("NOT MATCHED BY SOURCE", 17),
    ("defname", "security_invoker"): Feature("security_invoker of a view", 15),
    ("defname", "on_error"): Feature("COPY ... ON_ERROR", 17),
}
_NOT_ENFORCED = Feature("NOT ENFORCED", 18)
_TABLE_NOT_NULL = Feature("NOT NULL as a constraint of the table", 18)
_PUBLISHED = Feature("FOR TABLE ... WHERE or (columns)", 15)
_MERGE_RETURNING = Feature("MERGE ... RETURNING", 17)

_FUNCTIONS = {
    **dict.fromkeys(("any_value", "array_sample", "array_shuffle", "erf", "random_normal"), 16),
    "pg_input_is_valid": 16,
    **dict.fromkeys(("to_bin", "to_oct"), 17),
    **dict.fromkeys(("array_reverse", "array_sort", "casefold", "crc32", "gamma"), 18),
    **dict.fromkeys(("uuidv4", "uuidv7"), 18),
}


def features(kind: str, node: Node) -> Iterator[Feature]:
    """Everything in a statement that the oldest version does not have."""
    if kind == "merge_stmt" and "returning_clause" in node:
        yield _MERGE_RETURNING
    for name, value in walk(node):
        if found := _SAID.get(name):
            yield found
        elif isinstance(value, str):
            if found := _WITH_VALUE.get((name, value)):
                yield found
        elif name == "constraint":
            yield from _of_constraint(value)
        elif name == "pubtable" and {"where_clause", "columns"} & set(value):
            yield _PUBLISHED
        elif name == "func_call":
            yield from _of_function(value.get("funcname", []))


def _of_constraint(constraint: Node) -> Iterator[Feature]:
    kind = constraint.get("contype")
    if kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and "is_enforced" not in constraint:
        yield _NOT_ENFORCED
    if kind == "CONSTR_ATTR_NOT_ENFORCED":  # in a column definition
        yield _NOT_ENFORCED
    if kind == "CONSTR_NOTNULL" and "keys" in constraint:
        yield _TABLE_NOT_NULL


def _of_function(names: Any) -> Iterator[Feature]:
    schema, _, name = words(names).lower().rpartition(".")
    if schema in ("", "pg_catalog") and name in _FUNCTIONS:
        yield Feature(f"{name}()", _FUNCTIONS[name], name)
