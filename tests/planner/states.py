"""Models of before and after, and what makemigrations would write between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.migration import Migration
from django.db.migrations.questioner import (
    InteractiveMigrationQuestioner,
    MigrationQuestioner,
    NonInteractiveMigrationQuestioner,
)
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.operations.phases import phase_of_migration
from safemigrate.planner.autodetector import composed, refusing_with
from safemigrate.planner.refusals import Refusal

Key = tuple[str, str]


class Agrees(InteractiveMigrationQuestioner):
    """Somebody at a terminal who says yes to renames, and no to everything else."""

    def __init__(self, *, renames: bool) -> None:
        super().__init__()
        self.renames = renames

    def ask_rename(self, *args: object) -> bool:
        return self.renames

    def ask_rename_model(self, *args: object) -> bool:
        return self.renames


@dataclass
class File:
    """One migration as it would be written."""

    app: str
    name: str
    phase: str
    atomic: bool
    operations: list[str]
    dependencies: list[Key]
    migration: Migration


@dataclass
class Written:
    files: list[File]
    refusals: Sequence[Refusal]

    @property
    def story(self) -> list[str]:
        return [f"{file.app}.{file.name}" for file in self.files]

    @property
    def operations(self) -> dict[str, list[str]]:
        return {file.phase: file.operations for file in self.files}


def model(
    name: str, app: str = "shop", options=None, bases=(models.Model,), **fields
) -> ModelState:
    key = {} if "id" in fields else {"id": models.BigAutoField(primary_key=True)}
    return ModelState(app, name, list({**key, **fields}.items()), options or {}, bases)


def state(*all_models: ModelState) -> ProjectState:
    made = ProjectState()
    for one in all_models:
        made.add_model(one.clone())
    return made


def written(
    before: Sequence[ModelState],
    after: Sequence[ModelState],
    questioner: MigrationQuestioner | None = None,
    name: str | None = None,
    not_renamed: Sequence[str] = (),
) -> Written:
    """What makemigrations makes of it; ``before`` is 0001_initial of each app."""
    graph = MigrationGraph()
    for app in sorted({one.app_label for one in before}):
        graph.add_node((app, "0001_initial"), Migration("0001_initial", app))
    detector = composed(MigrationAutodetector)(
        state(*before),
        state(*after),
        questioner or NonInteractiveMigrationQuestioner(specified_apps={"shop", "crm"}),
    )
    refusals: list[Refusal] = []
    with refusing_with(refusals.extend, not_renamed):
        changes = detector.changes(graph=graph, migration_name=name)
    files = [
        File(
            app,
            migration.name,
            str(phase_of_migration(migration)),
            migration.atomic,
            [type(o).__name__ for o in migration.operations],
            [tuple(d) for d in migration.dependencies],
            migration,
        )
        for app, new in changes.items()
        for migration in new
    ]
    _check_that_it_loads(graph, files)
    _check_that_it_arrives(state(*before), state(*after), graph, files, refusals)
    return Written(files, refusals)


def _check_that_it_loads(graph: MigrationGraph, files: Sequence[File]) -> None:
    """No circle and no dependency on what is not there."""
    for file in files:
        graph.add_node((file.app, file.name), file.migration)
    for file in files:
        for needed in file.dependencies:
            graph.add_dependency(file.migration, (file.app, file.name), needed)
    graph.validate_consistency()
    graph.ensure_not_cyclic()
    for app in {file.app for file in files}:
        assert len(graph.leaf_nodes(app)) == 1, "two leaves are a conflict"


def _check_that_it_arrives(before, after, graph, files, refusals) -> None:
    """``makemigrations --check`` is clean afterwards: the files lead to the models' state."""
    if refusals:
        return
    order: list[Key] = []
    for leaf in graph.leaf_nodes():
        order += [key for key in graph.forwards_plan(leaf) if key not in order]
    by_key = {(file.app, file.name): file.migration for file in files}
    reached = before.clone()
    for key in order:
        if key in by_key:
            reached = by_key[key].mutate_state(reached, preserve=False)
    left = MigrationAutodetector(reached, after, NonInteractiveMigrationQuestioner())
    assert left.changes(graph=graph) == {}


def order(**fields) -> list:
    return [model("Order", **fields)]


def adding(field: models.Field) -> Written:
    return written(order(), order(extra=field))
