"""E205."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Vouched, rule


@rule("E205", "wrong-assurance", about=Vouched)
def wrong_assurance(vouched: Vouched) -> Iterator[Finding]:
    """A word that cannot be read, or gives no reason, excuses nothing."""
    if vouched.wrong:
        yield Finding(
            what=f"{short(vouched.by, 50)} excuses nothing.",
            why=f"{vouched.wrong[:1].upper()}{vouched.wrong[1:]}. The rules go on as if it were "
            "not there.",
            steps=(
                'Write assured = {"E201": "why it is safe here"} on the Migration class.',
                'With a last day: {"E201": {"because": "...", "until": "2027-01-31"}}.',
            ),
        )
