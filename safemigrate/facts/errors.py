"""Every error of ours: what happened, whether anything was changed, what to do now."""

from __future__ import annotations

NOTHING_CHANGED = "Nothing was changed."


def sentence(error: Exception | str) -> str:
    """A driver's message, which may have lines and no end, as one sentence."""
    text = " ".join(str(error).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


class SafeMigrateError(Exception):
    """
    The base of our errors; its text is read by somebody on call.

    ``what`` is a fact with its values, ``changed`` says what was changed, ``do`` is an order.
    """

    def __init__(self, what: str, *, changed: str = NOTHING_CHANGED, do: str) -> None:
        self.what, self.changed, self.do = what, changed, do
        super().__init__(" ".join(part for part in (what, changed, do) if part))


class WrongSettings(SafeMigrateError):
    """``SAFEMIGRATE`` holds a key or a value that we do not understand."""


class WrongOperation(SafeMigrateError):
    """An operation in a migration names something that is not there, or contradicts itself."""


class OtherCode(WrongOperation):
    """A backfill was asked for by another release than the one that this process runs."""


class QueueUnusable(SafeMigrateError):
    """The task queue that the settings name is not there, or does not take tasks."""


class NeedsAutocommit(SafeMigrateError):
    """An operation that commits by itself stands in a migration that is one transaction."""


class UnsupportedDatabase(SafeMigrateError):
    """The server, its version or its driver cannot do what was asked."""


class NotAllowed(SafeMigrateError):
    """The database does not let this role do what was asked."""


class TableInTheWay(SafeMigrateError):
    """A table that a migration creates is there already."""


class LockNotObtained(SafeMigrateError):
    """A table stayed locked by others until the deadline."""


class DeadlinePassed(SafeMigrateError):
    """A long statement was stopped at its deadline."""


class AnotherRunner(SafeMigrateError):
    """Another ``migrate`` is at work on this database."""


class BackfillFailed(SafeMigrateError):
    """A backfill stopped; the batches before it stay done."""


class DataInTheWay(SafeMigrateError):
    """Rows contradict what the migration wants to guarantee."""


class PlanRefused(SafeMigrateError):
    """``migrate`` or ``makemigrations`` will not go on with what it was given."""


class NoSuchPast(SafeMigrateError):
    """git does not know what was before, or is not there."""
