"""Streaming replicas of a server of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testproject import database
from tests.conftest import SERVER_OPTIONS


def standby_of(server: database.Server, data: Path) -> database.Server:
    """Start a replica; it ends with the block, as any server of ours."""
    data.mkdir(mode=0o700)
    database._give_away(data)
    words = [str(server.bin / "pg_basebackup"), "-h", str(server.socket_dir), "-U"]
    words += ["postgres", "-D", str(data), "-R", "-c", "fast", "--no-sync"]
    subprocess.run(
        database._launcher(words),
        check=True,
        capture_output=True,
        env=database._environment(server.bin),
    )
    # A standby asks for at least the limits of its primary; of sessions it has more already.
    limits = SERVER_OPTIONS | {"max_connections": "100", "hot_standby": "on"}
    return database.start(data, durable=False, options=limits)
