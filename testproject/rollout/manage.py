"""Run the shop's manage.py as a deploy does: a process of its own, its output kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from testproject.rollout.windows import Command

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 900

# A deploy job runs on a machine of its own. Here it shares the cores with what is measured, so it
# steps back where both want one; what the server does for it does not.
PRIORITY = 10


class RolloutError(RuntimeError):
    """The rollout itself cannot go on; its measurements mean nothing. The message says why."""


def environment(release: str, source: Path, url: str, *, safemigrate: bool) -> dict[str, str]:
    """Return what the shop's settings read, for one release on one database."""
    return {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "testproject.config.settings",
        "PYTHONUNBUFFERED": "1",
        "SHOP_RELEASE": release,
        "SHOP_SOURCE": str(source),
        "SHOP_WITH_SAFEMIGRATE": str(safemigrate),
    }


def manage(
    words: tuple[str, ...],
    settings: Mapping[str, str],
    log: Path,
    meanwhile: Callable[[], object] = lambda: None,
) -> Command:
    """Run a command to its end, or for ``LONGEST_SECONDS``; ``meanwhile`` is called on the way."""
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, REPOSITORY / "testproject" / "manage.py", *words],
            cwd=REPOSITORY,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, PRIORITY)
        try:
            while process.poll() is None and time.monotonic() < began + LONGEST_SECONDS:
                time.sleep(0.02)
                meanwhile()
        finally:
            process.kill()  # does nothing to one that has ended
            process.wait()
    name = f"{words[0]} ({settings['SHOP_RELEASE']})"
    return Command(name, process.returncode, log.read_text(), time.monotonic() - began)
