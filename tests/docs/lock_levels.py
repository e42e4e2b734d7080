"""The page of lock levels, made of the facts and of what Django sends."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation

from safemigrate.facts.statements import FACTS, Cost, Fact
from safemigrate.rules import Step
from safemigrate.rules.sql import Effect, read
from tests.docs import pages
from tests.rules.asking import ids, shop

PAGE = pages.ROOT / "docs/lock-levels.md"
HEAD = """# Lock levels

What each operation of Django and each statement of PostgreSQL does to a table that is there: the
strongest lock on it, and how long it is held. Generated from the facts that the
[rules](rules/README.md) go by; the test suite runs each statement on a real server and compares
locks, files and pages read. Do not edit it:
`WRITE_DOCS=1 python -m pytest tests/docs/test_lock_levels.py`.

ACCESS EXCLUSIVE stops reads and writes; EXCLUSIVE, SHARE ROW EXCLUSIVE and SHARE stop writes; the
weaker ones stop neither. Scan: the table is read under that lock; rewrite: it is written anew. An
instant is as long as the [queue in front of it](locks.md), unless `migrate` takes the lock.

The version of the server changes what it accepts, and no verdict on a lock: of PostgreSQL 14 to 18
none takes a lock that stops reads or writes where another does not (from 18 on `GRANT` and `REVOKE`
take ACCESS SHARE, which stops neither). So a lock is judged right also where nobody has said the
version. [`SERVER_VERSION`](settings.md) says it; where it is 0, the connection is asked by those
that open one anyway (`makemigrations`, `lint --unapplied`), and otherwise nothing is said of what a
version [does not have](rules/server-version.md).
"""


def page(sent: list[tuple[Operation, list[str]]]) -> str:
    """Shape: ``sent``: each operation with the statements that Django sends for it."""
    return "\n".join([HEAD, *_operations(sent), "", *_statements()]) + "\n"


def _operations(sent: list[tuple[Operation, list[str]]]) -> list[str]:
    rows = [
        "## Operations",
        "",
        "On Django 5.2. The table of the example is full; what is found says which rule stops it.",
        "",
        "| operation | statements | lock | held for | other table | found |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return rows + [_operation(operation, statements) for operation, statements in sent]


def _operation(operation: Operation, statements: list[str]) -> str:
    facts = _facts(statements)
    locking = [fact for fact in facts if fact.lock is not None]
    words = "; ".join(dict.fromkeys(fact.words for fact in facts if fact.key != "harmless"))
    locks = [fact.lock for fact in locking if fact.lock is not None]
    costs = [fact.cost for fact in locking if fact.blocks_writes]
    worst = max(costs, key=list(Cost).index, default=Cost.INSTANT)
    others = [fact.other for fact in facts if fact.other is not None]
    other = max(others, key=lambda mode: mode.strength).value if others else ""
    rules = sorted(set(ids(operation)))
    lock = max(locks, key=lambda mode: mode.strength).value if locks else "none"
    cells = (
        f"`{_short(operation)}`",
        words or "none",
        lock,
        _held(worst) if locking else "",
        other,
        ", ".join(rules),
    )
    return f"| {' | '.join(cells)} |"


def _facts(statements: list[str]) -> list[Fact]:
    step = Step("shop", migrations.RunSQL(statements), shop())
    return [item.fact for item in read(step) if isinstance(item, Effect)]


def _held(cost: Cost) -> str:
    return {Cost.INSTANT: "an instant", Cost.SCAN: "scan", Cost.REWRITE: "rewrite"}[cost]


def _short(operation: Operation) -> str:
    """``AddField(IntegerField(null=True))``: enough to tell one from the other."""
    field = getattr(operation, "field", None)
    inside = ""
    if field is not None:
        inside = _made(field)
    for name in ("index", "constraint", "option_value", "options", "table"):
        if field is None and (found := getattr(operation, name, None)):
            inside = _made(found) if hasattr(found, "deconstruct") else _told(found)
    return f"{type(operation).__name__}({inside})".replace("|", "or")


def _told(found: Any) -> str:
    # A set is in another order in each process.
    return f"{{{', '.join(sorted(map(repr, found)))}}}" if isinstance(found, set) else str(found)


def _made(thing: Any) -> str:
    parts = thing.deconstruct()
    options = {k: v for k, v in parts[-1].items() if k not in ("name", "to", "related_name")}
    told = ", ".join(f"{k}={_value(v)}" for k, v in options.items())
    return f"{type(thing).__name__}({told})"


def _value(value: Any) -> str:
    return getattr(value, "__name__", "") or (
        type(value).__name__ if "<" in repr(value) else repr(value)
    )


def _statements() -> list[str]:
    rows = [
        "## Statements",
        "",
        "| statement | lock | held for | other table | instead |",
        "| --- | --- | --- | --- | --- |",
    ]
    return rows + [_statement(fact) for fact in FACTS.values() if fact.key != "harmless"]


def _statement(fact: Fact) -> str:
    since = f" (PostgreSQL {fact.since})" if fact.since > 14 else ""
    lock = fact.lock.value if fact.lock else "none"
    lock += "".join(f"; since {version} {later.value}" for version, later in fact.lock_of)
    alone = ", in no transaction" if fact.alone else ""
    cells = (
        f"[{fact.words}]({fact.source}){since}",
        lock,
        f"{_held(fact.cost)}{alone}" if fact.lock else alone.lstrip(", "),
        fact.other.value if fact.other else "",
        fact.gentle.replace("|", "or"),
    )
    return f"| {' | '.join(cells)} |"
