"""What each release must read, told from what both of them wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.stories.rows import Row

Side = Literal["old", "new"]
Key = tuple[str, Any]
Described = dict[str, dict[str, Any]]

ANYTHING = object()
A_VALUE = ...  # anything but NULL


@dataclass
class Cell:
    """
    One value of one row, as each release may find it: one of these.

    ``fills``: what a NULL may have become, for either side, once it has.
    """

    old: list[Any]
    new: list[Any]
    fills: list[Any] = field(default_factory=list)
    settles: bool = True

    def read(self, side: Side, value: Any) -> bool:
        """Whether ``value`` may be; what was open before is settled by it."""
        allowed: list[Any] = getattr(self, side)
        if not any(_is(value, one) for one in allowed):
            return False
        named = any(_is(value, one) for one in allowed if one not in (ANYTHING, A_VALUE))
        if self.settles and not named:
            setattr(self, side, [value])
        if self.fills and value is not None:
            self.old = self.new = [value]
        return True


def _is(value: Any, wanted: Any) -> bool:
    if wanted is ANYTHING:
        return True
    if wanted is A_VALUE:
        return value is not None
    return bool(value == wanted) and (value is None) == (wanted is None)


class Oracle:
    """Rows by key; a field that both releases know is one cell, seen from two sides."""

    def __init__(self, row: Row, apps: list[str], known: dict[Side, Described]) -> None:
        self.row, self.apps, self.known = row, apps, known
        self.rows: dict[Key, dict[str, Cell]] = {}
        self.renamed = {self.full(old): self.full(new) for old, new in row.renamed.items()}
        self.converted = {self.full(name): both for name, both in row.converted.items()}
        self.fills = {self.full(name): value for name, value in row.fills.items()}
        self.holes = {self.full(name) for name in row.holes}
        self.names = {side: self._names(side) for side in known}

    def full(self, name: str) -> str:
        """``shop.Order.title`` for ``Order.title``."""
        return name if name.partition(".")[0] in self.apps else f"shop.{name}"

    def values(self, side: Side) -> dict[str, str]:
        """The row's own expressions, under the names that this release has for the fields."""
        given = {self.full(name): text for name, text in self.row.values.items()}
        for old, new in self.renamed.items():
            for name in list(given):
                if side == "new" and (name == old or name.startswith(f"{old}.")):
                    given.setdefault(name.replace(old, new, 1), given[name])
                if side == "old" and (name == new or name.startswith(f"{new}.")):
                    given.setdefault(name.replace(new, old, 1), given[name])
        return given

    def limits(self, side: Side) -> dict[str, dict[str, Any]]:
        """``label.attname`` -> what the other release asks of a field that both know."""
        other: Side = "new" if side == "old" else "old"
        found = {}
        for label in self.known[side]:
            now = self.label(side, label)
            back = {cell: attname for attname, cell in self.names[other].get(now, {}).items()}
            for attname, cell in self.names[side][now].items():
                if cell in back:
                    info = self._info(other, now, back[cell])
                    # The old release must not leave what ends the new one's NOT NULL; the new one
                    # may write the NULLs that it has just allowed.
                    wanted = side == "old" and not info["null"]
                    never_null = wanted and not self._fill(now, cell[1:])
                    found[f"{label}.{attname}"] = {**info, "never_null": never_null}
        return found

    # Names -------------------------------------------------------------------------------------

    def _names(self, side: Side) -> dict[str, dict[str, str]]:
        """
        ``{label: {attname: name of the cell}}``, labels as in the new release.

        The name is the attname of the new release behind ``=`` for a field of both releases,
        ``-`` for one of the old, ``+`` for one of the new.
        """
        mine = self._by_label(side)
        theirs = self._by_label("new" if side == "old" else "old")
        mark = "-" if side == "old" else "+"
        return {
            label: {
                attname: ("=" if now in theirs.get(label, {}).values() else mark) + now
                for attname, now in names.items()
            }
            for label, names in mine.items()
        }

    def _by_label(self, side: Side) -> dict[str, dict[str, str]]:
        known = self.known[side]
        if side == "new":
            return {label: {name: name for name in known[label]["fields"]} for label in known}
        return {
            self.label(side, label): {
                name: self._now(label, name) for name in known[label]["fields"]
            }
            for label in known
        }

    def label(self, side: Side, label: str) -> str:
        return self.renamed.get(label, label) if side == "old" else label

    def _now(self, label: str, attname: str) -> str:
        """The attname in the new release of a field of the old one."""
        info = self.known["old"][label]["fields"][attname]
        for form in (info["name"], attname):
            if new := self.renamed.get(f"{label}.{form}"):
                bare = new.rpartition(".")[2]
                fields = self.known["new"].get(self.label("old", label), {}).get("fields", {})
                named = [name for name, there in fields.items() if there["name"] == bare]
                return named[0] if named else bare
        return attname

    def forget_new(self) -> None:
        """The new columns are gone; when they come again they are filled anew."""
        labels = {self.label("old", label) for label in self.known["old"]}
        self.rows = {key: cells for key, cells in self.rows.items() if key[0] in labels}
        for (label, _), cells in self.rows.items():
            for name in [name for name in cells if name.startswith("+")]:
                del cells[name]
            self._complete(label, cells)

    # Writing -----------------------------------------------------------------------------------

    def log(self, side: Side, entries: list[tuple[Any, ...]]) -> None:
        for what, label, pk, *rest in entries:
            key = (self.label(side, label), pk)
            if what == "deleted":
                assert self.rows.pop(key, None) is not None, f"{key} was deleted twice"
            else:
                self._save(side, key, rest[0])

    def _save(self, side: Side, key: Key, values: Mapping[str, Any]) -> None:
        label = key[0]
        cells = self.rows.setdefault(key, {})
        for attname, name in self.names[side][label].items():
            if attname in values:
                cells[name] = self._written(side, label, name[1:], values[attname])
        self._complete(label, cells)

    def _written(self, side: Side, label: str, name: str, value: Any) -> Cell:
        to_new, to_old = self.converted.get(f"{label}.{name}", (_same, _same))
        fills = self._fill(label, name)
        if side == "old":
            if value is None and self._is_a_hole(label, name):
                return Cell([ANYTHING], [ANYTHING], settles=False)
            if value is None and fills:
                return Cell([None, *fills], fills, fills)
            return Cell([value], [to_new(value)])
        return Cell([to_old(value)], [value])

    def _is_a_hole(self, label: str, name: str) -> bool:
        info = self.known["new"].get(label, {}).get("fields", {}).get(name, {})
        return f"{label}.{info.get('name', name)}" in self.holes

    def _fill(self, label: str, name: str) -> list[Any]:
        info = self.known["new"].get(label, {}).get("fields", {}).get(name, {})
        for form in (name, info.get("name", name)):
            if f"{label}.{form}" in self.fills:
                value = self.fills[f"{label}.{form}"]
                return list(value) if isinstance(value, list) else [value]
        return []

    def _complete(self, label: str, cells: dict[str, Cell]) -> None:
        """What nobody wrote: fields that the release that made this row does not know."""
        for side, names in self.names.items():
            for attname, name in names.get(label, {}).items():
                if name not in cells:
                    cells[name] = self._open(side, label, attname, name)
                if self._info(side, label, attname)["generated"]:
                    cells[name] = Cell([ANYTHING], [ANYTHING], settles=False)

    def _info(self, side: Side, label: str, attname: str) -> dict[str, Any]:
        known = self.known[side]
        own = next((own for own in known if self.label(side, own) == label), label)
        return dict(known[own]["fields"][attname])

    def _open(self, side: Side, label: str, attname: str, name: str) -> Cell:
        info = self._info(side, label, attname)
        if self._is_a_hole(label, name[1:]):
            return Cell([ANYTHING], [ANYTHING], settles=False)
        if fills := self._fill(label, name[1:]):
            return Cell(fills, fills)
        if info["volatile"]:
            anything = [ANYTHING if info["null"] or side == "old" else A_VALUE]
            return Cell(anything, list(anything))
        may = [info["default"]]
        if info["null"] or side == "old":
            may.append(None)
        return Cell(may, list(may))

    # Reading -----------------------------------------------------------------------------------

    def check(self, side: Side, found: dict[str, dict[Any, dict[str, Any]]], when: str) -> None:
        wrong: list[str] = []
        for label, rows in found.items():
            now = self.label(side, label)
            wanted = {pk for other, pk in self.rows if other == now}
            if wanted != set(rows):
                missing, more = sorted(wanted - set(rows)), sorted(set(rows) - wanted)
                wrong.append(f"{label}: rows {missing} are missing, {more} are too many")
            names = self.names[side][now]
            for pk in wanted & set(rows):
                wrong += self._check_row(side, label, pk, rows[pk], names)
        assert not wrong, f"{when}, {side} code reads:\n" + "\n".join(wrong[:20])

    def _check_row(
        self, side: Side, label: str, pk: Any, row: dict[str, Any], names: dict[str, str]
    ) -> list[str]:
        cells = self.rows[self.label(side, label), pk]
        wrong = []
        for attname, value in row.items():
            cell = cells[names[attname]]
            before = getattr(cell, side)
            if not cell.read(side, value):
                said = ["anything" if one in (ANYTHING, A_VALUE) else one for one in before]
                wrong.append(f"{label} {pk}: {attname} is {value!r}, not {said}")
        return wrong


def _same(value: Any) -> Any:
    return value
