"""W404."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.python_calls import queries, says_which_database
from safemigrate.rules.python_reading import sources


@rule("W404", "python-database", operation=migrations.RunPython)
def python_database(step: Step) -> Iterator[Finding]:
    """Code that does not say which database it means works on the default one."""
    found = [source for source, backwards in sources(step) if not backwards]
    if any(says_which_database(source) for source in found):
        return
    asking = next((source for source in found if any(queries(source))), None)
    if asking is not None:
        yield Finding(
            what=f"{short(asking.function.__name__)}() does not say which database it means.",
            why=(
                "migrate --database runs it for another database too; its queries go to the "
                "default one, and the other stays as it was."
            ),
            steps=("Write Model.objects.using(schema_editor.connection.alias).",),
        )
