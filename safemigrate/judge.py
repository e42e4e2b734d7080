"""Judge a project's own migrations, each operation in the state in which it would start."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps as installed
from django.conf import settings
from django.db import DatabaseError, connections, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.utils.timezone import localdate

from safemigrate.assured import of_settings, words_of
from safemigrate.backends.versions import judged_version
from safemigrate.facts.ownership import is_first_party, is_first_party_app
from safemigrate.operations import Assured
from safemigrate.places import line_of
from safemigrate.planner.lineage import Lineage
from safemigrate.planner.register import Key
from safemigrate.planner.walk import note_new
from safemigrate.rules import Finding, Placed, Step, Unreadable, Vouched, judge
from safemigrate.rules.known import is_known

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True)
class Judged:
    """A finding and the migration it is about; ``replaces``: what a squash stands for."""

    finding: Finding
    app_label: str = ""
    migration: str = ""
    path: Path | None = None
    replaces: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.app_label}.{self.migration}" if self.migration else self.app_label

    @property
    def is_error(self) -> bool:
        return self.finding.rule.startswith("E")

    @property
    def line(self) -> int | None:
        """Where it is in the file; None if nobody can read that."""
        return line_of(self.path, self.finding.place)


@dataclass
class Judgement:
    """
    ``migrations``: how many were judged; ``third_party``: how many are somebody else's.

    ``lasts``: migration -> the last day of a word that excuses something in it. ``stopped``:
    whether some were not judged, because what comes before them cannot be read. ``models``: what
    there is after the last.
    """

    findings: list[Judged] = field(default_factory=list)
    migrations: int = 0
    third_party: int = 0
    lasts: dict[str, date] = field(default_factory=dict)
    stopped: bool = False
    models: frozenset[Key] = frozenset()


def judge_project(
    connection: BaseDatabaseWrapper | None = None,
    *,
    apps: Collection[str] | None = None,
    only: Collection[str] | None = None,
) -> list[Judged]:
    """
    Every finding in the project's migrations; opens no connection and never raises for them.

    ``apps``: labels, all by default. ``only``: migrations such as ``shop.0007_total``.
    """
    return judgement(connection, apps=apps, only=only).findings


def judgement(
    connection: BaseDatabaseWrapper | None = None,
    *,
    apps: Collection[str] | None = None,
    only: Collection[str] | None = None,
    fresh: Collection[str] = (),
    there: Collection[Key] = (),
    loading: Callable[[], MigrationLoader] = lambda: MigrationLoader(None),
) -> Judgement:
    """
    As ``judge_project``, with the counts.

    ``fresh``: migrations that run nowhere yet; a table that one of them makes is new to all of
    them, unless it is ``there``. ``loading``: how to read the files, if not as they are.
    """
    # Not the open one of whoever calls: what is found would depend on whether it is open yet.
    chosen = connection or judging_connection().copy()
    unreadable = _Unreadables()
    try:
        loader = loading()
    except (Exception, SystemExit) as error:  # noqa: BLE001  a migration may raise anything
        broken = list(unreadable.of_files()) or [unreadable.of_graph(error)]
        return Judgement(broken, stopped=True)
    whole = _Judging(loader, chosen, fresh, there).run(apps, only)
    whole.findings = [*unreadable.of_conflicts(loader), *whole.findings]
    if apps is None and only is None:
        whole.findings += [Judged(finding) for finding in _of_settings(loader)]
    return whole


def _of_settings(loader: MigrationLoader) -> Iterator[Finding]:
    foreign = (
        ".".join(key)
        for key, migration in loader.graph.nodes.items()
        if not is_ours(migration, path_of(migration))
    )
    return of_settings(localdate(), foreign)


def judging_connection() -> BaseDatabaseWrapper:
    """The default connection, or the first on PostgreSQL: a file is judged where it hurts."""
    default = connections["default"]
    if default.vendor == "postgresql":
        return default
    others = (connections[alias] for alias in connections if alias != "default")
    return next((other for other in others if other.vendor == "postgresql"), default)


class _Unreadables:
    """What keeps a project from being judged, as findings."""

    def of_files(self) -> Iterator[Judged]:
        """Import each migration by itself, so that every broken one is named."""
        for config in installed.get_app_configs():
            module, _ = MigrationLoader.migrations_module(config.label)
            if module is None:
                continue
            try:
                package = importlib.import_module(module)
            except (Exception, SystemExit) as error:  # noqa: BLE001  as above
                if config.label in settings.MIGRATION_MODULES or not _is_absent(error, module):
                    yield self._one(config.label, "", error)
                continue
            for finder, name, is_package in pkgutil.iter_modules(getattr(package, "__path__", [])):
                if is_package or name[0] in "_~":
                    continue
                try:
                    loaded = importlib.import_module(f"{module}.{name}")
                except (Exception, SystemExit) as error:  # noqa: BLE001  as above
                    yield self._one(config.label, name, error, finder)
                    continue
                if not hasattr(loaded, "Migration"):
                    text = "The file has no class Migration."
                    yield self._one(config.label, name, text, finder)

    def of_graph(self, error: BaseException) -> Judged:
        said = Unreadable("The graph of the migrations", error)
        return Judged(judge(said)[0])

    def of_conflicts(self, loader: MigrationLoader) -> Iterator[Judged]:
        for label, names in sorted(loader.detect_conflicts().items()):
            text = f"{', '.join(sorted(names))} are both the last; run makemigrations --merge."
            yield Judged(judge(Unreadable(f"The order of {label}", text))[0], label)

    def _one(self, label: str, name: str, error: BaseException | str, finder: Any = None) -> Judged:
        full = f"{label}.{name}" if name else f"The migrations of {label}"
        folder = getattr(finder, "path", None)
        path = Path(folder) / f"{name}.py" if folder else None
        return Judged(judge(Unreadable(full, error))[0], label, name, path)


def _is_absent(error: BaseException, module: str) -> bool:
    """Whether an app simply has no migrations, rather than broken ones."""
    return isinstance(error, ModuleNotFoundError) and error.name == module


class _Judging:
    """One pass over the whole plan, with one state that is changed operation by operation."""

    version: tuple[int, ...] | None = None

    def __init__(
        self,
        loader: MigrationLoader,
        connection: BaseDatabaseWrapper,
        fresh: Collection[str] = (),
        there: Collection[Key] = (),
    ) -> None:
        self.loader = loader
        self.plan = self._plan()
        self.lineage = Lineage(loader.graph, self.plan)
        self.vendor = connection.vendor
        self.version = judged_version(connection)
        self.connection = _mute(connection)
        self.result = Judgement()
        self.today = localdate()
        self.fresh, self.there = fresh, there
        self.fresh_models: set[Key] = set()
        self.first_models: set[Key] = set()

    def run(self, apps: Collection[str] | None, only: Collection[str] | None) -> Judgement:
        state = ProjectState(real_apps=self.loader.unmigrated_apps)
        for key in self.plan:
            migration: Migration = self.loader.graph.nodes[key]
            path = path_of(migration)
            if not is_ours(migration, path):
                self.result.third_party += 1
                wanted = False
            else:
                wanted = (apps is None or key[0] in apps) and (
                    only is None or ".".join(key) in only
                )
                self.result.migrations += wanted
            try:
                findings = list(self._replayed(migration, state, wanted))
            except Exception as error:  # noqa: BLE001  an operation may raise anything
                said = judge(Unreadable(".".join(key), error))
                self.result.findings += [Judged(f, *key, path) for f in said]
                self.result.stopped = True
                return self.result  # the states after this one are unknown
            replaces = tuple(".".join(replaced) for replaced in migration.replaces)
            self.result.findings += [Judged(f, *key, path, replaces) for f in findings]
        self.result.models = frozenset(state.models)
        return self.result

    def _plan(self) -> list[Key]:
        graph = self.loader.graph
        plan: dict[Key, None] = {}
        for leaf in sorted(graph.leaf_nodes()):
            plan.update(dict.fromkeys(graph.forwards_plan(leaf)))
        return list(plan)

    def _replayed(
        self, migration: Migration, state: ProjectState, wanted: bool
    ) -> Iterator[Finding]:
        key = (migration.app_label, migration.name)
        is_fresh = ".".join(key) in self.fresh
        # Two apps that refer to each other begin with more than one file each, of one run.
        is_first = migration.initial is True
        new_models = {model for model in self.first_models if is_first and model[0] == key[0]}
        new_models |= self.fresh_models if is_fresh else set()
        found: list[Finding] = []
        for place, operation in enumerate(migration.operations):
            if wanted:
                said = self._of_operation(operation, migration, state, new_models)
                found += (dataclasses.replace(finding, place=place) for finding in said)
            note_new(operation, migration.app_label, new_models)
            operation.state_forwards(migration.app_label, state)
        if is_first:
            self.first_models |= new_models
        if is_fresh:
            self.fresh_models |= new_models.difference(self.there)
        if wanted:
            placed = Placed(migration, lambda: self.lineage.after(key), self.vendor, state)
            found += judge(placed)
            yield from self._excused(migration, found)

    def _of_operation(
        self,
        operation: Operation,
        migration: Migration,
        state: ProjectState,
        new_models: set[Key],
        *,
        nested: bool = False,
    ) -> Iterator[Finding]:
        if isinstance(operation, Assured):
            bare = operation.operation
            found = tuple(self._of_operation(bare, migration, state, new_models, nested=nested))
            name = f"Assured({type(operation.operation).__name__})"
            word = Vouched(name, operation.assurance, self.today, found)
            yield from self._vouched(word, migration)
            return
        step = self._step(operation, migration, state, new_models)
        if isinstance(operation, migrations.SeparateDatabaseAndState) and is_known(operation):
            if operation.state_operations and not nested:
                yield from judge(step)  # as a whole: whether its halves agree
            inside = state
            for one in operation.database_operations:
                yield from self._of_operation(one, migration, inside, new_models, nested=True)
                if _changes_the_state(one):  # a copy of the state is a copy of every model
                    inside = state.clone() if inside is state else inside
                    one.state_forwards(migration.app_label, inside)
            return
        yield from judge(step)

    def _step(
        self, operation: Operation, migration: Migration, state: ProjectState, new_models: set[Key]
    ) -> Step:
        key = (migration.app_label, migration.name)
        return Step(
            app_label=migration.app_label,
            operation=operation,
            before=state,
            migration=migration,
            vendor=self.vendor,
            version=self.version,
            new_models=frozenset(new_models),
            connection=self.connection,
            ancestors=lambda: self.lineage.before(key),
            after=lambda: self.lineage.after(key),
        )

    def _vouched(self, word: Vouched, migration: Migration) -> Iterator[Finding]:
        """What is said about the word itself, and what it does not silence (any more)."""
        if word.assurance is not None and word.assurance.until is not None:
            name = f"{migration.app_label}.{migration.name}"
            first = self.result.lasts.get(name, word.assurance.until)
            self.result.lasts[name] = min(first, word.assurance.until)
        yield from judge(dataclasses.replace(word, vendor=self.vendor))
        if word.assurance is None or word.assurance.is_over(self.today):
            yield from word.silenced

    def _excused(self, migration: Migration, found: list[Finding]) -> Iterator[Finding]:
        """Without what the migration's own ``assured`` excuses, by rule."""
        words, wrong = words_of(migration)
        for by, why in wrong:
            yield from self._vouched(Vouched(by, None, self.today, wrong=why), migration)
        yield from (finding for finding in found if finding.rule not in words)
        for rule, said in words.items():
            silenced = tuple(finding for finding in found if finding.rule == rule)
            word = Vouched(f"assured[{rule!r}]", said, self.today, silenced)
            yield from self._vouched(word, migration)


def _changes_the_state(operation: Operation) -> bool:
    """Whether it may. SQL and Python leave the models as they are, unless they say otherwise."""
    forwards: Any = type(operation).state_forwards
    if forwards is migrations.RunSQL.state_forwards:
        sql: Any = operation
        return bool(sql.state_operations)
    return forwards is not migrations.RunPython.state_forwards


def path_of(migration: Migration) -> Path | None:
    """The file that a migration was loaded from."""
    module = sys.modules.get(type(migration).__module__)
    found = getattr(module, "__file__", None)
    return Path(found) if found else None


def is_ours(migration: Migration, path: Path | None) -> bool:
    """Whether this project's authors can change it."""
    if not is_first_party_app(installed.get_app_config(migration.app_label)):
        return False
    return path is None or is_first_party(str(path.parent))


def _mute(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """A wrapper that knows its types and cannot be opened: some fields ask the database."""
    mute: Any = connection.copy()

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("Judging a migration must not ask the database.")

    mute.connect = mute.ensure_connection = mute._cursor = refuse
    wrapper: BaseDatabaseWrapper = mute
    return wrapper
