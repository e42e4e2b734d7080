"""Floor 4: judgement. This operation, on this server, hurts so; do these instead."""

from safemigrate.rules.base import (
    BaselineRead,
    Commands,
    Finding,
    HeldContract,
    Placed,
    Rule,
    SettingsRead,
    Step,
    Unreadable,
    Vouched,
    judge,
    registry,
    rule,
)

__all__ = [
    "BaselineRead",
    "Commands",
    "Finding",
    "HeldContract",
    "Placed",
    "Rule",
    "SettingsRead",
    "Step",
    "Unreadable",
    "Vouched",
    "judge",
    "registry",
    "rule",
]
