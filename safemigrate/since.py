"""
What a branch changes: its migrations, and the verdict on others.

Both sides are judged by the rules of today: the files as they are, and as they were in git, read
from there without a checkout.
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import TYPE_CHECKING, Any

from django.apps import apps as installed
from django.db.migrations.loader import MigrationLoader

from safemigrate import baseline
from safemigrate.judge import Judged, Judgement, judgement
from safemigrate.past import Changed, Key

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class _LoaderOfBefore(MigrationLoader):
    """The project's migrations as they were; nothing of them stays in ``sys.modules``."""

    def __init__(self, changed: Changed) -> None:
        self.changed = changed
        super().__init__(None)

    def load_disk(self) -> None:
        super().load_disk()
        for key in self.changed.added:
            self.disk_migrations.pop(key, None)
        for key, text in self.changed.was.items():
            self.disk_migrations[key] = self._loaded(key, text)

    def _loaded(self, key: Key, text: bytes) -> Any:
        package, _ = self.migrations_module(key[0])
        module = ModuleType(f"{package}.{key[1]}")
        module.__file__ = self.changed.paths[key]
        module.__package__ = package
        # Their own migrations, which importing them would run as well.
        exec(compile(text, module.__file__, "exec"), vars(module))  # noqa: S102
        return vars(module)["Migration"](key[1], key[0])


def judgement_since(
    changed: Changed, connection: BaseDatabaseWrapper | None = None
) -> tuple[Judgement, str]:
    """
    Every finding in what is changed, and what is found elsewhere only because of it.

    Shape: also why everything is in it, if what was before cannot be judged.
    """
    before = judgement(connection, loading=lambda: _LoaderOfBefore(changed))
    if before.stopped:
        broken = next(one for one in before.findings if one.finding.rule == "E303")
        return judgement(connection), f"What was before cannot be judged ({broken.finding.what})"
    # A file that is new may make a table that is not: one that was moved, or a squash.
    fresh = [".".join(key) for key in changed.added]
    now = judgement(connection, fresh=fresh, there=before.models)
    known = Counter(map(_identity, before.findings))
    kept = []
    for one in now.findings:
        if one.name not in changed.names and known[_identity(one)] > 0:
            known[_identity(one)] -= 1
        else:
            kept.append(one)
    now.findings = kept
    return now, ""


def _identity(one: Judged) -> tuple[str, str, str]:
    return one.name, one.finding.rule, one.finding.what


def unapplied(connection: BaseDatabaseWrapper) -> set[str]:
    """
    Names of the migrations that a database has not seen.

    Raises: DatabaseError.
    """
    loader = MigrationLoader(connection)
    return {".".join(key) for key in loader.graph.nodes if key not in loader.applied_migrations}


def named(words: list[str]) -> set[str]:
    """
    The migrations that ``shop.0007`` and the like stand for.

    Raises: LookupError saying which one is not there, or is not the only one.
    """
    found: set[str] = set()
    for word in words:
        label, _, start = word.partition(".")
        installed.get_app_config(label)
        here = [file.key for file in baseline.migration_files() if file.app_label == label]
        fits = [key for key in here if key == word] or [key for key in here if key.startswith(word)]
        if len(fits) != 1 or not start:
            said = f"{len(fits)} begin so" if fits else "there is none of that name"
            raise LookupError(f"{word!r} is no migration of this project: {said}.")
        found.add(fits[0])
    return found
