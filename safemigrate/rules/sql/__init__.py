"""What a RunSQL does: read by PostgreSQL's grammar, told in the words of the facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.facts.locks import LockMode
from safemigrate.facts.statements import Harm
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import is_altered, short
from safemigrate.rules.base import Step, model_name_of, table_of
from safemigrate.rules.sql.context import (
    Context,
    Effect,
    Item,
    Newer,
    Sent,
    Setting,
    Transaction,
    Unjudged,
    plain,
)

__all__ = [
    "Context",
    "Effect",
    "Item",
    "Newer",
    "Sent",
    "Setting",
    "Transaction",
    "Unjudged",
    "checked_before",
    "effects_of",
    "functions_before",
    "held_beside",
    "is_atomic",
    "locked_by",
    "partitioned_before",
    "quoted",
    "read",
    "read_alone",
    "said",
    "sent",
]


def read(step: Step) -> tuple[Item, ...]:
    """What the RunSQL of ``step`` does, in order, and then what its way back does."""
    return step.once(_read)[0]


def _read(step: Step) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Shape: (what it does, what the RunSQLs before it in its migration do)."""
    ctx = _context(step)
    earlier = tuple(ctx.items)
    ctx.items.clear()
    op = step.of(migrations.RunSQL)
    for sql in sent(op.sql):
        ctx.unit(sql)
    # On the way back nothing is new: what was made on the way there has been in use since.
    back = Context(step)
    back.functions, back.types = dict(ctx.functions), dict(ctx.types)
    back._unit = ctx._unit
    for sql in sent(op.reverse_sql):
        back.unit(sql, backwards=True)
    forth = [item for item in ctx.items if not _comes_back(ctx, item)]
    return (*forth, *_but_what_was_made(ctx, back.items)), earlier


def read_alone(app_label: str, operations: Iterable[migrations.RunSQL]) -> Context:
    """What several RunSQLs do forwards, one after the other, whatever state they start from."""
    ctx = Context(Step(app_label, migrations.RunSQL(""), ProjectState()))
    for operation in operations:
        for sql in sent(operation.sql):
            ctx.unit(sql)
    return ctx


def effects_of(step: Step, *harms: Harm) -> Iterator[Effect]:
    """What is done to tables that may be full and busy, there and back."""
    for item in read(step):
        if isinstance(item, Effect) and not item.is_new and (not harms or item.fact.harm in harms):
            yield item


# Django's own that lock the table they alter.
_LOCKING = (
    migrations.AddField,
    migrations.AlterField,
    migrations.RemoveField,
    migrations.AddConstraint,
    migrations.RemoveConstraint,
)


def held_beside(step: Step) -> Iterator[tuple[str, str, bool]]:
    """
    Strong locks that other operations of the same migration take on tables that are there.

    Of RunSQLs those before it: each speaks for those before.

    Shape: (table, who and on what, whether before this one).
    """
    if step.migration is None:
        return
    for effect in step.once(_read)[1]:
        if isinstance(effect, Effect):
            for table in locked_by(effect):
                yield table, f"{effect.fact.words} on {table or effect.on}", True
    is_before = True
    for operation in flat(step.migration.operations):
        if operation is step.operation:
            is_before = False
        elif isinstance(operation, _LOCKING):
            key = (step.app_label, model_name_of(operation))
            model = step.before.models.get(key)  # None: made after this one, or gone before
            many = getattr(getattr(operation, "field", None), "many_to_many", False)
            if model and key not in step.new_models and not many and _reaches(step, operation):
                name = f"{type(operation).__name__} on {key[1]}"
                yield plain(table_of(model)), name, is_before


def _reaches(step: Step, operation: Any) -> bool:
    """Whether Django sends anything for it; for what only Python sees, such as choices, not."""
    if not isinstance(operation, migrations.AlterField):
        return True
    old = _field_before(step, operation)
    return old is None or is_altered(operation.name, old, operation.field)


def _field_before(step: Step, operation: migrations.AlterField) -> Any:
    """The field as the migrations before ``operation`` left it; None where nobody can tell."""
    model, name, old = operation.model_name_lower, operation.name, None
    for migration in step.ancestors() if step.ancestors else ():
        for one in flat(migration.operations) if migration.app_label == step.app_label else ():
            if one is operation:
                return old
            if isinstance(one, migrations.CreateModel) and one.name_lower == model:
                old = dict(one.fields).get(name)
            elif isinstance(one, migrations.RenameModel) and one.new_name_lower == model:
                old = None
            elif model_name_of(one) != model:
                continue
            elif isinstance(one, (migrations.AddField, migrations.AlterField)):
                old = one.field if one.name == name else old
            elif isinstance(one, migrations.RenameField) and one.new_name == name:
                old = None
    return None


def locked_by(effect: Effect) -> list[str]:
    """
    The tables that it lets nobody write to until the transaction ends; ``""``: nobody knows.

    Not those that are new: nobody else can see them.
    """
    fact = effect.fact
    locked = []
    if fact.blocks_writes and fact.key != "drop-view" and not effect.is_new:
        locked.append(effect.table)
    if fact.other is not None and LockMode.ROW_EXCLUSIVE in fact.other.conflicts():
        # What a new table refers to is all that it locks.
        if effect.other:
            locked += [] if effect.other_is_new else [effect.other]
        elif not effect.is_new:
            locked.append(effect.table if fact.lock is None else "")
    return locked


def is_atomic(step: Step) -> bool | None:
    """Whether the migration is one transaction; None while nobody knows."""
    return None if step.migration is None else bool(step.migration.atomic)


def said(item: Sent, *, way_back: str = " on the way back") -> str:
    """The statement, and the way if it is the one back, for a finding's first words."""
    return f"RunSQL{way_back if item.backwards else ''}"


def quoted(item: Sent) -> str:
    """The statement in one line, for a finding's reason."""
    return short(" ".join(item.text.split()), 160)


def _context(step: Step) -> Context:
    ctx = Context(step)
    for key in step.new_models:
        if (model := step.before.models.get(key)) is not None:
            ctx.new.add(plain(table_of(model)))
            ctx.new |= {
                plain(f"{table_of(model)}_{name}")
                for name, field in model.fields.items()
                if getattr(field, "many_to_many", False)
            }
    for earlier in _earlier(step):
        for sql in sent(earlier.sql):
            ctx.unit(sql)
    return ctx


def _earlier(step: Step) -> Iterator[migrations.RunSQL]:
    """The RunSQLs before this one in its migration."""
    for operation in flat(step.migration.operations) if step.migration else ():
        if operation is step.operation:
            return
        if isinstance(operation, migrations.RunSQL):
            yield operation


def _comes_back(ctx: Context, item: Item) -> bool:
    """Whether a DROP makes room for what the same transaction creates under that name."""
    if not isinstance(item, Effect) or item.fact.key not in (
        "drop-other",
        "drop-view",
        "drop-policy",
    ):
        return False
    if is_atomic(ctx.step) is False and item.alone:
        return False
    name = item.name.split(" ")[-1]
    return name in ctx.made or name in ctx.functions or f"{item.table}.{name}" in ctx.made


def _but_what_was_made(ctx: Context, back: Sequence[Item]) -> Iterator[Item]:
    """A way back may drop what the way there has made; that is what it is for."""
    forth = [item for item in ctx.items if isinstance(item, Effect)]
    added = {(e.table, e.name) for e in forth if e.fact.key.startswith("add-column")}
    renamed = any(e.fact.harm is Harm.RENAME for e in forth)
    for item in back:
        if isinstance(item, Effect):
            made = item.table in ctx.new or item.name.split(" ")[-1] in {*ctx.made, *ctx.functions}
            undone = (item.table, item.name) in added or made
            if item.fact.harm is Harm.DROP and undone:
                continue
            if item.fact.harm is Harm.RENAME and renamed:
                continue
        yield item


def sent(sql: Any) -> Iterator[str]:
    """The texts that RunSQL sends, each in one journey; with their parameters put in."""
    if not sql or sql == migrations.RunSQL.noop:
        return
    if isinstance(sql, list | tuple):
        for one in sql:
            if isinstance(one, list | tuple):
                yield with_params(str(one[0]), one[1] if len(one) > 1 else None)
            elif one:
                yield str(one)
    else:
        yield str(sql)


def with_params(sql: str, params: Any) -> str:
    """As the driver sends it; for reading only, so that a value need not be exact."""
    if params is None:
        return sql
    try:
        if isinstance(params, dict):
            return sql % {name: _literal(value) for name, value in params.items()}
        return sql % tuple(_literal(value) for value in params)
    except (TypeError, ValueError, KeyError):
        return f"{sql} -- parameters that do not fit: ("


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        inner = ", ".join(_literal(one) for one in value)
        return f"({inner})" if isinstance(value, tuple) else f"ARRAY[{inner}]"
    return "'" + str(value).replace("'", "''") + "'"


def checked_before(step: Step) -> set[tuple[str, str]]:
    """(table, column) of each ``CHECK (column IS NOT NULL)`` that was validated before."""
    history = Context(step)
    for migration in step.ancestors() if step.ancestors else ():
        for operation in flat(migration.operations):
            if operation is step.operation:
                break
            _remember(history, operation)
    return history.valid_not_null


def partitioned_before(step: Step) -> set[str]:
    """The tables that RunSQLs before this migration made partitioned."""
    return read_alone(step.app_label, _sql_before(step, "partition")).partitioned


def functions_before(step: Step) -> Collection[str]:
    """The functions that RunSQLs before this one made, as a backport of a newer version's."""
    return read_alone(step.app_label, _sql_before(step, "function")).functions


def _sql_before(step: Step, word: str) -> Iterator[migrations.RunSQL]:
    """Those whose text has ``word`` in it."""
    for migration in step.ancestors() if step.ancestors else ():
        for operation in flat(migration.operations):
            if operation is step.operation:
                return
            if isinstance(operation, migrations.RunSQL) and any(
                word in sql.lower() for sql in sent(operation.sql)
            ):
                yield operation


def _remember(history: Context, operation: Operation) -> None:
    if isinstance(operation, migrations.RunSQL):
        for sql in sent(operation.sql):
            if "null" in sql.lower() or "validate" in sql.lower():
                history.unit(sql)
