"""
What comes too early: behind a contract that waits for what is as new as itself.

Two runs of makemigrations about one thing come with one release: the second can start only when the
contract of the first is done, and that waits until the first has been rolled out, which nobody
can do, because the code of this release needs both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safemigrate.planner.cut import Cut
from safemigrate.planner.register import Key, Register

if TYPE_CHECKING:
    from safemigrate.planner.footprints import Footprint


@dataclass(frozen=True)
class Early:
    """
    ``later`` wait for the contract ``first``, which waits for ``begun`` to be rolled out.

    ``begun`` is about to run, or is ``first`` itself where nothing had to prepare it.
    """

    first: Key
    begun: Key
    later: Sequence[Key]


def too_early(cut: Cut, awaited: Callable[[Key], Collection[Key]]) -> list[Early]:
    """
    What no later moment of this release will bring.

    ``awaited``: what must have been rolled out before a contract that is held, parents first;
    itself if it is as new as this run.
    """
    waiting: dict[Key, list[Key]] = {}
    for key in cut.blocked:
        for first in _held_above(key, cut):
            waiting.setdefault(first, []).append(key)
    found: list[Early] = []
    for first, later in waiting.items():
        begun = [key for key in awaited(first) if key in cut.run or key == first]
        own = [key for key in begun if key[0] == first[0]] or begun
        if own:
            found.append(Early(first, own[0], later))
    return found


def _held_above(key: Key, cut: Cut) -> list[Key]:
    """Those held that are in its way, or in the way of what is."""
    found: dict[Key, None] = {}
    to_look_at, seen = [key], {key}
    while to_look_at:
        for other in sorted(cut.in_the_way.get(to_look_at.pop(), ())):
            if other in cut.held:
                found[other] = None
            elif other not in seen:
                seen.add(other)
                to_look_at.append(other)
    return list(found)


def reason(early: Early) -> str:
    first, later = ".".join(early.first), [".".join(key) for key in early.later]
    more = f", nor can {_list(later[1:])} behind it" if len(later) > 1 else ""
    until = "what came with it" if early.begun == early.first else ".".join(early.begun)
    return (
        f"{later[0]} comes too early: it cannot run before {first}{more}. They change the same "
        f"thing, and {first} waits until {until} has been rolled out. Both are new in this "
        "release, so that moment never comes."
    )


def way_out(early: Early, theirs: Container[str], before: Callable[[Key], str]) -> str:
    """
    What to do about it.

    ``theirs``: the apps whose files are an installed package's; ``before``: the name of the
    migration before one, in its app.
    """
    first, later = _name(early.first), _name(early.later[0])
    if early.first[0] in theirs:
        same = early.first[0] == early.later[0][0]
        lacking = f"a version that has {first} and not yet {later}" if same else "it"
        return (
            f"The files of {early.first[0]} are an installed package's: deploy {lacking} alone, "
            f"in a release before this one; or run {first} as it stands in a quiet hour: "
            f'SAFEMIGRATE["ASSURED"] = {{"{first}": "<why>"}}.'
        )
    alone = f"Deploy {first} and what comes before it alone, in a release before this one"
    if any(key[0] in theirs for key in early.later):
        return f"{alone}; then the package that brings {later}."
    starts: dict[str, Key] = {}
    for key in (early.begun, early.first, *early.later):
        starts.setdefault(key[0], key)
    files = _list([f"{_name(key)} and all that follows it in {key[0]}" for key in starts.values()])
    return (
        f"{alone}. Or let one run of makemigrations write both changes: delete {files}, and run "
        "makemigrations once. Where they are applied, as they may be on your own database, run "
        f"migrate {early.begun[0]} {before(early.begun)} before that."
    )


def pairs(new: Sequence[tuple[Key, Footprint]], contracts: Register) -> Iterator[tuple[Key, Key]]:
    """What is being written, with each contract of ``contracts`` that must be done before it."""
    for key, footprint in new:
        for first in sorted(contracts.meeting(footprint)):
            yield key, first


def note(found: Sequence[tuple[Key, Key]], database: str | None) -> str:
    """
    What makemigrations says of ``pairs``.

    ``database``: the alias of the one that says that they are not applied; None: none could.
    """
    lines = [
        f"{_name(later)} changes the same thing as {_name(first)}, which "
        + (
            f"is not applied in the database {database!r}."
            if database
            else "may not be applied: no database could be asked."
        )
        for later, first in found
    ]
    return "\n".join(
        [
            "Note:",
            *(f"  {line}" for line in lines),
            "  A contract waits until the release that it came with is rolled out. So what was "
            "written now must go out a release later, and migrate refuses both in one.",
            "  If none of it is deployed, one run can write both changes: delete the files of "
            "both (where they are applied, migrate back first) and run makemigrations once.",
        ]
    )


def _name(key: Key) -> str:
    """Of a part of a package's migration, which was rewritten, that of the whole."""
    return f"{key[0]}.{key[1].partition(' ')[0]}"


def _list(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    shown = names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more"]
    return " and ".join(", ".join(shown).rsplit(", ", 1))
