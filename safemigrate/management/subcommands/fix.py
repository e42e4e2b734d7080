"""Rewrite a migration that was written by hand, and is not applied yet, into its safe chain."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.utils import run_formatters
from django.db import DatabaseError, connections
from django.db.migrations.loader import AmbiguityError, MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations import SeparateDatabaseAndState
from django.db.migrations.recorder import MigrationRecorder

from safemigrate import sources, speak
from safemigrate.judge import Judged, is_ours, judge_project, path_of
from safemigrate.planner.autodetector import protected_connection
from safemigrate.planner.mended import Mended, mended
from safemigrate.planner.reworded import names_lost
from safemigrate.planner.split import Part


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("app_label", help="The app of the migration.")
    parser.add_argument("migration_name", help="Its name, or the beginning of it.")
    parser.add_argument("--dry-run", action="store_true", help="Show the files; write nothing.")
    parser.add_argument(
        "--unapplied",
        action="store_true",
        help="Vouch that the databases which cannot be reached have not applied it.",
    )


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    from safemigrate.management.refusing import refusal_text

    loader = MigrationLoader(None)
    migration = _found(loader, options["app_label"], options["migration_name"])
    name = f"{migration.app_label}.{migration.name}"
    path = _path(migration, name)
    made = _made(loader, migration)
    if made is None and (left := [one for one in judge_project(only={name}) if one.is_error]):
        raise CommandError(_for_you(name, left))
    if made is None:
        command.stdout.write(f"{name} needs no fix: nothing was written.")
        return
    if made.refusals:
        raise CommandError(refusal_text(made.refusals, by_hand=f"edit {path.name}"))
    if made.is_split and migration.replaces:
        raise CommandError(
            f"{name} replaces other migrations, so it cannot become several. Nothing was "
            "written. Fix the migrations that it replaces and squash them again."
        )
    if not options["dry_run"]:
        _refuse_applied(migration, name, vouched=options["unapplied"])
    files = _files(made, migration, path)
    if options["dry_run"]:
        for where, text in files:
            command.stdout.write(f"{_shown(where)}\n\n{text}")
        return
    _write(files)
    run_formatters([str(where) for where, _ in files])
    command.stdout.write(f"{name} is now, in the order in which they run:")
    for where, _ in files:
        command.stdout.write(f"  {_shown(where)}")
    if left := _left(migration, files):
        command.stdout.write("\nLeft in them is what fix does not rewrite. Change it:\n")
        command.stdout.write("\n\n".join(speak.text(judged) for judged in left))


def _for_you(name: str, left: Sequence[Judged]) -> str:
    """Code, SQL and classes of others are nobody's to rewrite but their author's."""
    head = f"Nothing in {name} is an operation that fix rewrites. Nothing was written. Change it:"
    return "\n\n".join([head, *(speak.text(judged) for judged in left)])


def _left(migration: Migration, files: Sequence[tuple[Path, str]]) -> list[Judged]:
    """What is found in the new files."""
    sys.modules.pop(type(migration).__module__, None)  # the last file has its name
    importlib.invalidate_caches()
    return _judged({f"{migration.app_label}.{where.stem}" for where, _ in files})


def _made(loader: MigrationLoader, migration: Migration) -> Mended | None:
    """None where nothing is to be done: old and new code share no database, or it is safe."""
    connection = protected_connection()
    if connection is None:
        return None
    before = loader.project_state((migration.app_label, migration.name), at_end=False)
    lost = list(names_lost(migration.operations, migration.app_label, before))
    made = mended(migration, before, connection, state_alone=_state_alone(migration))
    made.refusals += lost
    return made if made.refusals or made.is_rewritten or made.is_split else None


def _state_alone(migration: Migration) -> set[int]:
    """The places of what only the state has, in all that the project's files say."""
    if not any(isinstance(one, SeparateDatabaseAndState) for one in migration.operations):
        return set()
    found = _judged({f"{migration.app_label}.{migration.name}"})
    places = {one.finding.place for one in found if one.finding.rule == "E208"}
    return {place for place in places if place is not None}


def _judged(names: Set[str]) -> list[Judged]:
    """As the next ``check`` will, without what is silenced."""
    silenced = settings.SILENCED_SYSTEM_CHECKS
    found = judge_project(only=names)
    return [one for one in found if f"safemigrate.{one.finding.rule}" not in silenced]


def _found(loader: MigrationLoader, app_label: str, prefix: str) -> Migration:
    if app_label not in loader.migrated_apps:
        raise CommandError(f"There is no app {app_label!r} with migrations.")
    try:
        return loader.get_migration_by_prefix(app_label, prefix)
    except AmbiguityError as error:
        raise CommandError(f"{error}. Give more of its name.") from error
    except KeyError:
        raise CommandError(f"There is no migration {prefix!r} in {app_label!r}.") from None


def _path(migration: Migration, name: str) -> Path:
    path = path_of(migration)
    if not is_ours(migration, path):
        raise CommandError(
            f"{name} belongs to an installed package, not to this project. Nothing was written. "
            "migrate rewrites it when it runs; see what it will do with migrate --plan."
        )
    if path is None or not path.is_file() or path.suffix != ".py":
        raise CommandError(f"{name} has no file that could be rewritten ({path}).")
    return path


def _refuse_applied(migration: Migration, name: str, *, vouched: bool) -> None:
    """A database that has run it would run its parts again."""
    unknown: list[str] = []
    for alias in connections:
        try:
            applied = MigrationRecorder(connections[alias]).applied_migrations()
        except (DatabaseError, ImproperlyConfigured) as error:
            unknown.append(f"{alias} ({' '.join(str(error).split())})")
            continue
        if (migration.app_label, migration.name) in applied:
            raise CommandError(
                f"{name} is applied on the database {alias!r}, which would run its parts again. "
                f"Nothing was written. Unapply it there first (migrate {migration.app_label} and "
                "the migration before it), or leave it: what was applied everywhere hurts nobody "
                "any more, and `manage.py safemigrate baseline` exempts it."
            )
    if unknown and not vouched:
        raise CommandError(
            f"Nobody can tell whether {name} is applied on {', '.join(unknown)}. Nothing was "
            "written. Make it reachable, or say that it is applied nowhere: --unapplied."
        )


# The files -----------------------------------------------------------------------------------


def _files(made: Mended, migration: Migration, path: Path) -> list[tuple[Path, str]]:
    """
    In the order in which they run; the last keeps the name.

    Whatever depends on the migration then goes on depending on all of it.
    """
    source = sources.read(path, migration)
    names = list(_names(made.parts, migration.name, path.parent))
    homeless = [comment for n in made.gone() for comment in source.operations[n].all_comments]
    notes = [*source.notes, *homeless]
    files = []
    for number, part in enumerate(made.parts):
        file = sources.File(
            attributes=list(_attributes(source, migration, part, number, names)),
            operations=[_operation(source, made, part, place) for place in _places(part)],
            notes=notes if number == 0 else [],
            orphans=number == len(names) - 1,
        )
        text = sources.written(source, file)
        where = path.with_name(f"{names[number]}.py")
        _try(text, where, source.module.rpartition(".")[0])
        files.append((where, text))
    return files


def _places(part: Part) -> range:
    return range(len(part.operations))


def _names(parts: Sequence[Part], name: str, folder: Path) -> Iterator[str]:
    taken = {path.stem for path in folder.glob("*.py")}
    for part in parts[:-1]:
        base = f"{name}_{part.phase}"
        numbered = (f"{base}_{n}" for n in range(2, 99))
        chosen = next(one for one in (base, *numbered) if one not in taken)
        taken.add(chosen)
        yield chosen
    yield name


def _attributes(
    source: sources.Source, migration: Migration, part: Part, number: int, names: Sequence[str]
) -> Iterator[str | tuple[str, frozenset[str]]]:
    first, last = number == 0, number == len(names) - 1
    kept = source.attributes
    for name, here in (("replaces", last), ("initial", first), ("run_before", last)):
        if here and name in kept:
            yield kept[name]
    if part.atomic is False:
        yield "    atomic = False"
    if first and "dependencies" in kept:
        yield kept["dependencies"]
    elif not first:
        depends = (migration.app_label, names[number - 1])
        yield f"    dependencies = [{depends!r}]"


def _operation(
    source: sources.Source, made: Mended, part: Part, place: int
) -> tuple[list[str], Any]:
    operation = part.operations[place]
    number, is_first = made.source_of(operation)
    old = source.operations[number]
    if operation is made.operations[number]:
        return old.comments, old
    return (old.all_comments if is_first else []), operation


def _try(text: str, where: Path, package: str) -> None:
    """Load it as Django will, from memory: what does not load must not be written."""
    module = importlib.util.module_from_spec(
        importlib.machinery.ModuleSpec(f"{package}.{where.stem}", None, origin=str(where))
    )
    try:
        exec(compile(text, str(where), "exec"), module.__dict__)  # noqa: S102  what we have made
    except Exception as error:
        raise CommandError(
            f"{where.name} could not be written: {type(error).__name__}: {error}. Nothing was "
            "written. Split the migration by hand."
        ) from error


def _write(files: Sequence[tuple[Path, str]]) -> None:
    """All of them beside their places first, so that a full disk leaves nothing half done."""
    ready: list[tuple[str, Path]] = []
    try:
        for where, text in files:
            handle, temporary = tempfile.mkstemp(dir=where.parent, prefix=f".{where.name}.")
            ready.append((temporary, where))
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(where.stat().st_mode if where.exists() else 0o644)
        for temporary, where in ready:
            Path(temporary).replace(where)
    except OSError as error:
        for temporary, _ in ready:
            Path(temporary).unlink(missing_ok=True)
        raise CommandError(
            f"The files cannot be written ({error.strerror}). The migration is as it was."
        ) from error


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
