"""What ``sqlmigrate`` says of a fill: the words of one batch, which is never sent from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet

from safemigrate.backends import server_for
from safemigrate.backfill.filling import worded
from safemigrate.backfill.ranges import Keys, Slot, Span, Statement, narrowed
from safemigrate.backfill.work import is_called_per_row

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

    from safemigrate.backends import PlainServer
    from safemigrate.backfill.work import Backfill


def show(editor: BaseDatabaseSchemaEditor, backfill: Backfill) -> None:
    """Add comments to what ``sqlmigrate`` collects."""
    server = server_for(editor.connection)
    try:
        lines = list(_lines(backfill, server))
    except EmptyResultSet:
        lines = ["No row matches: nothing is sent."]
    editor.collected_sql.extend(f"-- {line}" for line in lines)


def _lines(backfill: Backfill, server: PlainServer) -> Iterator[str]:
    keys = Keys(backfill.model, server.connection)
    # Of a bound the template takes no more than the number of its columns.
    span = Span(keys, tuple(keys.names), tuple(keys.names))
    milliseconds = round(backfill.batch_target.total_seconds() * 1000)
    yield (
        f"In batches, each a transaction of about {milliseconds} ms at most, sized at run time. "
        f":after is the {', '.join(keys.columns)}"
    )
    yield "of the last row of the batch before (the first batch has no such bound), :upto that of"
    yield "the last row of this one."
    yield "BEGIN;"
    yield from (f"{words};" for words in server.batch_words(backfill.statement_limit))
    values = backfill.values or {}
    called = {name: value for name, value in values.items() if is_called_per_row(value)}
    if called or backfill.function:
        yield f"{_said(_read(backfill, span), server)};"
        for name, value in called.items():
            yield f"{name} of each of these rows is set to what {_name(value)}() returns."
        if backfill.function:
            yield f"Each of these rows is set to what {backfill.function}(rows) returns for it."
        values = {name: value for name, value in values.items() if name not in called}
    if values:
        yield f"{_said(worded(span, values, backfill.where), server)};"
    yield "COMMIT;"


def _read(backfill: Backfill, span: Span) -> Statement:
    rows = narrowed(span.template, backfill.where).order_by("pk")
    return Statement(*rows.query.get_compiler(connection=span.keys.connection).as_sql())


def _said(statement: Statement, server: PlainServer) -> str:
    words = (
        _slot(p, statement) if isinstance(p, Slot) else server.literal(p) for p in statement.params
    )
    return " ".join((statement.sql % tuple(words)).split("\n"))


def _slot(slot: Slot, statement: Statement) -> str:
    several = any(isinstance(other, Slot) and other.number for other in statement.params)
    return f":{slot.bound}_{slot.number + 1}" if several else f":{slot.bound}"


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", function))
