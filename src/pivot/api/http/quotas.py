"""What one address may take of the public port: requests at a time, and a minute.

Questions to models have no limit a minute here: they bring credentials, which have limits of their own. A peer that is not on
the public internet is taken for this host's own proxy: its `X-Forwarded-For` says who asks, and without it nobody is counted.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache

from starlette.types import ASGIApp

from pivot.api.http.answer import turn_away
from pivot.api.http.body import Receive, Scope, Send
from pivot.api.http.errors import TooManyRequests
from pivot.api.http.websockets import deny
from pivot.api.inference.request import PATHS
from pivot.api.keys.shares import Shares
from pivot.api.settings import HttpSettings
from pivot.api.urls import is_public

MAX_ADDRESSES = 65_536
"""That are remembered; those that have nothing under way are forgotten first."""
KNOWN_PEERS = 16_384
IPV6_PREFIX = 64
"""Whoever has an IPv6 address has so many bits of others."""
FORWARDED_HEADER = b"x-forwarded-for"


class PerAddress:
    """ASGI application around the public port's: answers 429 to an address that takes more than its share."""

    def __init__(self, app: ASGIApp, limits: HttpSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """limits: may change while the port is served."""
        self._app = app
        self._limits = limits
        self._clock = clock
        self._shares = Shares(MAX_ADDRESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asker = asker_of(scope)
        if asker is None:
            await self._app(scope, receive, send)
            return
        try:
            with self._place(asker, counted=scope["path"] not in PATHS):
                await self._app(scope, receive, send)
        except _BeyondQuota as refusal:
            if scope["type"] == "websocket":
                await deny(send, refusal)
                return
            await turn_away(scope, send, refusal)

    def _place(self, asker: str, *, counted: bool) -> AbstractContextManager[None]:
        share = self._shares.of(asker)
        if share.under_way >= self._limits.address_concurrency:
            raise _BeyondQuota(f"{asker} has {share.under_way} requests under way, and may have no more")
        per_minute = self._limits.address_requests_per_minute
        wait_s = share.take(per_minute, self._clock()) if counted else 0.0
        if wait_s > 0:
            sentence = f"{asker} may send {per_minute} requests a minute beside questions to models"
            raise _BeyondQuota(sentence, retry_after_s=math.ceil(wait_s))
        return share.place()


class _BeyondQuota(TooManyRequests):
    """Raised here alone, so nobody else's 429 is answered twice."""


def asker_of(scope: Scope) -> str | None:
    """Whose quota a request counts for: a public IPv4 address, or the prefix of an IPv6 one; None when nobody's."""
    peer = scope.get("client")
    if not peer:
        return None
    asker = _counted_as(peer[0])
    if asker is not None:
        return asker
    forwarded = dict(scope["headers"]).get(FORWARDED_HEADER, b"")
    return _counted_as(forwarded.rpartition(b",")[2].decode("latin-1").strip()) if forwarded else None


@lru_cache(maxsize=KNOWN_PEERS)
def _counted_as(text: str) -> str | None:
    try:
        return network_of(text) if is_public(text) else None
    except ValueError:
        return None


def network_of(peer: str) -> str:
    """Under which name a peer is counted: an IPv4 address, or the prefix of an IPv6 one; what is no address as it is."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address.packed, IPV6_PREFIX), strict=False))
