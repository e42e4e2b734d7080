"""E163."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_calls import opaque_calls
from safemigrate.rules.python_reading import sources, unreadable


@rule("E163", "python-unreadable", operation=migrations.RunPython)
def python_unreadable(step: Step) -> Iterator[Finding]:
    """Code whose source cannot be read cannot be judged, and so counts as unsafe."""
    for code, backwards in unreadable(step):
        name = getattr(code, "__name__", type(code).__name__)
        way = " on the way back" if backwards else ""
        yield Finding(
            what=f"RunPython{way} calls {short(name)}, which cannot be read.",
            why=(
                "Only a function written with def, with its source at hand, is read here. What "
                "this one does to which table nobody can say: it may lock every row of it until "
                "the transaction ends."
            ),
            steps=(
                "Write it as a function, def name(apps, schema_editor), in the migration's file.",
                'Otherwise look at it, and wrap it: Assured(<the operation>, because="...").',
            ),
        )
    for source, _ in sources(step):
        if name := next(opaque_calls(source), None):
            yield Finding(
                what=f"{short(source.function.__name__)}() calls {short(name)}().",
                why=(
                    f"What {name}() does depends on what it is given and on the code of the day, "
                    "not of the migration: it may lock every row of a table until the transaction "
                    "ends, or ask for columns that are not there yet."
                ),
                steps=(
                    "Write out what it does, with the models of apps.get_model().",
                    'Otherwise look at it, and wrap it: Assured(<the operation>, because="...").',
                ),
            )
