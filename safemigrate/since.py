"""
What a branch changes: its migrations, and the verdict on others.

Both sides are judged by the rules of today: the files as they are, and as they were in git, read
from there without a checkout.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from django.apps import apps as installed
from django.db.migrations.loader import MigrationLoader

from safemigrate import baseline
from safemigrate.facts.errors import NoSuchPast
from safemigrate.facts.ownership import is_first_party_app, migrations_folder
from safemigrate.judge import Judged, Judgement, judgement

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Key = tuple[str, str]
_SECONDS = 60


@dataclass(frozen=True)
class Changed:
    """
    Migrations that are not as they were; ``was``: the text of those that were there, by key.

    ``added``: those that were not. ``paths``: where each stood.
    """

    added: frozenset[Key]
    was: dict[Key, str]
    paths: dict[Key, str]

    @property
    def names(self) -> set[str]:
        return {".".join(key) for key in (*self.added, *self.was)}


def changed_since(ref: str) -> Changed:
    """
    What is changed from where this branch left ``ref``; what is not committed yet, too.

    Raises: NoSuchPast.
    """
    root = Path(_git("rev-parse", "--show-toplevel").strip())
    commit = _git("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").strip()
    with contextlib.suppress(NoSuchPast):  # a shallow clone does not know; all that differs counts
        commit = _git("merge-base", commit, "HEAD").strip()
    listed = _git("diff", "--name-status", "--no-renames", "-z", commit, "--", cwd=root)
    words = listed.split("\0")
    status = dict(zip(words[1::2], words[0::2], strict=False))
    others = _git("ls-files", "--others", "--exclude-standard", "-z", cwd=root).split("\0")
    status.update(dict.fromkeys(filter(None, others), "A"))
    added, was, paths = set(), {}, {}
    for key, path in _migrations_in(root, status):
        paths[key] = str(root / path)
        if status[path] == "A":
            added.add(key)
        else:
            was[key] = _git("show", f"{commit}:{path}", cwd=root)
    return Changed(frozenset(added), was, paths)


def _migrations_in(root: Path, status: dict[str, str]) -> Iterator[tuple[Key, str]]:
    """Shape: (key, path from ``root``); also of files that are no more."""
    folders = {
        os.path.realpath(folder): config.label
        for config in installed.get_app_configs()
        if is_first_party_app(config) and (folder := migrations_folder(config))
    }
    for path in status:
        full = Path(os.path.realpath((root / path).parent)) / Path(path).name
        label = folders.get(str(full.parent))
        if label is not None and full.suffix == ".py" and full.name[0] not in "_~":
            yield (label, full.stem), path


def _git(*args: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603  no shell; a ref cannot be an option here
            ["git", *args],  # noqa: S607  the one that the project's authors use
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSuchPast(f"git cannot be asked: {error}.", do=_DO) from error
    if done.returncode:
        said = done.stderr.strip() or f"git {args[0]} failed"
        raise NoSuchPast(f"git does not know what was before: {said}.", do=_DO)
    return done.stdout


_DO = (
    "Nothing was judged. Give --since a branch or commit that this clone has; in CI, fetch it "
    "first (with actions/checkout: fetch-depth: 0)."
)


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

    def _loaded(self, key: Key, text: str) -> Any:
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
    now = judgement(connection, fresh=[".".join(key) for key in changed.added])
    before = judgement(connection, loading=lambda: _LoaderOfBefore(changed))
    if before.stopped:
        broken = next(one for one in before.findings if one.finding.rule == "E303")
        return now, f"What was before cannot be judged ({broken.finding.what})"
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
