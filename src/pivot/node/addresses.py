"""Addresses as they stand in settings: `tcp://host:port`, `host:port`, `http://host`; and whether they are free."""

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from pivot.node.errors import PortTaken

LARGEST_PORT = 65_535


class HostPort(NamedTuple):
    """Where something listens, or is dialled."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> HostPort:
    """`tcp://host:port` or `host:port`. Raises ValueError with a sentence."""
    parts = urlsplit(text if "://" in text else f"tcp://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or port is None or parts.path:
        raise ValueError(f"{text!r} is not of the form tcp://host:port, with a port from 0 to {LARGEST_PORT}")
    return HostPort(parts.hostname, port)


def parse_url(text: str) -> str:
    """An http:// or https:// address, without a slash at its end. Raises ValueError with a sentence."""
    parts = urlsplit(text)
    try:
        parts.port  # noqa: B018  it is parsed when it is read
    except ValueError as error:
        raise ValueError(f"{text!r} has a port that is none: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text!r} is not an http:// or https:// address")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine itself, to which only its own processes can connect."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def dialled(address: HostPort) -> HostPort:
    """Where to reach what listens at `address` from this machine."""
    return HostPort("127.0.0.1", address.port) if address.host in {"0.0.0.0", "::"} else address  # noqa: S104


def require_free(address: HostPort, setting: str) -> None:
    """Refuse an address where somebody listens already, or which this machine does not have. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise PortTaken(f"{setting}: nothing can listen on {address}: {error.strerror or error}") from error
