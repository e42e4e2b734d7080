"""
Statements of Django's own schema editor that it has no public name for.

They are the same in Django 5.2, 6.0 and 6.1 (``django/db/backends/base/schema.py``), and making
ours of them keeps every name equal to the one that plain Django would give. Until an operation of
Django's makes them concurrently, this is the one place that knows their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.utils import split_identifier
from django.db.models import UniqueConstraint
from django.db.models.expressions import OrderBy
from django.db.models.sql import Query

from safemigrate.backends.fields import columns_of, has_index

if TYPE_CHECKING:
    from django.db.backends.ddl_references import Statement
    from django.db.models import CheckConstraint, Field, Model


def index_of(
    editor: Any, model: type[Model], field: Field[Any, Any], **words: bool
) -> Statement | None:
    """What ``db_index=True`` makes, or None where ``unique`` makes it superfluous."""
    if not has_index(field) or field.unique:
        return None
    statement: Statement = editor._create_index_sql(model, fields=[field], **words)
    return statement


def like_index_of(editor: Any, model: type[Model], field: Field[Any, Any]) -> Statement | None:
    """The second index of text on PostgreSQL, for LIKE in every locale."""
    statement: Statement | None = editor._create_like_index_sql(model, field)
    if statement is not None:
        # Django offers no concurrent form of this one; only the template differs.
        statement.template = editor.sql_create_index_concurrently
    return statement


def unique_of(editor: Any, model: type[Model], field: Field[Any, Any]) -> Statement:
    statement: Statement = editor._create_unique_sql(model, [field])
    return statement


UNIQUE_INDEX = (
    "CREATE UNIQUE INDEX CONCURRENTLY %(name)s ON %(table)s "
    "(%(columns)s)%(include)s%(nulls_distinct)s%(condition)s"
)


def is_backed(unique: UniqueConstraint) -> bool:
    """Whether Django makes it a constraint; otherwise it is a unique index and no more."""
    made: Any = unique
    return not (made.condition or made.include or made.opclasses or made.expressions)


def unique_index_of(
    editor: Any, model: type[Model], unique: UniqueConstraint, name: str
) -> Statement | None:
    """The index that ``unique`` is or rests on; None if the server is too old for it."""
    statement: Any = unique.create_sql(model, editor)
    if statement is None:
        return None
    # Django offers no concurrent form; only the template differs, the parts are the same.
    statement.template = UNIQUE_INDEX
    statement.parts["name"] = editor.quote_name(name)
    found: Statement = statement
    return found


def deferrable_of(editor: Any, unique: UniqueConstraint) -> str:
    return str(editor._deferrable_constraint_sql(unique.deferrable))


def unique_together_of(editor: Any, model: type[Model], names: Sequence[str]) -> UniqueConstraint:
    """One tuple of ``unique_together`` as a constraint, with the name that Django gives it."""
    table = model._meta.db_table
    columns = columns_of(model, names)
    name = str(editor._unique_constraint_name(table, columns, quote=False))
    return UniqueConstraint(fields=tuple(names), name=name)


def check_of(editor: Any, model: type[Model], check: CheckConstraint) -> tuple[Statement, str]:
    """The statement that adds it, and its condition."""
    statement: Any = check.create_sql(model, editor)
    return statement, str(statement.parts["check"])


def keys_of(editor: Any, model: type[Model], unique: UniqueConstraint) -> list[str]:
    """What must not come twice: columns or expressions, as SQL."""
    if unique.fields:
        return [editor.quote_name(column) for column in columns_of(model, unique.fields)]
    query = Query(model, alias_cols=False)
    compiler = query.get_compiler(connection=editor.connection)
    keys = []
    for expression in unique.expressions:
        sql, params = compiler.compile(_bare(expression).resolve_expression(query))
        keys.append(sql % tuple(map(editor.quote_value, params)))
    return keys


def _bare(expression: Any) -> Any:
    """Without order and operator class, which only an index knows."""
    while isinstance(expression, OrderBy) or type(expression).__name__ == "OpClass":
        [expression] = expression.get_source_expressions()
    return expression


def condition_of(editor: Any, model: type[Model], unique: UniqueConstraint) -> str:
    condition: Any = unique._get_condition_sql(model, editor)  # type: ignore[attr-defined]  # Django's own, not in the stubs
    return str(condition or "")


def foreign_key_of(editor: Any, model: type[Model], field: Field[Any, Any]) -> Statement:
    suffix = "_fk_%(to_table)s_%(to_column)s"
    statement: Statement = editor._create_fk_sql(model, field, suffix)
    return statement


def default_sql(editor: Any, field: Field[Any, Any]) -> tuple[str, list[Any]]:
    """What follows ``SET DEFAULT`` for the field's ``db_default``."""
    sql, params = editor.db_default_sql(field)
    return str(sql), list(params)


def comment_on(editor: Any, model: type[Model], field: Field[Any, Any]) -> str:
    sql, _ = editor._alter_column_comment_sql(model, field, None, field.db_comment)
    return str(sql)


def inline_column(editor: Any, model: type[Model], field: Any) -> str:
    """The column as CREATE TABLE would spell it, where FOREIGN KEY and CHECK stand beside it."""
    definition, params = editor.column_sql(model, field)
    words = f"{editor.quote_name(field.column)} {definition}"
    if check := field.db_parameters(connection=editor.connection)["check"]:
        words += " " + editor.sql_check_constraint % {"check": check}
    if field.remote_field and field.db_constraint:
        deleting = getattr(editor, "_create_on_delete_sql", None)  # from 6.1
        words += " " + editor.sql_create_inline_fk % {
            "to_table": editor.quote_name(field.remote_field.model._meta.db_table),
            "to_column": editor.quote_name(field.target_field.column),
            "on_delete_db": deleting(model, field) if deleting else "",
        }
    return words % tuple(editor.quote_value(value) for value in params) if params else words


def is_foreign_key(editor: Any, statement: object) -> bool:
    """Whether Django put off this statement to add a foreign key."""
    return bool(getattr(statement, "template", None) == editor.sql_create_fk)


def constraint_name(editor: Any, table: str, column: str, suffix: str) -> str:
    return str(editor._create_index_name(table, [column], suffix=suffix))


def standard_names(
    editor: Any,
    table: str,
    columns: Sequence[str],
    target: str | None = None,
    target_columns: Sequence[str] = (),
) -> list[str]:
    """
    Every name that Django or PostgreSQL would give to something on these columns.

    In one order for all tables and columns, so that two lists tell how each would be renamed.
    """
    suffixes = ["", "_like", "_uniq", "_idx", "_check"]
    if target and target_columns:
        # The one that a foreign key has.
        suffixes.append(f"_fk_{split_identifier(target)[1]}_{target_columns[0]}")
    names = [str(editor._create_index_name(table, list(columns), suffix=s)) for s in suffixes]
    bare = split_identifier(table)[1]
    labels = ("key", "check", "idx", "seq", "fkey")
    names += [_server_name(bare, "_".join(columns), label) for label in labels]
    return [*names, _server_name(bare, "", "pkey")]


def _server_name(table: str, columns: str, label: str) -> str:
    """
    What PostgreSQL calls what nobody named, cut to 63 bytes in its way.

    Source: makeObjectName() in src/backend/commands/indexcmds.c
    """
    first, second = table.encode(), columns.encode()
    room = 63 - len(label) - 1 - bool(second)
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    parts = (first.decode(errors="ignore"), second.decode(errors="ignore"), label)
    return "_".join(part for part in parts if part)


def name_of(statement: Statement) -> str:
    """The name that a statement gives to what it makes, ready to be put between quotes."""
    return str(statement.parts["name"]).removeprefix('"').removesuffix('"')
