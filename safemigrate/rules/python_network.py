"""W405."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_calls import network_calls, sleeps, uses_the_database
from safemigrate.rules.python_reading import sources


@rule("W405", "python-network", operation=migrations.RunPython)
def python_network(step: Step) -> Iterator[Finding]:
    """Code that waits, for another machine or for the clock, holds its locks meanwhile."""
    for source, _ in sources(step):
        if name := next(network_calls(source), None):
            yield Finding(
                what=f"{short(source.function.__name__)}() calls {short(name)} in a migration.",
                why=(
                    "While the other side does not answer, the transaction stays open with its "
                    "locks; and if the migration fails, what was sent cannot be taken back."
                ),
                steps=("Do it in a command or a task of its own, after the deploy.",),
            )
        elif name := next(sleeps(source, _holds_locks(step)), None):
            yield Finding(
                what=f"{short(source.function.__name__)}() calls {short(name)}() in a transaction.",
                why=(
                    "It does nothing meanwhile and keeps every lock of the transaction: writes of "
                    "the application to the same rows or tables wait for it to wake up, and "
                    "vacuum cannot clean up."
                ),
                steps=(
                    "Leave it out; or set atomic = False, and sleep between the transactions.",
                    "BatchedBackfill pauses between its batches by itself.",
                ),
            )


def _holds_locks(step: Step) -> bool:
    """Whether it runs in one transaction with something that has locked something by then."""
    operation = step.of(migrations.RunPython)
    if step.migration is None or operation.atomic is False:
        return False
    if not (step.migration.atomic or operation.atomic):
        return False
    beside = step.migration.atomic and len(list(flat(step.migration.operations))) > 1
    return beside or any(uses_the_database(source) for source, _ in sources(step))
