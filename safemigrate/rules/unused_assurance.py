"""W406."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Vouched, rule


@rule("W406", "unused-assurance", about=Vouched)
def unused_assurance(vouched: Vouched) -> Iterator[Finding]:
    """Somebody vouches for what no rule objects to."""
    if vouched.silenced or vouched.assurance is None:
        return
    reason = short(vouched.assurance.because, 80)
    if vouched.missing:
        yield Finding(
            what=f"{short(vouched.by, 50)} names what cannot be found.",
            why=(
                f"There is no {vouched.missing} (any more). One that comes later under that name "
                f'would be excused by "{reason}", which was said of another.'
            ),
            steps=("Take it out, or correct the name.",),
        )
        return
    yield Finding(
        what=f"{short(vouched.by, 50)} is not needed: no rule objects.",
        why=(
            f'"{reason}" excuses nothing today. What somebody puts there tomorrow would be '
            "excused by a reason that was never about it."
        ),
        steps=("Take it out.",),
    )
