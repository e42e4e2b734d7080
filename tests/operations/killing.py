"""
Runs ``manage.py`` commands in processes that kill themselves at a given statement.

Started in a project's folder; reads one JSON object a line and answers with one. Each command is
a process of its own, forked from this one after the imports and before any connection, because a
start of Python for each of some hundred runs would take minutes. SIGKILL is real.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback

from tests.deaths import Life, looks


class Axe(Life):
    """Counts the statements of all connections; falls before the ``at``-th, or after it."""

    def __init__(self, at: int, after: bool) -> None:
        super().__init__()
        self.at, self.after = at, after

    def __call__(self, execute, sql, params, many, context):
        falls = not looks(sql) and len(self.blocks) + 1 == self.at
        if falls and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = super().__call__(execute, sql, params, many, context)
        if falls:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def run(order: dict) -> None:
    """In the child: one command on one database, as one release."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections
    from django.db.backends.signals import connection_created

    connections.settings["default"]["NAME"] = order["database"]
    settings.SAFEMIGRATE = {"RELEASE": order["release"]}
    axe = Axe(order.get("at", 0), order.get("after", False))

    def armed(connection, **kwargs):
        connection.execute_wrappers.append(axe)

    connection_created.connect(armed, weak=False)
    call_command(*order["args"])
    connections.close_all()
    print(f"deaths: {json.dumps([axe.deaths(), len(axe.blocks)])}")


def forked(order: dict) -> dict:
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            code = 1
            try:
                run(order)
                code = 0
            except BaseException:  # noqa: BLE001  (the child must not return into the parent's loop)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "said": said.read()}


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)
