"""Connections to ML nodes that end when the machine at their other end is gone.

A machine that is switched off ends no connection. A command that takes half an hour, or an answer that takes its time, would
wait in vain: so the system asks the other side now and then, and a machine that has begun anew says that it knows of nothing.
"""

import socket
from typing import Any

IDLE_S = 10
"""A connection that is quiet for so long is asked whether it is still there,"""
INTERVAL_S = 5
"""again after so long,"""
PROBES = 3
"""and ends when so many questions have no answer: after 25 s."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it."""


def kept_alive(address: AddressInfo) -> socket.socket:
    """A socket for a connection to this address. For aiohttp's connector."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", IDLE_S), ("TCP_KEEPINTVL", INTERVAL_S), ("TCP_KEEPCNT", PROBES)):
        if hasattr(socket, option):  # not every system has them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
