"""Django's executor, with locks taken patiently, a gate before contracts, and a record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import DatabaseError, migrations, transaction
from django.db import Error as DatabaseProblem
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.utils.timezone import localdate, now

from safemigrate import backfill
from safemigrate.backends import PlainServer, backend_for
from safemigrate.backends.base import Take
from safemigrate.executor import adopting, explaining
from safemigrate.executor.foreign import ForeignMigrations
from safemigrate.executor.gathering import Gatekeeper, RunOptions, is_of_a_test_run
from safemigrate.executor.ledger import Ledger, Statement, insert, named_error
from safemigrate.executor.loader import SafeLoader
from safemigrate.executor.schema_editor import safe_schema_editor
from safemigrate.executor.way_back import refuse_one, refuse_whole, states_before
from safemigrate.facts import settings
from safemigrate.facts.errors import DataInTheWay, SafeMigrateError
from safemigrate.facts.locks import TableLock
from safemigrate.facts.patience import Patience
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import say
from safemigrate.operations import BatchedBackfill
from safemigrate.operations.phases import flat, phase_of_migration, waits_for_rollout
from safemigrate.planner.cut import Cut, rising
from safemigrate.planner.register import Key
from safemigrate.planner.tables import table_locks

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Plan = list[tuple[Migration, bool]]

ROW_WAIT = timedelta(seconds=2)
"""How long a statement of a data migration may wait for a row that somebody is changing."""


class SafeExecutor(MigrationExecutor):
    """
    Runs what is due.

    Re-run: an atomic migration is recorded in its own transaction, deferred SQL included; any
    other one goes on where it stopped, because its operations look before they act.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        progress_callback: Callable[..., Any] | None = None,
        options: RunOptions | None = None,
    ) -> None:
        # Not super().__init__(): it would load the whole graph with a loader that is not ours.
        self.connection = connection
        with explaining.rights_explained(connection, explaining.UNREAD):
            self.loader: SafeLoader = SafeLoader(connection)
        self.recorder = MigrationRecorder(connection)
        self.progress_callback = progress_callback
        self.backend = backend_for(connection)
        project = settings.current()
        self.ledger = Ledger(connection, project.release)
        self.gatekeeper = Gatekeeper(
            self.loader, self.backend, self.ledger, project, options or RunOptions()
        )
        self._first_install = not self.loader.applied_migrations
        self.foreign = ForeignMigrations(
            self.loader, connection, self.ledger, assured=project.assured_on(localdate())
        )
        if self.backend.commits_by_itself and not self._first_install:
            alone = django_settings.DEBUG or is_of_a_test_run(connection)
            with explaining.rights_explained(connection, explaining.UNREAD):
                self.foreign.arrange(new=not alone)
        self.cut: Cut | None = None
        """What ``migration_plan`` last left out, and why; None if nothing was looked at."""
        self.planned: list[Key] = []
        """What it last planned to apply."""

    # The plan ------------------------------------------------------------------------------

    @explaining.explaining_rights(explaining.UNREAD)
    def migration_plan(self, targets: Any, clean_start: bool = False) -> Plan:
        """Django's plan without what must wait, and with what was held before and is due now."""
        plan: Plan = super().migration_plan(targets, clean_start=clean_start)
        if clean_start or any(backwards for _, backwards in plan):
            return plan
        keys = self._unapplied(targets, plan)
        if not self.gatekeeper.runs_straight_through():
            self.cut = self.gatekeeper.cut(keys)
            keys = self.cut.run
        self.planned = keys
        return [(self.loader.graph.nodes[key], False) for key in keys]

    def _unapplied(self, targets: Sequence[Any], plan: Plan) -> list[Key]:
        """Django plans nothing for a leaf that is applied, though an ancestor may have waited."""
        keys = [(migration.app_label, migration.name) for migration, _ in plan]
        planned = set(keys)
        graph = self.loader.graph
        waited: list[Key] = []
        for target in targets:
            if target[1] is None or target not in self.loader.applied_migrations:
                continue
            for key in graph.forwards_plan(target):
                if key not in self.loader.applied_migrations and key not in planned:
                    planned.add(key)
                    waited.append(key)
        if not waited:
            return keys
        # One order for both kinds: the one that Django would follow on an empty database.
        everything = super().migration_plan(graph.leaf_nodes(), clean_start=True)
        order = [(migration.app_label, migration.name) for migration, _ in everything]
        return [key for key in order if key in planned]

    @property
    def plans_a_backfill(self) -> bool:
        nodes = self.loader.graph.nodes
        return any(
            isinstance(operation, BatchedBackfill)
            for key in self.planned
            for operation in flat(nodes[key].operations)
        )

    def held_in_phase(self, phase: Phase) -> list[Key]:
        nodes = self.loader.graph.nodes
        held = self.cut.held if self.cut else {}
        return [key for key in held if phase_of_migration(nodes[key]) is phase]

    # Running -------------------------------------------------------------------------------

    def migrate(
        self,
        targets: Any,
        plan: Sequence[tuple[Migration, bool]] | None = None,
        state: ProjectState | None = None,
        fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:
        # An adopted database has tables in use although it has no history.
        self._first_install = self._first_install and not fake_initial
        keys = [(migration.app_label, migration.name) for migration, _ in plan or ()]
        self.foreign.refuse(keys)
        if not fake:
            self.gatekeeper.refuse_early(self.cut)
        for sentence in self.foreign.told(keys):
            say(sentence)
        self._note_release(plan)
        self._note_held()
        if self._first_install and plan:
            self.ledger.begin_install()
        with ExitStack() as stack:
            stack.enter_context(safe_schema_editor(self.connection))
            if self._first_install:
                # Nobody uses the tables yet: one bound for all, instead of locks for each.
                stack.enter_context(self.backend.bounded(ROW_WAIT))
            if plan and not fake and all(backwards for _, backwards in plan):
                self._refuse_half_a_way_back([migration for migration, _ in plan])
            plan = self.migration_plan(targets) if plan is None else plan
            first, *others = self._in_order(plan)
            after = super().migrate(targets, first, state, fake, fake_initial)
            for part in others:
                after = super().migrate(targets, part, after, fake, fake_initial)
        if self.ledger.unfinished_install() is not None:
            self.ledger.end_install()
        return after

    def _in_order(self, plan: Sequence[tuple[Migration, bool]]) -> list[Plan]:
        """Parts that Django, which goes by the order of the whole graph, runs as ``cut`` says."""
        contracts = any(waits_for_rollout(migration) for migration, _ in plan)
        if self.cut is None or not contracts or any(backwards for _, backwards in plan):
            return [list(plan)]
        everything = super().migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)
        place = {migration: number for number, (migration, _) in enumerate(everything)}
        return [list(part) for part in rising(plan, lambda step: place[step[0]])]

    def _migrate_all_backwards(self, plan: Any, full_plan: Any, fake: bool) -> ProjectState:
        """
        Django's states have no model of an app that its order has later, though it is applied.

        What refers to a field that goes back from there would be taken for somebody's own.
        """
        others_first = _others_first(full_plan, [migration for migration, _ in plan])
        below: Any = super()
        after: ProjectState = below._migrate_all_backwards(plan, others_first, fake)
        return after

    def _refuse_half_a_way_back(self, plan: Sequence[Migration]) -> None:
        if len(plan) < 2 or self.connection.in_atomic_block:
            return  # a question that fails would end somebody's transaction
        everything = super().migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)
        states = states_before(
            plan,
            [migration for migration, _ in _others_first(everything, plan)],
            self.loader.applied_migrations,
            ProjectState(real_apps=self.loader.unmigrated_apps),
        )
        refuse_whole(self.connection, plan, states)

    @explaining.explaining_rights(explaining.UNWRITTEN)
    def _note_release(self, plan: Sequence[Any] | None) -> None:
        """The order of releases is the order in which they came to this database."""
        if (
            plan is not None
            and not plan
            and (not self.ledger.release or not self.recorder.has_table())
        ):
            return
        self.ledger.ensure_table()
        releases = self.ledger.releases() if self.ledger.release else []
        if self.ledger.release and self.ledger.release not in releases:
            self.ledger.begin()

    @explaining.explaining_rights(explaining.UNWRITTEN)
    def _note_held(self) -> None:
        """What waits, and what waited and is in the code no more, which an old release may use."""
        if not self.ledger.release or not self.ledger.exists():
            return
        self.ledger.leave(
            self.loader.applied_migrations.keys() | self.loader.graph.nodes.keys(),
            self.loader.migrated_apps,
        )
        if self.cut and self.cut.held:
            self.ledger.hold(self.cut.held)

    def apply_migration(
        self,
        state: ProjectState,
        migration: Migration,
        fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:
        self._report("apply_start", migration, fake)
        with self._recorded("apply", migration) as started:
            if fake_initial and not fake:
                # Django looks whether the tables of an initial migration are there already.
                fake, state = self.detect_soft_applied(state, migration)
            if fake:
                with transaction.atomic(using=self.connection.alias):
                    self._record(migration, started, "fake")
            else:
                self._top_up(state, migration)
                state = self._run(
                    migration,
                    state,
                    lambda before, editor: migration.apply(before, editor),
                    lambda: self._record(migration, started, "apply"),
                )
        self._report("apply_success", migration, fake)
        return state

    def unapply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False
    ) -> ProjectState:
        self._report("unapply_start", migration, fake)
        with self._recorded("unapply", migration) as started:
            if fake:
                with transaction.atomic(using=self.connection.alias):
                    self._record(migration, started, "unapply")
            else:
                refuse_one(self.connection, migration, state)
                state = self._run(
                    migration,
                    state,
                    lambda before, editor: migration.unapply(before, editor),
                    lambda: self._record(migration, started, "unapply"),
                    backwards=True,
                )
        self._report("unapply_success", migration, fake)
        return state

    def _run(
        self,
        migration: Migration,
        state: ProjectState,
        work: Callable[[ProjectState, Any], ProjectState],
        record: Callable[[], None],
        *,
        backwards: bool = False,
    ) -> ProjectState:
        with backfill.for_migration(f"{migration.app_label}.{migration.name}"):
            if migration.atomic and self.connection.features.can_rollback_ddl:
                locks = table_locks(migration, state, self.connection.alias, backwards=backwards)
                return self._in_one_transaction(migration, state, locks, work, record)
            return self._step_by_step(migration, state, work, record)

    def _in_one_transaction(
        self,
        migration: Migration,
        state: ProjectState,
        locks: Sequence[TableLock],
        work: Callable[[ProjectState, Any], ProjectState],
        record: Callable[[], None],
    ) -> ProjectState:
        """All its tables are locked at the start, without queueing, or nothing is done."""
        row_wait = changes_rows(migration)
        together = _sends_at_once(migration)
        ready: ProjectState | None = state

        def attempt(take: Take) -> ProjectState:
            nonlocal ready, together
            # Django works on the state in place, so a further attempt needs a fresh one; it is
            # made here, where nothing is locked while models are rendered.
            ready = ready or self._fresh_state(migration)
            editor: Any  # Django's with our mixin in front
            with self.connection.schema_editor(atomic=True) as editor:
                if together and not self._first_install:
                    editor.before_first = take.words
                elif not self._first_install:
                    take()
                together = False
                if row_wait:
                    self.backend.bound_transaction(editor, ROW_WAIT)
                before, ready = ready, None
                after = work(before, editor)
                editor.run_deferred_sql()
                record()
            return after

        return self.backend.retrying(locks, attempt)

    def _step_by_step(
        self,
        migration: Migration,
        state: ProjectState,
        work: Callable[[ProjectState, Any], ProjectState],
        record: Callable[[], None],
    ) -> ProjectState:
        wait = ROW_WAIT if changes_rows(migration) else Patience.short_wait
        with self.backend.bounded(wait):
            with self.connection.schema_editor(atomic=False) as editor:
                after = work(state, editor)
            with transaction.atomic(using=self.connection.alias):
                record()
        return after

    def _fresh_state(self, migration: Migration) -> ProjectState:
        """
        What ``migration`` starts from, made anew.

        Forwards that is everything that is applied: a contract that was held back comes on top
        of later migrations. Backwards, as Django does it, what stands before it.
        """
        key, applied = (migration.app_label, migration.name), self._applied()
        return self._state_of(applied, until=key if key in applied else None)

    def state_now(self, key: Key) -> ProjectState:
        """What the applied migrations make, and ``key`` if it is being applied."""
        return self._state_of(self._applied() | {key})

    def _applied(self) -> set[Key]:
        return self.loader.parts_applied.union(self.recorder.applied_migrations())

    def _state_of(self, keys: Set[Key], until: Key | None = None) -> ProjectState:
        state: ProjectState = self._create_project_state()  # type: ignore[attr-defined]  # Django's own, not in the stubs
        everything = super().migration_plan(self.loader.graph.leaf_nodes(), clean_start=True)
        for migration, _ in everything:
            key = (migration.app_label, migration.name)
            if key == until:
                break
            if key in keys:
                migration.mutate_state(state, preserve=False)
        return state

    def _top_up(self, state: ProjectState, migration: Migration) -> None:
        """Rows that older code has left unfilled since the backfill, before a contract."""
        if phase_of_migration(migration) is not Phase.CONTRACT:
            return
        key = (migration.app_label, migration.name)
        self._refuse_open_rows(key)
        for owner, operation in self.gatekeeper.backfills_before(key, state):
            task = operation.work(owner[0], state)
            if not operation.allow_migrate_model(self.connection.alias, task.model):
                continue
            left = backfill.remaining(self.connection, task)
            if left:
                say(f"{left:,} rows came unfilled since {'.'.join(owner)}; filling them")
                with backfill.for_migration(".".join(owner)):
                    operation.fill(owner[0], self.connection, task)

    def _refuse_open_rows(self, key: Key) -> None:
        """Also where nothing is held back, a contract must not meet rows that are set aside."""
        if hold := self.gatekeeper.unfilled(key):
            raise DataInTheWay(
                f"{'.'.join(key)} cannot be applied: {hold.reason}.",
                do="Then run migrate again.",
            )

    # Recording -----------------------------------------------------------------------------

    @contextmanager
    def _recorded(self, action: str, migration: Migration) -> Iterator[datetime]:
        """A failure is noted after its transaction is gone; that it failed comes first."""
        started = now()
        with explaining.explained(self.connection, partial(self._refusal, action, migration)):
            try:
                yield started
            except BaseException as error:
                with suppress(DatabaseProblem, transaction.TransactionManagementError):
                    self._write(action, migration, started, error=named_error(error))
                raise

    def _refusal(
        self, action: str, migration: Migration, server: PlainServer, error: DatabaseError
    ) -> SafeMigrateError | None:
        """What the server's error says to whoever is on call; None if it is not one of theirs."""
        what = f"{migration} cannot be {action.removesuffix('y')}ied"
        if action == "apply" and server.is_taken(error) and not self.connection.needs_rollback:
            before = self._fresh_state(migration)
            if there := adopting.tables_there(self.connection, migration, before):
                # They are in use, whatever django_migrations knows: this is no first install.
                self.ledger.end_install()
                faked, _ = self.detect_soft_applied(before, migration)
                return adopting.in_the_way(
                    explaining.said(server, error, what),
                    migration,
                    there,
                    is_taken_for_applied=faked,
                )
        return explaining.lacking_rights(server, error, what, explaining.left_of(migration))

    def _record(self, migration: Migration, started: datetime, action: str) -> None:
        key = (migration.app_label, migration.name)
        if self.foreign.is_part(key):
            self.foreign.note(key, action)
            self._write(action, migration, started)
            return
        beside = self.foreign.beside(key, action)
        if action == "unapply" or migration.replaces:
            self._record_replaced(key, action != "unapply")
            self._write(action, migration, started, beside=beside)
            return
        # What record_applied would write; one journey for both tables, not two.
        row = {"app": key[0], "name": key[1], "applied": now()}
        recorded = insert(self.connection, self.recorder.Migration, row)
        self._write(action, migration, started, beside=[recorded, *beside])

    def _record_replaced(self, key: Key, applied: bool) -> None:
        """Django 6.0 changed ``record_migration``; the recorder's two methods stay the same."""
        migration = self.loader.disk_migrations.get(key)
        for replaced in migration.replaces if migration else []:
            self._record_replaced((replaced[0], replaced[1]), applied)
        if applied:
            self.recorder.record_applied(*key)
        else:
            self.recorder.record_unapplied(*key)

    def _write(
        self,
        action: str,
        migration: Migration,
        started: datetime,
        error: str = "",
        beside: Sequence[Statement] = (),
    ) -> None:
        key = (migration.app_label, migration.name)
        phase = str(phase_of_migration(migration))
        self.ledger.record(action, key, phase, started, error=error, beside=beside)

    def _report(self, action: str, migration: Migration, fake: bool = False) -> None:
        if self.progress_callback:
            self.progress_callback(action, migration, fake)


def _sends_at_once(migration: Migration) -> bool:
    """Whether its first word to the server is DDL, so that the locks can go in front of it."""
    kinds = (migrations.CreateModel, migrations.AddField, migrations.AddIndex)
    return all(type(operation) in kinds for operation in flat(migration.operations))


def changes_rows(migration: Migration) -> bool:
    return any(isinstance(o, migrations.RunPython) for o in flat(migration.operations))


def _others_first(everything: Plan, going: Collection[Migration]) -> Plan:
    """Nothing else that is applied depends on what goes back, or it would go back as well."""
    return sorted(everything, key=lambda step: step[0] in going)
