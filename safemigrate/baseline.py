"""
The baseline: what was there before safemigrate, exempt by name and rule.

A JSON file that people review. ``migrations`` maps each known migration to the rules it is exempt
from and a fingerprint of its file and those rules, so that a check of a project in which nothing
is new need not import a single migration.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig, apps
from django.conf import settings

from safemigrate.facts.assurance import day
from safemigrate.facts.ownership import is_first_party_app, migrations_folder
from safemigrate.version import VERSION

if TYPE_CHECKING:
    from safemigrate.facts.settings import Settings

FORMAT = 1
_ABOUT = "Migrations that were there before safemigrate; see `manage.py help safemigrate`."


HOW_TO_BEGIN = (
    "If this is deployed already: `manage.py safemigrate baseline` takes it as it is, and "
    "from then on only what is new is judged. Commit the file that it writes."
)
"""For a project that has errors and no baseline yet."""


class BaselineUnreadable(Exception):
    """The file is there and cannot be understood; the text says what is wrong."""


@dataclass(frozen=True)
class MigrationFile:
    """A first-party migration on disk, not imported."""

    app_label: str
    name: str
    path: str

    @property
    def key(self) -> str:
        return f"{self.app_label}.{self.name}"


@dataclass(frozen=True)
class Entry:
    """
    ``seen``: the fingerprint of file and rules when they were judged; empty: judge it each time.

    ``until``: the last day of a word in the file that excuses something.
    """

    rules: tuple[str, ...]
    seen: str
    until: date | None = None


@dataclass(frozen=True)
class Baseline:
    """``judged_by``: the version whose rules were asked, and for which server."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    judged_by: str = ""

    def exempts(self, names: Iterable[str], rule: str) -> bool:
        """Whether one of these migrations (itself, or those it replaces) is exempt from a rule."""
        return any(name in self.entries and rule in self.entries[name].rules for name in names)

    def covers(self, files: Sequence[MigrationFile], vendor: str, today: date) -> bool:
        """Whether these files, and no others, are known with unchanged content."""
        return (
            self.judged_by == judged_by(vendor)
            and len(files) == len(self.entries)
            and all(self._knows(file, today) for file in files)
        )

    def _knows(self, file: MigrationFile, today: date) -> bool:
        entry = self.entries.get(file.key)
        return (
            entry is not None
            and (entry.until is None or today <= entry.until)
            and entry.seen == _seen(content_of(file.path), entry.rules)
        )

    def shrunk(self, made: Baseline) -> tuple[Baseline, dict[str, tuple[str, ...]]]:
        """
        ``made`` without what this one does not exempt.

        Shape: also {migration: rules that are not taken up}; such a migration is judged each time.
        """
        entries: dict[str, Entry] = {}
        refused: dict[str, tuple[str, ...]] = {}
        for name, entry in made.entries.items():
            old = self.entries.get(name)
            known = set(old.rules) if old else set()
            if new := tuple(rule for rule in entry.rules if rule not in known):
                refused[name] = new
                kept = tuple(rule for rule in entry.rules if rule in known)
                if kept:
                    entries[name] = Entry(kept, "", entry.until)
            else:
                entries[name] = entry
        return Baseline(entries, made.judged_by), refused

    def gone(self, files: Iterable[MigrationFile]) -> tuple[str, ...]:
        """What it names and nobody finds."""
        return tuple(sorted(set(self.entries) - {file.key for file in files}))


def judged_by(vendor: str) -> str:
    """Another ``SERVER_VERSION`` finds other things."""
    version = _settings().server_version
    return f"safemigrate {VERSION}, {vendor}" + (f" {version}" if version else "")


def _settings() -> Settings:
    from safemigrate.facts import settings as ours
    from safemigrate.facts.errors import WrongSettings

    try:
        return ours.current()
    except WrongSettings:
        return ours.Settings()  # E302 says so


def path() -> Path:
    """Where the baseline is or will be."""
    name = _settings().baseline
    base = getattr(settings, "BASE_DIR", None)
    return (Path(base) if base else Path.cwd()) / name


def read(where: Path) -> Baseline:
    """
    The baseline; an empty one if there is no file.

    Raises: BaselineUnreadable for anything but a file of our format.
    """
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Baseline()
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineUnreadable(f"it is not a readable text file ({error}).") from error
    return parsed(text)


def parsed(text: str) -> Baseline:
    """
    The baseline that a file's text says.

    Raises: BaselineUnreadable for anything but our format.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BaselineUnreadable(f"it is not JSON ({error}).") from error
    if not isinstance(raw, dict) or raw.get("version") != FORMAT:
        found = raw.get("version") if isinstance(raw, dict) else type(raw).__name__
        raise BaselineUnreadable(f"its version is {found!r}; this safemigrate reads {FORMAT}.")
    if not isinstance(raw.get("migrations"), dict):
        raise BaselineUnreadable('it has no object "migrations".')
    entries = {name: _entry(name, value) for name, value in raw["migrations"].items()}
    return Baseline(entries, str(raw.get("judged_by", "")))


def _entry(name: str, value: Any) -> Entry:
    rules = value.get("rules") if isinstance(value, dict) else None
    seen = value.get("seen") if isinstance(value, dict) else None
    try:
        until = day(value.get("until")) if isinstance(value, dict) else None
    except ValueError:
        rules = None
    if (
        not isinstance(rules, list)
        or not all(isinstance(r, str) for r in rules)
        or not isinstance(seen, str)
    ):
        raise BaselineUnreadable(f"its entry {name!r} is {json.dumps(value)[:80]}.")
    return Entry(tuple(rules), seen, until)


def made_of(
    files: Sequence[MigrationFile],
    found: Mapping[str, Iterable[str]],
    vendor: str,
    lasts: Mapping[str, date] | None = None,
) -> Baseline:
    """A baseline of all ``files``; ``found``: migration -> rules; ``lasts``: -> a last day."""
    entries = {}
    for file in sorted(files, key=lambda file: file.key):
        rules = tuple(sorted(set(found.get(file.key, ()))))
        until = (lasts or {}).get(file.key)
        entries[file.key] = Entry(rules, _seen(content_of(file.path), rules), until)
    return Baseline(entries, judged_by(vendor))


def text_of(baseline: Baseline) -> str:
    """The file: one line for each migration, sorted, so that a diff is what was changed."""
    lines = [
        f"    {json.dumps(name)}: {_written(entry)}"
        for name, entry in sorted(baseline.entries.items())
    ]
    body = ",\n".join(lines)
    return (
        "{\n"
        f'  "about": {json.dumps(_ABOUT)},\n'
        f'  "version": {FORMAT},\n'
        f'  "judged_by": {json.dumps(baseline.judged_by)},\n'
        f'  "migrations": {{\n{body}\n  }}\n'
        "}\n"
    )


def _written(entry: Entry) -> str:
    fields: dict[str, Any] = {"rules": list(entry.rules), "seen": entry.seen}
    if entry.until is not None:
        fields["until"] = str(entry.until)
    return json.dumps(fields)


def write(where: Path, baseline: Baseline) -> None:
    """Whole or not at all, so that a killed command leaves the file of before."""
    handle, temporary = tempfile.mkstemp(dir=where.parent, prefix=f".{where.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text_of(baseline))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(where)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


# The files ---------------------------------------------------------------------------------


def migration_files() -> list[MigrationFile]:
    """
    The first-party migrations on disk, as Django's loader would find them; nothing is imported.

    Raises: whatever importing a parent package of MIGRATION_MODULES raises.
    """
    return [
        MigrationFile(config.label, name, found)
        for config in apps.get_app_configs()
        if is_first_party_app(config)
        for name, found in _modules(config)
    ]


_SUFFIXES = tuple(importlib.machinery.all_suffixes())


def _modules(config: AppConfig) -> list[tuple[str, str]]:
    """Shape: [(migration name, path)]; empty without an ``__init__``, as in Django."""
    folder = migrations_folder(config)
    found: dict[str, str] = {}
    try:
        with os.scandir(folder or "") as entries:
            for entry in entries:
                name = entry.name.split(".")[0]
                if entry.name[len(name) :] in _SUFFIXES:
                    found[name] = entry.path
    except (FileNotFoundError, NotADirectoryError):
        return []
    if "__init__" not in found:
        return []
    return sorted((name, where) for name, where in found.items() if name[:1] not in ("_", "~", ""))


_contents: dict[str, tuple[int, int, str]] = {}


def content_of(where: str) -> str:
    """A hash of a file; read again within a process only if its time or size has changed."""
    # Bare calls, because a thousand files are looked at in each check: half the time of open().
    if known := _contents.get(where):
        stat = os.stat(where)  # noqa: PTH116  as above
        if known[:2] == (stat.st_mtime_ns, stat.st_size):
            return known[2]
    file = os.open(where, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        stat = os.fstat(file)
        content = hashlib.sha256()
        while part := os.read(file, 1_000_000):
            content.update(part)
    finally:
        os.close(file)
    digest = content.hexdigest()
    _contents[where] = (stat.st_mtime_ns, stat.st_size, digest)
    return digest


def _seen(content: str, rules: Iterable[str]) -> str:
    """A rule added to or taken from an entry by hand makes the file be judged again."""
    return hashlib.sha256(" ".join((content, *rules)).encode()).hexdigest()[:12]
