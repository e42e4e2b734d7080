"""E302."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.facts.errors import SafeMigrateError
from safemigrate.rules.base import Finding, SettingsRead, rule


@rule("E302", "settings", about=SettingsRead)
def settings(read: SettingsRead) -> Iterator[Finding]:
    """The setting SAFEMIGRATE holds a key or a value that nobody understands."""
    if read.error is None:
        return
    told = read.error
    what, do = (told.what, told.do) if isinstance(told, SafeMigrateError) else (str(told), "")
    yield Finding(
        what="The setting SAFEMIGRATE cannot be read.",
        why=f"{what} Until it is right, migrate refuses to run.",
        steps=(do,) if do else (),
    )
