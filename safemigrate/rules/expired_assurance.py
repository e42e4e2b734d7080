"""W407."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Vouched, rule


@rule("W407", "expired-assurance", about=Vouched)
def expired_assurance(vouched: Vouched) -> Iterator[Finding]:
    """Somebody's word was good until a day that is over."""
    said = vouched.assurance
    if said is None or not said.is_over(vouched.today) or vouched.missing:
        return
    found = ", ".join(sorted({finding.rule for finding in vouched.silenced}))
    yield Finding(
        what=f"{short(vouched.by, 40)} was good until {said.until}.",
        why=(
            f'"{short(said.because, 80)}" was the reason, and nobody has said that it still holds. '
            + (f"The rules speak again: {found}." if found else "It does not count any more.")
        ),
        steps=("Do what the findings say.", "Or look again, and give a later day in until."),
    )
