"""E162."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_calls import real_models
from safemigrate.rules.python_reading import sources


@rule("E162", "python-real-models", operation=migrations.RunPython)
def python_real_models(step: Step) -> Iterator[Finding]:
    """Code that uses today's models asks for columns that are not there yet, or no more."""
    seen = set()
    for source, _ in sources(step):
        for name in real_models(source):
            if name in seen:
                continue
            seen.add(name)
            yield Finding(
                what=f"{short(source.function.__name__)}() uses the model {short(name)} itself.",
                why=(
                    f"{name} is what the code says today. Where the migration runs the table may "
                    "still lack a column of it, or have lost one: a later change of the model "
                    "breaks this migration, in new databases and in tests."
                ),
                steps=(f'Use apps.get_model("app", "{name}") of the function\'s first argument.',),
            )
