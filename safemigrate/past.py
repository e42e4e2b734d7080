"""What git says of the project's migrations: how they were, and where."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps as installed
from django.conf import settings

from safemigrate import baseline
from safemigrate.facts.errors import NoSuchPast
from safemigrate.facts.ownership import is_first_party_app, migrations_folder

Key = tuple[str, str]
_SECONDS = 60
_SUBMODULE = "160000"
# Set by git for its hooks; they would make it look elsewhere than where the project is.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True)
class Changed:
    """
    Migrations that are not as they were; ``was``: the source of those that were there, by key.

    ``added``: those that were not. ``paths``: where each stood. ``baseline``: what was exempt;
    None if there was no baseline, or none that can be read.
    """

    added: frozenset[Key]
    was: dict[Key, bytes]
    paths: dict[Key, str]
    baseline: baseline.Baseline | None = None

    @property
    def names(self) -> set[str]:
        return {".".join(key) for key in (*self.added, *self.was)}


@dataclass(frozen=True)
class _Different:
    """One file: where it is, where it was (the same, mostly), and git's name for what it was."""

    repository: Path
    now: Path
    before: Path
    was: str


def changed_since(ref: str) -> Changed:
    """
    What is changed from where this branch left ``ref``; what is not committed yet, too.

    Raises: NoSuchPast.
    """
    # The project's own, wherever the command was started.
    root = _root(getattr(settings, "BASE_DIR", None) or Path.cwd())
    commit = _commit(root, ref)
    folders, added, was, paths = _folders(), set(), {}, {}
    for one in _differing(root, commit):
        now, before = _key(folders, one.now), _key(folders, one.before)
        # A whole folder that was moved; of a file with another name nobody knows.
        if before is None and one.now.name == one.before.name:
            before = now
        if now is not None and (now != before or not one.was):
            added.add(now)
            paths[now] = str(one.now)
        if before is not None and one.was:
            was[before] = _git("cat-file", "blob", one.was, cwd=one.repository)
            paths[before] = str(one.before)
    return Changed(frozenset(added), was, paths, _baseline(root, commit))


def _root(folder: str | Path) -> Path:
    return Path(_said("rev-parse", "--show-toplevel", cwd=Path(folder)).strip())


def _commit(root: Path, ref: str) -> str:
    try:
        found = _said("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}", cwd=root)
    except NoSuchPast as error:
        raise NoSuchPast(f"Of {ref!r} {error.what}", changed="", do=_DO) from error
    commit = found.strip()
    with contextlib.suppress(NoSuchPast):  # a shallow clone does not know; all that differs counts
        commit = _said("merge-base", commit, "HEAD", cwd=root).strip()
    return commit


def _folders() -> dict[str, str]:
    """Where migrations are, and the app whose they are."""
    return {
        os.path.realpath(folder): config.label
        for config in installed.get_app_configs()
        if is_first_party_app(config) and (folder := migrations_folder(config))
    }


def _key(folders: Mapping[str, str], path: Path) -> Key | None:
    """The migration that a file is, also one that is no more."""
    label = folders.get(os.path.realpath(path.parent))
    if label is None or path.suffix != ".py" or path.name[0] in "_~":
        return None
    return label, path.stem


def _differing(root: Path, commit: str) -> Iterator[_Different]:
    """Every file that is not as it was in ``commit``; those of submodules, too."""
    options = ("--raw", "-z", "--no-abbrev", "-M", "-l0", "--ignore-submodules=none")
    words = iter(_said("diff", *options, commit, "--", cwd=root).split("\0"))
    for head in filter(None, words):
        old_mode, mode, old, _, status = head.lstrip(":").split()
        before = now = next(words)
        if status[0] in "RC":
            now = next(words)
        if _SUBMODULE in (old_mode, mode):
            if (root / now / ".git").exists():
                start = old if old_mode == _SUBMODULE else _nothing(root / now)
                yield from _differing(root / now, start)
            continue
        yield _Different(root, root / now, root / before, "" if status == "A" else old)
    others = _said("ls-files", "--others", "--exclude-standard", "-z", cwd=root).split("\0")
    for path in filter(None, others):
        yield _Different(root, root / path, root / path, "")


def _nothing(root: Path) -> str:
    """What git calls a folder without files."""
    return _said("hash-object", "-t", "tree", os.devnull, cwd=root).strip()


def _baseline(root: Path, commit: str) -> baseline.Baseline | None:
    try:
        where = Path(os.path.realpath(baseline.path())).relative_to(os.path.realpath(root))
        text = _said("cat-file", "blob", f"{commit}:{where.as_posix()}", cwd=root)
        return baseline.parsed(text)
    except (NoSuchPast, ValueError, baseline.BaselineUnreadable):
        return None


def _said(*args: str, cwd: Path) -> str:
    return os.fsdecode(_git(*args, cwd=cwd))


def _git(*args: str, cwd: Path) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  no shell; a ref cannot be an option here
            ["git", *args],  # noqa: S607  the one that the project's authors use
            cwd=cwd,
            env={name: value for name, value in os.environ.items() if name not in _OF_HOOKS},
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NoSuchPast(f"git cannot be asked: {error}.", changed="", do=_DO) from error
    if done.returncode:
        said = os.fsdecode(done.stderr).strip() or f"git {args[0]} failed"
        raise NoSuchPast(f"git does not know what was before: {said}.", changed="", do=_DO)
    return done.stdout


_DO = (
    "Nothing was judged. Give --since a branch or commit that this clone has; in CI, fetch it "
    "first (with actions/checkout: fetch-depth: 0)."
)
