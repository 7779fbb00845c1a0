"""Sockets on which the node and its engines listen."""

from __future__ import annotations

import socket

BACKLOG = 1_024


class CannotListen(Exception):
    """The address is taken, or none of this machine's."""


def listen(host: str, port: int, setting: str = "") -> socket.socket:
    """A listening TCP socket. Raises CannotListen, which names the setting, if there is one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        named = f"{setting}: " if setting else ""
        raise CannotListen(f"{named}cannot listen on {host}:{port}: {error.strerror or error}") from error
