"""W401."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, HeldContract, rule


@rule("W401", "held-contract", about=HeldContract)
def held_contract(held: HeldContract) -> Iterator[Finding]:
    """A contract is held back for longer than the settings say."""
    if held.age <= held.limit:
        return
    yield Finding(
        what=f"{short(held.name, 44)} has been held for {held.age.days} days.",
        why=(
            f'On database "{held.alias}": {held.reason}. Until it runs, its table keeps what no '
            "code needs, and later migrations on the same columns wait too."
        ),
        steps=(
            "`manage.py safemigrate status` says what would release it.",
            "When no older code is running: `manage.py migrate --phase contract`.",
        ),
    )
