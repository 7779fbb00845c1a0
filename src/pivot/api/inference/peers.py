"""Other hosts as executors, over HTTP.

Their URLs come from the chain, where anybody may register one, so they are checked before they are called: only http and
https, no address inside this machine's networks (unless the settings allow it), no redirects, every wait bounded (A-18).
"""

import asyncio
import ipaddress
import socket
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from pivot.api.inference import hop
from pivot.api.inference.parts import Accepted, CandidateFailed, Head, Parts
from pivot.api.inference.payload import payload
from pivot.api.inference.request import CHAT_PATH, Request
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.parameters import LONGEST_GENERATION_SECONDS

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 3.0
"""Beyond its patience, an executor has this long to say that it accepts."""
SILENCE_SECONDS = 3 * hop.HEARTBEAT_SECONDS
MAX_REFUSAL_BYTES = 4_096
STALL_SECONDS = 130.0
"""A stream without a byte for this long is over; the executor gives its engine a little less."""
BUSY = frozenset({429, 503})
_TIMEOUT = aiohttp.ClientTimeout(
    total=LONGEST_GENERATION_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS
)


class UnsafeUrl(ValueError):
    """A URL that this node does not call."""


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises UnsafeUrl unless the URL is plain http(s) to a host that is not an address inside a private network."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise UnsafeUrl(f"{url!r} is not an http(s) URL of a host")
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return  # a name: its addresses are checked when it is resolved
    if not allow_private and not _is_public(str(address)):
        raise UnsafeUrl(f"{url!r} lies on a private network")


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those with an address on a private network, at the very moment of connecting."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        for each in found:
            if not _is_public(each["host"]):
                raise OSError(f"{host} resolves to {each['host']}, which is not a public address")
        return found

    async def close(self) -> None:
        await self._system.close()


class Peers:
    """Connections to other hosts."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        resolver = None if allow_private else PublicResolver()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def answer(self, url: str, request: Request, start: MsgStartInference, patience_s: float) -> Parts:
        """The parts of another host's answer. Raises CandidateFailed before the head, ConnectionError after it."""
        try:
            check_url(url, allow_private=self._allow_private)
        except UnsafeUrl as error:
            raise CandidateFailed(str(error)) from None
        begun = False
        try:
            async with asyncio.timeout(patience_s + ANSWER_SECONDS):
                response = await self._http.post(
                    url.rstrip("/") + CHAT_PATH,
                    data=payload(request.body),
                    headers=hop.request_headers(start, patience_s),
                    timeout=_TIMEOUT,
                    allow_redirects=False,
                )
            async with response:
                yield Accepted(await _read_acceptance(response))
                yield await _read_head(response.content)
                begun = True
                while piece := await response.content.readany():
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            sentence = f"{type(error).__name__} {error}".strip()
            if begun:
                raise ConnectionError(sentence) from error
            raise CandidateFailed(sentence) from error

    async def close(self) -> None:
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _read_acceptance(response: aiohttp.ClientResponse) -> str:
    """The executor's acceptance. Raises CandidateFailed with what it said instead."""
    acceptance = response.headers.get(hop.ACCEPTANCE_HEADER)
    if response.status == 200 and response.content_type == hop.ANSWER_TYPE and acceptance:
        return acceptance
    async with asyncio.timeout(SILENCE_SECONDS):
        refusal = (await response.content.read(MAX_REFUSAL_BYTES)).decode(errors="replace")
    raise CandidateFailed(f"{response.status}: {refusal}", busy=response.status in BUSY)


async def _read_head(content: aiohttp.StreamReader) -> Head:
    """The line after the heartbeats."""
    while True:
        async with asyncio.timeout(SILENCE_SECONDS):
            line = await content.readline()
        if len(line) > hop.MAX_HEAD_BYTES or not line:
            raise ValueError("the executor broke off before its answer began")
        if line != hop.HEARTBEAT:
            return hop.read_head(line)


def _is_public(address: str) -> bool:
    """Global unicast, also behind IPv6 forms that embed an IPv4 address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        embedded = parsed.ipv4_mapped or parsed.sixtofour
        if embedded is not None:
            return _is_public(str(embedded))
    return parsed.is_global and not parsed.is_multicast
