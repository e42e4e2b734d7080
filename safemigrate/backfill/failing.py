"""The texts of a backfill that stopped: what, what stays, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from safemigrate.facts.errors import (
    NOTHING_CHANGED,
    BackfillFailed,
    NeedsAutocommit,
    WrongOperation,
)

RESUMES = "it goes on where this run stopped"


def needs_autocommit(table: str) -> NeedsAutocommit:
    return NeedsAutocommit(
        f"A backfill of {table} was started inside a transaction, but each of its batches is one.",
        do="Set atomic = False on the migration.",
    )


def needs_where(table: str, names: Sequence[str]) -> WrongOperation:
    return WrongOperation(
        f"A backfill of {table} has no where, and {table} has no index on its key "
        f"({', '.join(names)}): rows that were filled could not be told from others.",
        do="Give it a where that filling a row makes false, or index the key first.",
    )


def hidden_rows(table: str, hides: str, remedy: str) -> BackfillFailed:
    return BackfillFailed(
        f"Row level security of {hides} counts for the role of this connection: rows of {table} "
        "that it hides would neither be filled nor be missed at the end.",
        do=f"{remedy}, then run migrate again.",
    )


def stays(rows: int, batch: str | None, *, own: bool = True) -> str:
    """
    Say what is left of a run that stopped in ``batch``.

    Units:   rows: changed and committed by the whole run so far.
    """
    if not own:
        return "Everything is rolled back with the transaction that it ran in."
    rolled_back = f"the batch of keys {batch} was rolled back" if batch else ""
    if not rows:
        return f"Nothing was changed: {rolled_back}." if batch else NOTHING_CHANGED
    kept = f"{rows:,} rows were filled and stay"
    return f"{kept}; {rolled_back}." if batch else f"{kept}."


def refused(table: str, why: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} stopped: {why}",
        changed=changed,
        do=f"Correct it and run migrate again: {RESUMES}.",
    )


def hangs(table: str, why: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} stopped: {why}, for a single row.",
        changed=changed,
        do="Give what it waits for a timeout of its own (a request, a lock, a process), then run "
        f"migrate again: {RESUMES}. A thread that hangs in it ends with its process.",
    )


def broken(
    table: str, kind: str, sqlstate: str, said: str, remedy: str | None, changed: str
) -> BackfillFailed:
    state = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    remedy = remedy or "Correct the rows or the values"
    return BackfillFailed(
        f"The backfill of {table} stopped with {kind}{state}: {said.rstrip('.')}.",
        changed=changed,
        do=f"{remedy} and run migrate again: {RESUMES}.",
    )


def lost(table: str, said: str, rows: int) -> BackfillFailed:
    return BackfillFailed(
        f"The connection to the database was lost during the backfill of {table}: "
        f"{said.rstrip('.')}.",
        changed=f"At least {rows:,} rows were filled and stay; at most one batch was rolled back.",
        do=f"Run migrate again when the database answers: {RESUMES}.",
    )


def blocked(
    table: str, tries: int, seconds: float, why: str, blockers: Sequence[str], changed: str
) -> BackfillFailed:
    who = (
        f"Who has locks there now: {'; '.join(blockers)}."
        if blockers
        else "Nobody holds a lock there now."
    )
    return _never_through(
        table, tries, seconds, f"{why}. {who}", "End what blocks it or wait for it", changed
    )


def lacking(
    table: str, tries: int, seconds: float, why: str, remedy: str, changed: str
) -> BackfillFailed:
    return _never_through(table, tries, seconds, f"{why.rstrip('.')}.", remedy, changed)


def _never_through(
    table: str, tries: int, seconds: float, why: str, remedy: str, changed: str
) -> BackfillFailed:
    return BackfillFailed(
        f"The same batch of the backfill of {table} did not get through in {tries} tries "
        f"({seconds:.0f} s): {why}",
        changed=changed,
        do=f"{remedy}, then run migrate again: {RESUMES}.",
    )


def held_back(table: str, deadline: timedelta, why: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} was held back for {deadline}: {why}.",
        changed=changed,
        do=f"See to that, or to the limits in SAFEMIGRATE, then run migrate again: {RESUMES}.",
    )


def spent(table: str, why: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} stopped: {why.rstrip('.')}.",
        changed=changed,
        do="Correct the rows or the values, or give the operation a larger error_budget, then run "
        f"migrate again: {RESUMES}.",
    )


def set_aside(table: str, rows: int, run_id: int) -> str:
    return (
        f"{table}: {rows:,} rows could not be filled and are set aside; contracts that need them "
        f"wait. See manage.py safemigrate backfills show {run_id}; correct them, then "
        f"manage.py safemigrate backfills retry {run_id}"
    )


def canceled(table: str, run_id: int, note: str | None, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} was {note or 'canceled'}.",
        changed=changed,
        do=f"To let it go on: manage.py safemigrate backfills resume {run_id}, then migrate.",
    )


def paused(
    table: str, run_id: int, note: str | None, deadline: timedelta, changed: str
) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} was {note or 'paused'}, and is so after {deadline}; it stays so.",
        changed=changed,
        do=f"To let it go on: manage.py safemigrate backfills resume {run_id}, then migrate.",
    )


def elsewhere(table: str, error: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"Another process worked on the same backfill of {table} and failed ({error}).",
        changed=changed,
        do=f"See what that process printed, then run migrate again: {RESUMES}.",
    )


def forgotten(table: str, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The state of the backfill of {table} was deleted while it ran.",
        changed=changed,
        do="See who unapplied the migration, then run migrate again: it starts over.",
    )


def where_stays(table: str, matched: int, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"The backfill of {table} filled {matched:,} rows, and all of them still match its where: "
        "it never gets smaller.",
        changed=changed,
        do="Write a where that filling a row makes false, such as Q(<field>__isnull=True).",
    )


def where_left(table: str, left: str, query: str, passes: int, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"A full pass over {table} (number {passes}) changed nothing, and {left} rows still match "
        "the where of its backfill: it never gets smaller.",
        changed=changed,
        do=f"Find them with: {query}; then correct the values or the where, and run migrate again.",
    )


def where_refills(table: str, left: str, query: str, passes: int, changed: str) -> BackfillFailed:
    return BackfillFailed(
        f"After {passes} passes over {table}, {left} rows match the where of its backfill: "
        "something writes such rows as fast as they are filled.",
        changed=changed,
        do=f"Find them with: {query}; stop what writes them (an old release, or a column without "
        "a default or trigger), and run migrate again.",
    )
