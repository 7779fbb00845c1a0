"""Calling other hosts at URLs that anybody may have registered on the chain (weakness A-18).

Only http and https, no address inside this machine's networks (unless the settings allow it), nothing but host and path in
the URL, no cookies, nothing decompressed. Callers follow no redirects and bound every wait.
"""

import errno
import ipaddress
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052)."""
NEVER = (
    "168.63.129.16/32",  # where Azure answers its machines
    "192.0.0.0/24",  # of the protocols' own; Oracle keeps a machine's credentials at 192.0.0.192
    "192.88.99.0/24",  # relays of 6to4
    "3fff::/20",  # for documents
)
"""Networks that are nobody's on the internet, though Python's table (3.11) takes them for public."""
_NEVER = tuple(map(ipaddress.ip_network, NEVER))


class UnsafeUrl(ValueError):
    """A URL that this node does not call."""


def url_of(host_url: str, path: str, *, allow_private: bool) -> URL:
    """The URL of a path at another host, to be called as it is returned.

    Raises UnsafeUrl unless it is plain http(s) to a name, or to an address outside private networks. It is read by the
    library that calls it: what another one takes for a name (full-width digits, say) may be an address to this one.
    """
    try:
        url = URL(host_url.rstrip("/") + path)
        host, _ = url.host, url.port
    except ValueError as error:
        raise UnsafeUrl(f"{host_url!r} is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not host or url.user is not None or url.password is not None:
        raise UnsafeUrl(f"{host_url!r} is not an http(s) URL of a host")
    if url.raw_query_string or url.raw_fragment:
        raise UnsafeUrl(f"{host_url!r} holds more than a host and a path")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return url  # a name: its addresses are checked when it is resolved
    if not allow_private and not is_public(str(address)):
        raise UnsafeUrl(f"{host_url!r} lies on a private network")
    return url


def session_to_hosts(*, allow_private: bool) -> aiohttp.ClientSession:
    """A client for other hosts. Connections are not limited: requests under way are bounded where they begin."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=None if allow_private else PublicResolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a few bytes could become gigabytes
        trust_env=False,
    )


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those with an address on a private network, at the very moment of connecting."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        for each in found:
            if not is_public(each["host"]):
                sentence = f"{host} resolves to {each['host']}, which is not a public address"
                raise OSError(errno.EHOSTUNREACH, sentence)  # with a number, the client tells the sentence
        return found

    async def close(self) -> None:
        await self._system.close()


def is_public(address: str) -> bool:
    """Whether an IP address is global unicast, also behind IPv6 forms that embed an IPv4 address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _TRANSLATED:
            embedded = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
        if parsed.is_site_local:
            return False
    if any(parsed in network for network in _NEVER if network.version == parsed.version):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
