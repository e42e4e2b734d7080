"""
The bodies of our commands, to be put on top of another package's command of the same name.

``class Command(MigrateMixin, TheirCommand)`` in an app that stands before both. Django's own checks
import this at every start, so what does the work is imported where it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands import makemigrations as django_makemigrations
from django.core.management.commands import migrate as django_migrate
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, NotSupportedError, connections
from django.db.migrations.writer import MigrationWriter

from safemigrate.backends import backend_for
from safemigrate.facts import settings
from safemigrate.facts.errors import SafeMigrateError, sentence
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import heard_by
from safemigrate.management.voice import Voice
from safemigrate.planner.autodetector import composed, refusing_with

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.migration import Migration

    from safemigrate.executor.executor import SafeExecutor
    from safemigrate.executor.gathering import RunOptions
    from safemigrate.planner.cut import Cut
    from safemigrate.planner.refusals import Refusal
    from safemigrate.planner.register import Key

    _Command = BaseCommand
    _Migrate = django_migrate.Command
    _MakeMigrations = django_makemigrations.Command
else:
    _Command = _Migrate = _MakeMigrations = object


def _composed_below(command: Any) -> type[MigrationAutodetector]:
    """Built on what is installed below us, so that other packages' detectors live on."""
    return composed(super(_Composing, command).autodetector)


class _Composing:
    # A property, because other packages assign Django's attribute after we were imported.
    autodetector: ClassVar[type[MigrationAutodetector]] = cast(
        "type[MigrationAutodetector]", property(_composed_below)
    )


@contextmanager
def _errors_as_command_errors() -> Iterator[None]:
    """Our errors are sentences for whoever is on call; a traceback would hide them."""
    try:
        yield
    except SafeMigrateError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _instead_of(module: Any, name: str, replacement: Any) -> Iterator[None]:
    """
    Swap a module's global for the length of a command: Django has no other seam there.

    Process-wide: two commands must not run in two threads at once.
    """
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)


def _explained(signal: Callable[..., None], connection: BaseDatabaseWrapper) -> Callable[..., None]:
    """``post_migrate``: permissions are left to us, and a role may lack rights for the others."""

    def send(*args: Any, **kwargs: Any) -> None:
        from safemigrate.executor.explaining import rights_explained
        from safemigrate.operations.permissions import without_renames

        kwargs["plan"] = without_renames(kwargs.get("plan") or [])
        what = "What comes after migrate (post_migrate: content types, permissions) cannot be done"
        with rights_explained(connection, what, changed="What was applied stays applied."):
            signal(*args, **kwargs)

    return send


class MigrateMixin(_Composing, _Migrate):
    """``migrate``, the one command of a deploy: applies what is due, says what waits and why."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--phase",
            choices=[phase.value for phase in Phase],
            help="Apply this phase alone. For a contract it says that the rollout is complete.",
        )
        parser.add_argument(
            "--wait",
            type=int,
            default=0,
            metavar="SECONDS",
            help="How long to wait for sessions of older releases to end. Default: not at all.",
        )

    def execute(self, *args: Any, **options: Any) -> Any:
        with _errors_as_command_errors():
            settings.current()
            _reach(options.get("database") or "default")
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        from safemigrate.executor.executor import SafeExecutor
        from safemigrate.executor.gathering import RunOptions
        from safemigrate.operations.permissions import left_to_us

        self._voice = Voice(self.stdout)
        looking = options["plan"] or options["check_unapplied"]
        run = RunOptions(
            phase=_phase(options.get("phase")),
            wait=_seconds(options.get("wait")),
            once=looking,
            adopting=options["fake_initial"],
        )
        executors: list[SafeExecutor] = []

        def executor(connection: Any, progress_callback: Any = None) -> SafeExecutor:
            executors.append(SafeExecutor(connection, progress_callback, run))
            return executors[-1]

        with ExitStack() as stack:
            stack.enter_context(_errors_as_command_errors())
            if options["verbosity"] > 0:
                stack.enter_context(heard_by(self._voice))
            connection = connections[options["database"]]
            if not looking:
                wait = settings.current().runner_wait
                stack.enter_context(backend_for(connection).one_runner(wait))
            stack.enter_context(_instead_of(django_migrate, "MigrationExecutor", executor))
            stack.enter_context(left_to_us())
            signal = _explained(emit_post_migrate_signal, connection)
            stack.enter_context(_instead_of(django_migrate, "emit_post_migrate_signal", signal))
            try:
                super().handle(*args, **options)
            except SystemExit:
                # --check, where something is due
                self._refuse_early(executors)
                raise
            except Exception:  # not what ends the process: that must not wait for a queue
                if not looking:
                    with suppress(Exception):  # what it failed at is worth more
                        self._ask_the_queue(connection, options, may_work=False)
                raise
            finally:
                self._tell_what_waits(executors, options)
            if not looking:
                self._ask_the_queue(connection, options, may_work=True)
            if options["plan"] and executors:
                self._tell_what_is_rewritten(executors[-1])
            if looking:
                self._refuse_early(executors)
            self._refuse_what_was_asked(executors, options, run)

    def migration_progress_callback(
        self, action: str, migration: Migration | None = None, fake: bool = False
    ) -> None:
        if action in ("apply_success", "unapply_success"):
            verb = "Applying" if action == "apply_success" else "Unapplying"
            self._voice.ending_line(f"{verb} {migration}")
        super().migration_progress_callback(action, migration, fake)
        if action in ("apply_start", "unapply_start"):
            self._voice.started_line()

    def _tell_what_waits(self, executors: Sequence[SafeExecutor], options: dict[str, Any]) -> None:
        cut = executors[-1].cut if executors else None
        if cut is None or not cut.held or options["verbosity"] < 1:
            return
        style = self.style
        write = self.stdout.write
        self._voice.end_line()
        write(style.MIGRATE_HEADING("Held back:"))
        for key, reason in cut.held.items():
            write(f"  {'.'.join(key)}")
            write(f"    {reason}")

    def _ask_the_queue(
        self, connection: BaseDatabaseWrapper, options: dict[str, Any], *, may_work: bool
    ) -> None:
        """After all commits, so that no worker comes before what it is asked for."""
        if not settings.current().backfill_queue:
            return
        from safemigrate.queues.sending import send_what_waits

        def write(line: str) -> None:
            if options["verbosity"] > 0:
                self._voice.end_line()
                self.stdout.write(line)

        send_what_waits(connection, write, may_work=may_work)

    def _tell_what_is_rewritten(self, executor: SafeExecutor) -> None:
        for line in executor.foreign.told(executor.planned):
            self.stdout.write(line)
        if executor.plans_a_backfill:
            from safemigrate.executor.backfills import estimates

            for line in estimates(executor):
                self.stdout.write(f"  {line}")
        executor.foreign.refuse(executor.planned)

    def _refuse_early(self, executors: Sequence[SafeExecutor]) -> None:
        """Looking tells of a plan what running it would."""
        for executor in executors:
            executor.gatekeeper.refuse_early(executor.cut)

    def _refuse_what_was_asked(
        self, executors: Sequence[SafeExecutor], options: dict[str, Any], run: RunOptions
    ) -> None:
        """Exit with an error if a deploy must not go on, or asked for what could not be done."""
        cut = executors[-1].cut if executors else None
        if cut is None:
            return
        if cut.blocked:
            raise CommandError(_blocked(cut, run.phase))
        asked = self._asked_for(executors[-1], options, run)
        kept = [key for key in asked if key in cut.held]
        if kept and not options["plan"]:
            raise CommandError(
                f"{'.'.join(kept[0])} was asked for and not applied: {cut.held[kept[0]]}. "
                "Everything that is due was applied."
            )

    def _asked_for(
        self, executor: SafeExecutor, options: dict[str, Any], run: RunOptions
    ) -> list[Key]:
        if run.phase is not None:
            return executor.held_in_phase(run.phase)
        app_label, name = options["app_label"], options["migration_name"]
        if not app_label or not name or name == "zero":
            return []
        migration = executor.loader.get_migration_by_prefix(app_label, name)
        return [(app_label, migration.name)]


def _blocked(cut: Cut, asked: Phase | None) -> str:
    waiting: dict[Key, list[str]] = {}
    for key, culprit in cut.blocked.items():
        waiting.setdefault(culprit, []).append(".".join(key))
    lines = []
    for culprit, names in waiting.items():
        line = f"{' and '.join(names)} cannot run before {'.'.join(culprit)}, which "
        if culprit in cut.blocked:
            line += "cannot run either."
        elif asked is not None:
            line += f"is needed first and is held back ({cut.held[culprit]})."
        else:
            line += f"is held back ({cut.held[culprit]}): they change the same thing."
        lines.append(line)
    if asked is not None:
        lines.append(f"Every other {asked} that is due was applied. Run migrate first.")
    else:
        lines.append("Everything else that is due was applied. Do not roll this release out yet.")
        lines.append(
            "What is held back says what it waits for; when the release before is rolled out "
            "completely and older sessions have ended, run migrate --phase contract, then migrate."
        )
        lines.append(
            "If both are new in this release, that moment never comes: deploy the first one alone; "
            "or take back what has run of it (migrate APP and the name of the migration before), "
            "delete the files of both and run makemigrations once."
        )
    return "\n".join(lines)


def _phase(value: str | None) -> Phase | None:
    try:
        return Phase(value) if value is not None else None
    except ValueError:
        names = ", ".join(phase.value for phase in Phase)
        raise CommandError(f"There is no phase {value!r}; the phases are {names}.") from None


def _seconds(value: int | None) -> timedelta:
    if value is not None and value < 0:
        raise CommandError(f"--wait is {value}; give seconds, 0 or more.")
    return timedelta(seconds=value or 0)


def _reach(alias: str) -> None:
    """Fail with a sentence if the database cannot be reached or is too old."""
    if alias not in connections.databases:
        return  # Django names the aliases that there are.
    try:
        connections[alias].ensure_connection()
    except ImproperlyConfigured as error:
        raise CommandError(
            f"The database {alias!r} cannot be used: {error} Nothing was changed. "
            "For PostgreSQL install the driver: pip install 'safemigrate[postgresql]'."
        ) from error
    except NotSupportedError as error:
        raise CommandError(
            f"The database {alias!r} cannot be used: {sentence(error)} Nothing was changed. "
            "Upgrade the server, or use a Django version that supports it."
        ) from error
    except DatabaseError as error:
        raise CommandError(
            f"The database {alias!r} cannot be used: {sentence(error)} "
            "Nothing was changed. Check that it is running, and DATABASES in the settings, "
            "then run migrate again."
        ) from error


class MakeMigrationsMixin(_Composing, _MakeMigrations):
    """``makemigrations`` that writes the safe chain, or refuses with what to do instead."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--not-renamed",
            action="append",
            default=[],
            metavar="APP.MODEL[.FIELD]",
            help="Say that it goes, with its data, and that nothing which comes is it under "
            "another name. May be given more than once.",
        )

    def execute(self, *args: Any, **options: Any) -> Any:
        if options.get("merge"):
            # The checks cannot read a graph with two ends; this is the command that joins them.
            options["skip_checks"] = True
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        from safemigrate.executor.loader import SafeLoader

        with (
            _errors_as_command_errors(),
            refusing_with(_refuse, options.get("not_renamed") or ()),
            writing_atomic(),
            _instead_of(django_makemigrations, "MigrationLoader", SafeLoader),
        ):
            settings.current()
            try:
                super().handle(*args, **options)
            except EOFError as error:
                raise CommandError(
                    "There is a question above, and no terminal where somebody could answer it. "
                    "Nothing was written for it. Run makemigrations at a terminal; or with "
                    "--noinput, which says what it takes for a rename and how to answer beforehand."
                ) from error

    def write_migration_files(self, changes: dict[str, list[Migration]], *more: Any) -> None:
        super().write_migration_files(changes, *more)
        if self.verbosity < 1:
            return
        from safemigrate.management.early import early_note

        if told := early_note(changes):
            self.log(self.style.WARNING(told))

    def write_to_last_migration_files(self, changes: dict[str, list[Migration]]) -> None:
        """``--update`` would merge what was split; refused unless all is of one kind."""
        from safemigrate.executor.loader import SafeLoader
        from safemigrate.operations.phases import phases_of

        loader = SafeLoader(None)
        for app_label, new in changes.items():
            leaves = loader.graph.leaf_nodes(app_label)
            last = loader.graph.nodes[leaves[0]] if leaves else None
            merged = [*([last] if last else []), *new]
            phases = frozenset[Phase]().union(*(phases_of(m) for m in merged))
            if len(phases) > 1 or len({m.atomic for m in merged}) > 1:
                raise CommandError(
                    f"--update would merge {', '.join(sorted(map(str, phases)))} steps of "
                    f"{app_label} into one migration. Nothing was written. "
                    "Run makemigrations without --update."
                )
        super().write_to_last_migration_files(changes)


def _refuse(refusals: Sequence[Refusal]) -> None:
    # Here, because the rules it speaks of are of no use to a migrate that has nothing to refuse.
    from safemigrate.management.refusing import refusal_text

    raise CommandError(refusal_text(refusals))


class WriterMixin(_Command):
    """For every other command that writes migration files."""

    def handle(self, *args: Any, **options: Any) -> Any:
        with writing_atomic():
            return super().handle(*args, **options)


class SquashMixin(WriterMixin):
    """``squashmigrations`` that writes a finished chain as Django's own operations."""

    def handle(self, *args: Any, **options: Any) -> Any:
        from django.core.management.commands import squashmigrations

        from safemigrate.planner.squash import PlainOptimizer

        with _instead_of(squashmigrations, "MigrationOptimizer", PlainOptimizer):
            return super().handle(*args, **options)


class SqlMigrateMixin(_Command):
    """``sqlmigrate`` that prints what ``migrate`` sends before a migration of one transaction."""

    def handle(self, *args: Any, **options: Any) -> Any:
        from django.core.management.commands import sqlmigrate

        from safemigrate.executor.printing import PrintingLoader

        with (
            _errors_as_command_errors(),
            _instead_of(sqlmigrate, "MigrationLoader", PrintingLoader),
        ):
            return super().handle(*args, **options)


@contextmanager
def writing_atomic() -> Iterator[None]:
    """
    Make the writer keep ``atomic = False``.

    A squash loses it in every version of Django, and until 6.0 every file does.
    """
    from safemigrate.operations.phases import flat

    head = "class Migration(migrations.Migration):\n"
    original = MigrationWriter.as_string

    def as_string(self: MigrationWriter) -> str:
        migration: Any = self.migration
        if any(getattr(o, "needs_autocommit", False) for o in flat(migration.operations)):
            migration.atomic = False
        written = original(self)
        if migration.atomic or django.VERSION >= (6, 0):  # until 6.0: what follows
            return written
        return written.replace(head, f"{head}\n    atomic = False\n", 1)

    with _instead_of(MigrationWriter, "as_string", as_string):
        yield
