"""E201."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.migrations.operations.base import Operation

from safemigrate.facts.phases import Phase
from safemigrate.operations.phases import flat, phase_of, phases_of
from safemigrate.rules.base import Finding, Placed, rule


@rule("E201", "mixed-phases", about=Placed)
def mixed_phases(placed: Placed) -> Iterator[Finding]:
    """A migration of several phases can be neither held back nor run early."""
    migration = placed.migration
    phases = sorted(phases_of(migration), key=lambda phase: phase.order)
    if len(phases) < 2:
        return
    by_phase: dict[Phase, list[Operation]] = {phase: [] for phase in phases}
    for operation in flat(migration.operations):
        if (phase := phase_of(operation)) is not None:
            by_phase[phase].append(operation)
    yield Finding(
        what=f"The migration mixes {' and '.join(str(phase) for phase in phases)}.",
        why=(
            "Each phase has its own moment in a deploy. A mixed migration runs as a whole before "
            "the rollout: what it removes is still used by the running release, and a lock that "
            "one operation takes on its table is held until the last one is done."
        ),
        steps=tuple(
            f"{number}. {phase}, in a migration of its own: "
            + ", ".join(_name(operation) for operation in by_phase[phase])
            for number, phase in enumerate(phases, 1)
        ),
    )


def _name(operation: Operation) -> str:
    names = [getattr(operation, key, None) for key in ("model_name", "name")]
    inside = ".".join(name for name in names if isinstance(name, str))
    return f"{type(operation).__name__}({inside})" if inside else type(operation).__name__
