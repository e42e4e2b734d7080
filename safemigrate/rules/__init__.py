"""Floor 4: judgement. This operation, on this server, hurts so; do these instead."""

import importlib
import pkgutil

from safemigrate.rules.base import (
    REGISTRY,
    BaselineRead,
    Commands,
    Finding,
    HeldContract,
    Placed,
    Rule,
    SettingsRead,
    Step,
    Unreadable,
    judge,
    rule,
)

# Every file here is one rule; importing it registers it. In the order of their ids.
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
for _id in sorted(REGISTRY):
    REGISTRY[_id] = REGISTRY.pop(_id)

__all__ = [
    "REGISTRY",
    "BaselineRead",
    "Commands",
    "Finding",
    "HeldContract",
    "Placed",
    "Rule",
    "SettingsRead",
    "Step",
    "Unreadable",
    "judge",
    "rule",
]
