"""What makemigrations says when a change cannot be carried through safely."""

from __future__ import annotations

from collections.abc import Sequence

from safemigrate import speak
from safemigrate.planner.refusals import Refusal


def refusal_text(
    refusals: Sequence[Refusal],
    by_hand: str = "write its migration by hand (makemigrations --empty)",
) -> str:
    """Every refusal whole; then what happened and the way past it."""
    parts = [_one(refusal) for refusal in refusals]
    parts.insert(0, "These changes cannot be made under load as they are. Nothing was written.")
    if any(refusal.finding for refusal in refusals):
        parts.append(
            f"If one of them is safe here, {by_hand} and wrap the operation: "
            'Assured(<the operation>, because="...").'
        )
    return "\n\n".join(parts)


def _one(refusal: Refusal) -> str:
    if refusal.finding is not None:
        return speak.finding_text(refusal.finding, refusal.app_label)
    return f"{refusal.app_label}: {refusal.reason}\n{refusal.do}"
