"""
Run the demo or the tests on a machine that has Python and this repository, and nothing else.

    python3 testproject rollout [...]           deploy three releases under traffic (--help)
    python3 testproject tests [--lint] [...]    the tests; what follows goes to pytest
    python3 testproject manage COMMAND [...]    the shop's manage.py

The first run makes .venv in the repository and installs what is needed; later runs find it there.
An interpreter that has everything already is used as it is. Standard library only, up to the point
where the virtual environment is there.
"""

import sys

# Before anything that an older Python does not understand.
if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells people so
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"safemigrate needs Python 3.11 or newer; this is {found} ({sys.executable}). "
        "Run the command with a newer one, for example: python3.12 testproject rollout"
    )

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
VENV = REPOSITORY / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
MARKER = VENV / "safemigrate.json"  # what is installed in it; "making" while it is not finished
PYPROJECT = REPOSITORY / "pyproject.toml"
EXTRA = "postgresql"


def main(words: list[str]) -> int:
    if not words or words[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if words in (["-h"], ["--help"]) else 2
    groups = ["demo"]
    if words[0] == "tests":
        groups = ["test", "lint"] if "--lint" in words else ["test"]
    if missing(groups):
        if os.environ.get("SHOP_IN_VENV"):
            raise SystemExit(
                f"{VENV} lacks {', '.join(missing(groups))} although all was installed. "
                "Remove that folder and run the command again."
            )
        prepare(groups)
        os.environ["SHOP_IN_VENV"] = "1"
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), str(HERE), *words])
    # The repository, not this folder, is what is imported from.
    paths = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    sys.path[:] = [str(REPOSITORY), *paths]
    return COMMANDS[words[0]](words[1:])


def missing(groups: list[str]) -> list[str]:
    """Return what this interpreter lacks of the project's and the groups' requirements."""
    project = tomllib.loads(PYPROJECT.read_text())
    wanted = [*project["project"]["dependencies"]]
    wanted += project["project"]["optional-dependencies"][EXTRA]
    waiting = list(groups)
    while waiting:
        for entry in project["dependency-groups"][waiting.pop()]:
            if isinstance(entry, dict):
                waiting.append(entry["include-group"])
            else:
                wanted.append(entry)
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in wanted}
    return sorted(name for name in names if not is_installed(name))


def is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def prepare(groups: list[str]) -> None:
    """Make .venv, or repair or renew it, so that the groups are installed in it."""
    (HERE / ".data").mkdir(exist_ok=True)
    with (HERE / ".data" / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second command started meanwhile waits here
        digest = hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()
        state = read_marker()
        if not VENV_PYTHON.exists() or state.get("making"):
            make_venv()
            state = {}
        installed = state.get("groups", []) if state.get("pyproject") == digest else []
        if not set(groups) <= set(installed):
            install(groups)
            groups = sorted({*groups, *installed})
            MARKER.write_text(json.dumps({"pyproject": digest, "groups": groups}))


def read_marker() -> dict:
    try:
        return json.loads(MARKER.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:  # killed while writing it
        return {"making": True}


def make_venv() -> None:
    lacking = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if lacking:
        major, minor = sys.version_info[:2]
        raise SystemExit(
            f"{sys.executable} lacks {' and '.join(lacking)}, so no virtual environment can be "
            f"made. On Debian and Ubuntu: apt install python{major}.{minor}-venv. Then run the "
            "command again."
        )
    print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    MARKER.write_text(json.dumps({"making": True}))
    run([sys.executable, "-m", "venv", str(VENV)], "The virtual environment could not be made")
    # Groups of dependencies are known to pip from 25.1 on.
    pip("install", "--upgrade", "pip>=25.1")


def install(groups: list[str]) -> None:
    print(f"Installing safemigrate and the dependencies of: {', '.join(groups)}", flush=True)
    chosen = [word for group in groups for word in ("--group", group)]
    pip("install", "--editable", f".[{EXTRA}]", *chosen)


def pip(*words: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    command = [str(VENV_PYTHON), "-m", "pip", *words, *quiet]
    run(command, "pip could not install what is needed (is there a network, or a package index?)")


def run(command: list[str], failure: str) -> None:
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        last = "\n".join(f"  {line[:300]}" for line in said[-8:])
        raise SystemExit(
            f"{failure}. Its last words:\n{last}\n"
            "Nothing outside .venv was changed; the same command tries again."
        )


def rollout(words: list[str]) -> int:
    from testproject.rollout.command import main as roll_out

    return roll_out(words)


def tests(words: list[str]) -> int:
    """Run the tests on both cores, and with --lint what reads the code without running it."""
    lint = "--lint" in words
    words = [word for word in words if word != "--lint"]
    commands = [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]] if lint else []
    workers = (
        []
        if any(re.match("-n|--numprocesses|--pdb", word) for word in words)
        else ["-n", "2", "--dist", "worksteal"]
    )
    commands.append(["pytest", *workers, *words])
    codes = []
    for command in commands:
        if lint:
            print(f"$ {' '.join(command)}", flush=True)
        python_m = [sys.executable, "-m", *command]
        codes.append(subprocess.run(python_m, cwd=REPOSITORY, check=False).returncode)
    return next((code for code in codes if code), 0)


def manage(words: list[str]) -> int:
    command = [sys.executable, str(HERE / "manage.py"), *words]
    return subprocess.run(command, check=False).returncode


COMMANDS = {"rollout": rollout, "tests": tests, "manage": manage}

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
