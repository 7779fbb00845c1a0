"""Who may be called back: results go to a URL that the caller names, and a caller must not send the node just anywhere."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

NEVER = (
    "0.0.0.0/8",
    "169.254.0.0/16",  # link-local: where clouds keep a machine's credentials
    "224.0.0.0/3",  # multicast and reserved
    "100.100.100.200/32",  # Alibaba's metadata
    "168.63.129.16/32",  # Azure's
    "::/128",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::/32",  # Amazon's
    "fd20:ce::/32",  # Google's
)
"""Addresses that are never called, whatever the settings."""
TRANSLATED = "64:ff9b::/96"
"""IPv6 addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""
LOOKUP_TIMEOUT_S = 5.0

_NEVER = tuple(map(ipaddress.ip_network, NEVER))
_TRANSLATED = ipaddress.IPv6Network(TRANSLATED)


class ForeignCallback(ValueError):
    """A URL that this node does not call; the sentence says why."""


class CallbackHosts:
    """The hosts that may be called back.

    allowed: their names or addresses; empty for any. known_callers: whether whoever asks is known (a token, this machine
    alone); when not, `allowed` must name the host.
    """

    def __init__(self, allowed: Sequence[str] = (), *, known_callers: bool = True) -> None:
        self._allowed = frozenset(host.strip().strip("[]").lower() for host in allowed)
        self._any = known_callers and not self._allowed

    async def require(self, url: str) -> None:
        """Raises ForeignCallback when the node may not call this. A name that nobody knows yet passes: it may come."""
        try:
            host = URL(url).raw_host or ""  # read as the HTTP client reads it
        except ValueError:
            host = ""
        if not host:
            raise ForeignCallback(f"url: {url!r} names no host")
        if not self._any and host not in self._allowed:
            raise ForeignCallback(f"url: {host} may not be called back; MLNODE_CALLBACK_HOSTS says who may")
        for address in await _addresses(host):
            require_callable(address, host)


class GuardedResolver(AbstractResolver):
    """Looks names up for the node's HTTP client, so that a name which leads elsewhere by the time of the call is refused, too."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises ForeignCallback, and OSError when nobody knows the name."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            require_callable(each["host"], host)
        return found

    async def close(self) -> None:
        """Nothing is kept."""


def require_callable(address: str, host: str) -> None:
    """Raises ForeignCallback for an address that is never called."""
    plain = _plain(ipaddress.ip_address(address.partition("%")[0]))
    if any(plain in network for network in _NEVER if network.version == plain.version):
        raise ForeignCallback(f"url: {host} is {plain}, which no node may be made to call")


async def _addresses(host: str) -> list[str]:
    """What a host stands for at the moment; nothing when nobody knows it."""
    name, _, _ = host.partition("%")
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that is meant: an IPv4 address in IPv6's clothes is one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
