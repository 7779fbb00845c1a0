"""Sockets on which the node and its engines listen."""

from __future__ import annotations

import socket

BACKLOG = 1_024


class CannotListen(Exception):
    """The address is taken, or none of this machine's."""


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises CannotListen with a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
