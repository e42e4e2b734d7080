"""The ``SAFEMIGRATE`` setting: one dict, every key known, every value of its type."""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from safemigrate.facts.assurance import Assurance, assurance
from safemigrate.facts.errors import WrongSettings
from safemigrate.facts.release import release_from

QUEUES = ("celery", "django-tasks")


@dataclass(frozen=True)
class Settings:
    """``SAFEMIGRATE`` after reading; the names are the keys in lower case."""

    release: str = ""
    """The running release (image tag, commit); empty: read from the hosting platform."""
    hold_contract: bool = True
    """False runs contracts straight away, as on a database that has no old code."""
    held_too_long: timedelta = timedelta(days=14)
    """``check --deploy`` warns about a contract that is held longer."""
    lock_deadline: timedelta = timedelta(minutes=5)
    """How long one operation tries to get its lock before it gives up."""
    build_deadline: timedelta = timedelta(hours=12)
    """How long one index build or one validation may take."""
    build_workers: int = 0
    """How many processes may help with one index build; each takes a core from the traffic."""
    runner_wait: timedelta = timedelta(minutes=10)
    """How long a second ``migrate`` waits for the first."""
    batch_duration: timedelta = timedelta(milliseconds=20)
    """What each batch of a backfill aims at; a row is locked no longer than that."""
    backfill_workers: int = 1
    """How many connections share one backfill, each in a thread of its own."""
    backfill_rate: int = 0
    """At most so many rows a second in one backfill; 0 is no cap."""
    backfill_probe: str = ""
    """Dotted path of a function that says why backfills should wait, or None."""
    backfill_queue: str = ""
    """The task queue that does what ``background=True`` asks for; ``kind`` or ``kind:queue``."""
    backfill_shift: timedelta = timedelta(minutes=5)
    """How long one task of the queue works before it makes room and sends itself again."""
    replica_lag_mb: int = 16
    """A backfill waits while a replica is further behind; 0 looks at none."""
    ignore_replicas: tuple[str, ...] = ()
    """Replicas that may be behind: their ``application_name``."""
    wal_behind_mb: int = 1024
    """A backfill waits while a slot or the archive holds back so much more WAL than before."""
    waiting_sessions: int = 4
    """A backfill waits while so many sessions wait for locks; 0 never."""
    dead_rows_percent: int = 150
    """A backfill waits while its table has more dead rows than that, of the live ones; 0 never."""
    held_back_deadline: timedelta = timedelta(hours=2)
    """How long a backfill waits for others, or for the end of a pause, before it gives up."""
    error_budget: int = 100
    """How many rows of one backfill may be set aside because they fail, before it stops."""
    ignore_sessions: tuple[str, ...] = field(
        default=("psql", "pg_dump", "pg_restore", "pgAdmin", "DBeaver", "pgbouncer"),
    )
    """Sessions without a release whose application_name starts so are not old code."""
    baseline: str = "safemigrate-baseline.json"
    """The file that exempts what was there before; relative to ``BASE_DIR``, else to the cwd."""

    server_version: int = 0
    """The oldest server that the migrations run on, such as 16; 0: nobody says."""

    third_party: tuple[str, ...] = ()
    """Labels of apps whose migrations are not this project's to change, though their code is."""
    assured: Mapping[str, Assurance] = field(default_factory=dict)
    """Migrations of installed packages, ``app.name``, that run as they are; with the reason."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= timedelta(0):
                raise WrongSettings(
                    f'SAFEMIGRATE["{name.upper()}"] is {getattr(self, name)!r}.',
                    do="Give a duration longer than zero.",
                )
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise WrongSettings(
                    f'SAFEMIGRATE["{name.upper()}"] is {getattr(self, name)}.',
                    do="Give a number of zero or more.",
                )
        if self.backfill_workers < 1:
            raise WrongSettings(
                f'SAFEMIGRATE["BACKFILL_WORKERS"] is {self.backfill_workers}.',
                do="Give a number of one or more.",
            )
        if self.backfill_queue and self.backfill_queue.partition(":")[0] not in QUEUES:
            raise WrongSettings(
                f'SAFEMIGRATE["BACKFILL_QUEUE"] is {self.backfill_queue!r}.',
                do=f"Give {' or '.join(map(repr, QUEUES))}, with the name of one of its queues "
                "after a colon if it is not the default one.",
            )
        if self.server_version and not _OLDEST <= self.server_version < _NO_VERSION:
            raise WrongSettings(
                f'SAFEMIGRATE["SERVER_VERSION"] is {self.server_version}.',
                do=f"Give the first number of the version, {_OLDEST} or more, such as 16.",
            )
        if self.held_too_long < timedelta(0):
            raise WrongSettings(
                f'SAFEMIGRATE["HELD_TOO_LONG"] is {self.held_too_long!r}.',
                do="Give a duration of zero or more.",
            )

    def assured_on(self, today: date) -> frozenset[str]:
        """The migrations that somebody vouches for, but for those whose day is over."""
        return frozenset(name for name, why in self.assured.items() if not why.is_over(today))


_OLDEST, _NO_VERSION = 14, 100  # 160004 is how the server itself says 16.4
_POSITIVE = (
    "lock_deadline",
    "build_deadline",
    "runner_wait",
    "batch_duration",
    "backfill_shift",
    "held_back_deadline",
)
_NOT_NEGATIVE = (
    "build_workers",
    "backfill_rate",
    "replica_lag_mb",
    "wal_behind_mb",
    "waiting_sessions",
    "dead_rows_percent",
    "error_budget",
)
_TYPES = typing.get_type_hints(Settings)
_NAMES = tuple(f.name.upper() for f in dataclasses.fields(Settings))


def parse(raw: object, environ: Mapping[str, str] | None = None) -> Settings:
    """
    Read the setting.

    Raises: WrongSettings naming the key, what was found and the nearest right key.
    """
    if isinstance(raw, str):
        raise WrongSettings(
            f"SAFEMIGRATE is a string ({raw!r}); that is the setting of another package, "
            "django-safemigrate.",
            do='Make it a dict such as SAFEMIGRATE = {"RELEASE": "..."}, '
            "or uninstall one of the two packages.",
        )
    if not isinstance(raw, Mapping):
        raise WrongSettings(
            f"SAFEMIGRATE is of type {type(raw).__name__}.",
            do='Make it a dict such as SAFEMIGRATE = {"RELEASE": "..."}.',
        )
    values = {_known(key).lower(): _typed(key, value) for key, value in raw.items()}
    settings = Settings(**values)
    release = release_from(settings.release, os.environ if environ is None else environ)
    return dataclasses.replace(settings, release=release)


def _known(key: object) -> str:
    if isinstance(key, str) and key in _NAMES:
        return key
    written = key.upper() if isinstance(key, str) else ""
    near = difflib.get_close_matches(written, _NAMES, n=1, cutoff=0.4)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    raise WrongSettings(
        f"SAFEMIGRATE has an unknown key {key!r}.",
        do=f"{hint}The keys are {', '.join(_NAMES)}.",
    )


def _typed(key: str, value: Any) -> Any:
    wanted = _TYPES[key.lower()]
    if key == "ASSURED":
        return _assured(key, value)
    if wanted is timedelta:
        fits, means = isinstance(value, timedelta), "a datetime.timedelta"
    elif wanted is bool:
        fits, means = isinstance(value, bool), "True or False"
    elif wanted is int:
        fits, means = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif wanted is str:
        fits, means = isinstance(value, (str, Path)), "a string"
        value = str(value) if fits else value
    else:
        fits = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        means, value = "a list of strings", tuple(value) if fits else value
    if not fits:
        raise WrongSettings(
            f'SAFEMIGRATE["{key}"] is {value!r}, of type {type(value).__name__}.',
            do=f"Give {means}.",
        )
    return value


def _assured(key: str, value: Any) -> dict[str, Assurance]:
    fits = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    if not fits:
        raise WrongSettings(
            f'SAFEMIGRATE["{key}"] is {value!r}, of type {type(value).__name__}.',
            do='Give a dict of migrations and reasons: {"blog.0007_total": "runs at night"}.',
        )
    found = {}
    for name, raw in value.items():
        try:
            found[name] = assurance(raw)
        except ValueError as error:
            raise WrongSettings(
                f'SAFEMIGRATE["{key}"]["{name}"] is {raw!r}, of type {type(raw).__name__}: '
                f"{error}.",
                do='Give a reason, or {"because": "runs at night", "until": "2027-01-31"}.',
            ) from error
    return found


def current() -> Settings:
    """The project's settings, read anew so that ``override_settings`` works."""
    from django.conf import settings

    return parse(getattr(settings, "SAFEMIGRATE", {}))
