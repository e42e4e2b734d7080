"""Many footprints, and which of them meet another one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safemigrate.planner.footprints import Footprint

Key = tuple[str, str]
Table = tuple[str, str]


class Register:
    """By what they touch, so that those that meet one are found without a look at all others."""

    def __init__(self) -> None:
        self._members: dict[Table, dict[str, dict[Key, Footprint]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._guessed: dict[Key, Footprint] = {}
        self._all: dict[Key, Footprint] = {}

    def add(self, key: Key, footprint: Footprint) -> bool:
        """Whether it is new here."""
        if key in self._all:
            return False
        self._all[key] = footprint
        if footprint.unknown or footprint.texts:
            self._guessed[key] = footprint
        for touch in footprint.touches:
            self._members[touch.app_label, touch.model][touch.member][key] = footprint
        return True

    def meeting(self, footprint: Footprint) -> list[Key]:
        near = self._guessed | self._near(footprint)
        near = self._all if footprint.unknown or footprint.texts else near
        return [key for key, other in near.items() if other.meets(footprint)]

    def colliding(self, footprint: Footprint) -> list[Key]:
        near = self._near(footprint)
        return [key for key, other in near.items() if other.collides(footprint)]

    def _near(self, footprint: Footprint) -> dict[Key, Footprint]:
        near: dict[Key, Footprint] = {}
        for touch in footprint.touches:
            members = self._members.get((touch.app_label, touch.model), {})
            for member in touch.may_meet or members:
                near |= members.get(member, {})
        return near
