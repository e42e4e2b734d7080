"""What makemigrations writes: the autodetector's migrations, made safe and split by phase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.facts.phases import Phase
from safemigrate.planner.mended import two_releases
from safemigrate.planner.refusals import Refusal
from safemigrate.planner.renamed import renames
from safemigrate.planner.split import Part, backward_step, parts_of
from safemigrate.planner.taken import names_taken
from safemigrate.planner.walk import Walk, models_that_go

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.questioner import MigrationQuestioner

Changes = dict[str, list[Migration]]
Key = tuple[str, str]
Draft = Any
"""A migration being made; Django's stubs take its attributes for those of the class."""


@dataclass
class Context:
    """
    What the rewrite knows beside the operations.

    ``before``: the state of all migrations; ``questioner``: asks whether something was renamed,
    None if nobody is there; ``not_renamed``: ``app.model.field`` or ``app.model``, lower case, of
    which somebody has said already that they are not.
    """

    before: ProjectState
    connection: BaseDatabaseWrapper
    questioner: MigrationQuestioner | None
    not_renamed: frozenset[str] = frozenset()


@dataclass
class Outcome:
    changes: Changes
    refusals: list[Refusal] = field(default_factory=list)


def rewrite(changes: Changes, context: Context) -> Outcome:
    """Every migration in ``changes``, safe and split; dependencies between them repointed."""
    refusals = list(renames(changes, context))
    refusals += _moves_along_bases(changes, context.before)
    refusals += names_taken(changes, context.before)
    walk = Walk(context.before.clone(), context.connection, refusals=refusals)
    split: dict[Key, list[tuple[int, Draft]]] = {}
    for app_label, migration, going in _in_order(changes):
        rewritten = walk.through(migration.operations, app_label, going)
        parts = parts_of(rewritten, app_label)
        if clash := backward_step(parts):
            refusals.append(two_releases(app_label, *clash))
        split[app_label, migration.name] = _as_migrations(migration, parts)
    return Outcome(_joined(changes, split), refusals)


def _in_order(changes: Changes) -> Iterator[tuple[str, Migration, dict[str, bool]]]:
    """Each after those of this run that it depends on, so that its state is the right one."""
    left = [(app, migration) for app, new in changes.items() for migration in new]
    going = {
        app: models_that_go(o for m in new for o in m.operations) for app, new in changes.items()
    }
    names = {(app, migration.name) for app, migration in left}
    while left:
        ready = next(
            (one for one in left if not names & {tuple(d) for d in one[1].dependencies}), left[0]
        )
        left.remove(ready)
        names.discard((ready[0], ready[1].name))
        yield *ready, going[ready[0]]


def _moves_along_bases(changes: Changes, before: ProjectState) -> Iterator[Refusal]:
    """A field that moves between a model and its base: for a while both would have it."""
    all_of = [(app, o) for app, new in changes.items() for m in new for o in m.operations]
    removed = [(app, o) for app, o in all_of if isinstance(o, migrations.RemoveField)]
    for app, new in all_of:
        if not isinstance(new, migrations.AddField):
            continue
        for old_app, old in removed:
            here, there = (app, new.model_name_lower), (old_app, old.model_name_lower)
            related = here in _bases(before, there) or there in _bases(before, here)
            if related and old.name == new.name:
                yield Refusal(
                    app,
                    new,
                    reason=f"{old.model_name}.{old.name} moves to {new.model_name}. Until the "
                    "running release is gone both would have it, and Django allows a field once "
                    "along the bases of a model.",
                    do=f"Add it to {new.model_name} under another name and copy its values with "
                    f"BatchedBackfill; remove {old.model_name}.{old.name} when code uses the new "
                    "one.",
                )


def _bases(state: ProjectState, key: Key) -> Iterator[Key]:
    """The models with a table that a model inherits from."""
    model = state.models.get(key)
    for base in model.bases if model else ():
        if isinstance(base, str):
            app_label, name = base.lower().split(".", 1)
            yield app_label, name
            yield from _bases(state, (app_label, name))


def _as_migrations(migration: Migration, parts: Sequence[Part]) -> list[tuple[int, Draft]]:
    """
    Each with its rank, never lower than that of the one before it.

    The migration itself if nothing was rewritten, so that Django's own naming stands.
    """
    if len(parts) == 1 and parts[0].operations == migration.operations:
        return [(parts[0].rank, migration)]
    made: list[tuple[int, Draft]] = []
    rank = 0
    for number, part in enumerate(parts, start=1):
        rank = max(rank, part.rank)
        base = _with(migration, _telling(part)).suggest_name()
        story = base if len(parts) == 1 and part.phase is Phase.EXPAND else f"{base}_{part.phase}"
        new = _with(migration, part.operations, name=f"{migration.name}_{number}")
        new.atomic = part.atomic is not False
        new.suggest_name = lambda story=story: story
        new.of_phase = part.phase if len(parts) > 1 else None
        made.append((rank, new))
    return made


def _telling(part: Part) -> list[Operation]:
    """What the name of a file tells: an expand removes nothing, whatever it was written for."""
    removals = (migrations.RemoveField, migrations.DeleteModel)
    # What only tells the state has no words of its own.
    sources = [o for o in part.sources if o.migration_name_fragment] or part.sources
    additions = [o for o in sources if not isinstance(o, removals)]
    return additions if additions and part.phase is not Phase.CONTRACT else sources


def _with(migration: Migration, operations: Iterable[Operation], name: str = "") -> Draft:
    new: Draft = type("Migration", (Migration,), {})(name or migration.name, migration.app_label)
    new.operations = list(operations)
    new.initial = migration.initial
    return new


def _joined(changes: Changes, split: dict[Key, list[tuple[int, Draft]]]) -> Changes:
    """One line of migrations per app, expands first, and each depending on what it needs."""
    joined: Changes = {}
    for app_label, app_migrations in changes.items():
        line: list[tuple[int, Draft]] = []
        for original in app_migrations:
            for rank, migration in split[app_label, original.name]:
                migration.dependencies = [
                    _repointed(dependency, rank, split) for dependency in original.dependencies
                ]
                line.append((rank, migration))
        line.sort(key=lambda item: item[0])
        # Within an app the line says it all; a second edge to a sibling could make a circle.
        own = {(app_label, migration.name) for _, migration in line}
        for _, migration in line:
            migration.dependencies = [d for d in migration.dependencies if tuple(d) not in own]
        for (_, previous), (_, following) in pairwise(line):
            following.dependencies.append((app_label, previous.name))
        joined[app_label] = [migration for _, migration in line]
    return joined


def _repointed(dependency: Key, rank: int, split: dict[Key, list[tuple[int, Draft]]]) -> Key:
    """To the last part of the other migration that runs no later than this phase."""
    parts = split.get((dependency[0], dependency[1]))
    if not parts:
        return dependency
    in_time = [m for its_rank, m in parts if its_rank <= rank]
    target = in_time[-1] if in_time else parts[-1][1]
    return (dependency[0], target.name)
