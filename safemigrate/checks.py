"""
System checks: what is unsafe in the repository, before it is about to run.

They are registered at every start, so this module imports nothing heavy; the rules and the
migrations are loaded only when something is new.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.timezone import localdate

from safemigrate import baseline
from safemigrate.version import VERSION

if TYPE_CHECKING:
    from safemigrate.judge import Judged
    from safemigrate.rules.base import Subject

AppConfigs = Sequence[AppConfig] | None
TAG = "safemigrate"
_CACHE_BYTES = 4_000_000
_OF_ENGINE = {
    f"django.db.backends.{name}": vendor
    for name, vendor in (
        ("postgresql", "postgresql"),
        ("sqlite3", "sqlite"),
        ("mysql", "mysql"),
        ("oracle", "oracle"),
        ("dummy", "unknown"),
    )
}


def register_all() -> None:
    """Called once, by the app's ``ready()``."""
    register(check_settings, TAG)
    register(check_commands, TAG)
    register(check_migrations, TAG)
    register(check_held, Tags.database, deploy=True)


def _messages(subject: Subject, label: str = "") -> list[CheckMessage]:
    from safemigrate.judge import Judged
    from safemigrate.rules import judge
    from safemigrate.speak import as_check

    return [as_check(Judged(finding, label)) for finding in judge(subject)]


def check_settings(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """E302, W407."""
    from safemigrate.facts import settings as ours
    from safemigrate.facts.errors import WrongSettings

    try:
        ours.current()
    except WrongSettings as error:
        from safemigrate.rules import SettingsRead

        return _messages(SettingsRead(error))
    if not ours.current().assured:
        return []
    from safemigrate.assured import over_in_settings
    from safemigrate.judge import Judged
    from safemigrate.speak import as_check

    return [as_check(Judged(finding)) for finding in over_in_settings(localdate())]


def check_commands(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """E301. Django's own check of the autodetectors has loaded two of the commands already."""
    from django.core.management import get_commands, load_command_class

    from safemigrate.management import mixins

    needed = {
        "makemigrations": mixins.MakeMigrationsMixin,
        "migrate": mixins.MigrateMixin,
        "squashmigrations": mixins.SquashMixin,
    }
    found = get_commands()
    app_of = {name: _app_name(found[name]) for name in needed}
    without = tuple(
        name
        for name, mixin in needed.items()
        if app_of[name] != "safemigrate"
        and not isinstance(load_command_class(found[name], name), mixin)
    )
    if not without:
        return []
    from safemigrate.rules import Commands

    return _messages(Commands(app_of, without))


def _app_name(found: Any) -> str:
    return found if isinstance(found, str) else type(found).__module__.split(".management")[0]


def check_migrations(app_configs: AppConfigs = None, **kwargs: Any) -> list[CheckMessage]:
    """E1.. and E2.. in migrations that are not in the baseline; E303, E304, W402."""
    if not _is_judged():
        return []
    try:
        files: list[baseline.MigrationFile] | None = baseline.migration_files()
    except Exception:  # noqa: BLE001  an import of the project's; the loader below tells it
        files = None
    where = baseline.path()
    problems: list[CheckMessage] = []
    known = baseline.Baseline()
    try:
        known = baseline.read(where)
    except baseline.BaselineUnreadable as error:
        problems += _baseline_messages(str(where), error=str(error))
    if files is not None:
        if known.covers(files, "postgresql", localdate()) or not (files or known.entries):
            return problems
        if gone := known.gone(files):
            problems += _baseline_messages(str(where), gone=gone)
    found = _from_cache_or_judged(files, known)
    labels = None if app_configs is None else {config.label for config in app_configs}
    found = [m for m in found if labels is None or _label(m) in labels]
    return problems + (found if where.exists() else _telling_of_the_baseline(found))


def _telling_of_the_baseline(found: list[CheckMessage]) -> list[CheckMessage]:
    """With a word at the end, where the eye is: Django prints errors sorted by their text."""
    errors = [m for m in found if isinstance(m, Error)]
    if not errors or any(m.id == "safemigrate.E303" for m in errors):
        return found  # nothing is taken for known while something cannot be read
    last = max(errors, key=str)
    told = Error(last.msg, f"{last.hint}\n\n{baseline.HOW_TO_BEGIN}", last.obj, last.id)
    return [told if m is last else m for m in found]


def _is_judged() -> bool:
    """Whether any database is one that the rules are about."""
    from django.db import connections

    return any(
        # By name where it is Django's own: importing a driver takes longer than this check.
        _OF_ENGINE.get(connections.databases[alias]["ENGINE"]) == "postgresql"
        if connections.databases[alias]["ENGINE"] in _OF_ENGINE
        else connections[alias].vendor == "postgresql"
        for alias in connections
    )


def _baseline_messages(
    where: str, *, error: str = "", gone: tuple[str, ...] = ()
) -> list[CheckMessage]:
    from safemigrate.rules import BaselineRead

    return _messages(BaselineRead(where, error, gone))


def _label(message: CheckMessage) -> str:
    return str(message.obj or "").split(".")[0]


def not_exempt(found: Iterable[Judged], known: baseline.Baseline) -> list[Judged]:
    """Without what the baseline lists by migration and rule; a squash has what it replaces."""
    return [
        judged
        for judged in found
        if not known.exempts((judged.name, *judged.replaces), judged.finding.rule)
    ]


def _from_cache_or_judged(
    files: list[baseline.MigrationFile] | None, known: baseline.Baseline
) -> list[CheckMessage]:
    key = _key(files, known) if files is not None else None
    cached = _recalled(key) if key else None
    if cached is not None:
        return cached
    from safemigrate.judge import judge_project
    from safemigrate.speak import as_check

    found = [as_check(judged) for judged in not_exempt(judge_project(), known)]
    # What could not be loaded may be loadable in the next minute, with no file changed.
    if key and not any(message.id == "safemigrate.E303" for message in found):
        _remember(key, found)
    return found


# What was judged before, by content ----------------------------------------------------------

_memory: dict[str, list[CheckMessage]] = {}


def _key(files: list[baseline.MigrationFile], known: baseline.Baseline) -> str:
    """Everything that a verdict depends on, short of code that migrations import."""
    parts = [
        VERSION,
        django.get_version(),
        sys.version,
        str(_newest(Path(__file__).parent)),
        str(Path.cwd()),
        repr(settings.INSTALLED_APPS),
        repr(settings.MIGRATION_MODULES),
        repr(settings.AUTH_USER_MODEL),
        repr(settings.DEFAULT_AUTO_FIELD),
        repr({alias: db.get("ENGINE") for alias, db in settings.DATABASES.items()}),
        repr(getattr(settings, "SAFEMIGRATE", None)),
        str(localdate()),  # a word in the code may be good until today
        repr(known),
        *(f"{file.path} {baseline.content_of(file.path)}" for file in files),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _newest(folder: Path) -> int:
    """When a file of ours was changed last; who works on a rule has the same version all day."""
    with os.scandir(folder) as entries:
        return max(
            (
                _newest(Path(entry)) if entry.is_dir() else entry.stat().st_mtime_ns
                for entry in entries
                if entry.is_dir() or entry.name.endswith(".py")
            ),
            default=0,
        )


def cache_file() -> Path | None:
    """
    A file of this user's own, in a folder that nobody else can write to; None if there is none.

    A verdict that others could plant would be a way past the rules.
    """
    root = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        folder = (Path(root) if root else Path.home() / ".cache") / "safemigrate"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            stat = folder.lstat()
            if stat.st_uid != os.getuid() or stat.st_mode & 0o022 or folder.is_symlink():
                return None
    except (OSError, RuntimeError):
        return None
    project = str(getattr(settings, "BASE_DIR", "") or Path.cwd())
    return folder / f"check-{hashlib.sha256(project.encode()).hexdigest()[:16]}.json"


def _recalled(key: str) -> list[CheckMessage] | None:
    if key in _memory:
        return _memory[key]
    where = cache_file()
    if where is None:
        return None
    try:
        stat = where.lstat()
        foreign = hasattr(os, "getuid") and stat.st_uid != os.getuid()
        if foreign or stat.st_mode & 0o022 or stat.st_size > _CACHE_BYTES or where.is_symlink():
            return None
        raw = json.loads(where.read_text(encoding="utf-8"))
        if raw["key"] != key:
            return None
        found: list[CheckMessage] = [
            (Error if level == "E" else Warning)(msg, hint=hint, obj=obj, id=id)
            for level, msg, hint, obj, id in raw["messages"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _memory[key] = found
    return found


def _remember(key: str, found: list[CheckMessage]) -> None:
    _memory.clear()
    _memory[key] = found
    where = cache_file()
    if where is None:
        return
    messages = [("E" if isinstance(m, Error) else "W", m.msg, m.hint, m.obj, m.id) for m in found]
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=where.parent, prefix=".check-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"key": key, "messages": messages}, file)
        Path(temporary).replace(where)


# What waits on a database ---------------------------------------------------------------------


def check_held(
    app_configs: AppConfigs = None, databases: Iterable[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """
    W401, for the databases that ``check --deploy --database`` names.

    Raises: CommandError where one of them cannot be asked, such as by a role that may not read it.
    """
    from django.core.management.base import CommandError
    from django.db import DatabaseError, connections
    from django.utils import timezone

    from safemigrate.executor import status
    from safemigrate.facts import settings as ours
    from safemigrate.facts.errors import SafeMigrateError, UnsupportedDatabase, WrongSettings
    from safemigrate.management.subcommands.base import unanswered
    from safemigrate.rules import HeldContract

    try:
        limit = ours.current().held_too_long
    except WrongSettings:
        return []  # E302 says so
    found: list[CheckMessage] = []
    for alias in databases or ():
        try:
            waiting = status.waiting(connections[alias])
        except UnsupportedDatabase:
            continue  # nothing is held where we do not work
        except SafeMigrateError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise unanswered(connections[alias], error) from error
        for held in waiting.held:
            if held.since is None:
                continue
            since = timezone.make_aware(held.since) if timezone.is_naive(held.since) else held.since
            name = ".".join(held.key)
            subject = HeldContract(name, held.reason, timezone.now() - since, limit, alias)
            found += _messages(subject, name)
    return found
