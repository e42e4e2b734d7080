"""Noticing that the server of a connection is gone, when nobody is left to say so."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

QUIET_SECONDS = 30  # without a word from the server, as during a long statement, before it is asked
ASK_SECONDS, ASKED = 10, 3  # then so often, so many times without an answer
CONNECT_SECONDS = 10


def watch(connection: BaseDatabaseWrapper) -> None:
    """
    Have the operating system end the connection a minute after its server was last reachable.

    A machine that loses its power, or an address that moves, sends no farewell: by itself Linux
    waits for two hours. Does nothing where that cannot be set, or the connection is a local one.
    Source:  https://man7.org/linux/man-pages/man7/tcp.7.html
    """
    driver: Any = connection.connection
    if driver is None or driver.closed or sys.platform != "linux":
        return
    with socket.socket(fileno=os.dup(driver.fileno())) as end:
        watch_socket(end)


def watch_socket(end: socket.socket) -> None:
    if end.family not in (socket.AF_INET, socket.AF_INET6):
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    in_all = QUIET_SECONDS + ASK_SECONDS * ASKED
    for name, value in {
        "TCP_KEEPIDLE": QUIET_SECONDS,
        "TCP_KEEPINTVL": ASK_SECONDS,
        "TCP_KEEPCNT": ASKED,
        "TCP_USER_TIMEOUT": in_all * 1000,  # of what was sent and never acknowledged
    }.items():
        end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def bound_connecting(connection: BaseDatabaseWrapper) -> None:
    """Give up on an address that answers nothing, unless the project says itself when."""
    given = connection.settings_dict
    options = {"connect_timeout": CONNECT_SECONDS, **given["OPTIONS"]}
    connection.settings_dict = {**given, "OPTIONS": options}  # the dict is other threads' too
