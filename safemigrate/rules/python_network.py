"""W405."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_calls import network_calls
from safemigrate.rules.python_reading import sources


@rule("W405", "python-network", operation=migrations.RunPython)
def python_network(step: Step) -> Iterator[Finding]:
    """Code that waits for another machine holds its locks for as long as that takes."""
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
