"""Whether a network node's call-back port can be reached from this machine: proofs of compute go there, and nowhere else."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from pivot.mlnode.callback_hosts import GuardedResolver
from pivot.protocol.mlnode_api import MAX_ERROR_LENGTH, CallbackTried

TRY_TIMEOUT_S = 3.0
MAX_TRIES_AT_A_TIME = 4
HEALTH_PATH = "/health"


class TooManyTries(Exception):
    """As many tries as may run at a time are under way."""

    def __init__(self) -> None:
        super().__init__(f"{MAX_TRIES_AT_A_TIME} tries are under way; ask again in {TRY_TIMEOUT_S:g} s")


class Tries:
    """Tries of this node, a few at a time. Of an answer nothing but its status is read."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._free = asyncio.Semaphore(MAX_TRIES_AT_A_TIME)

    async def reach(self, url: str) -> CallbackTried:
        """What a GET of the port's health path finds; whatever answers, even with a refusal, is there. Raises TooManyTries."""
        if self._free.locked():
            raise TooManyTries
        async with self._free:
            return await reach(url, self._tls)


async def reach(url: str, tls: ssl.SSLContext | None = None) -> CallbackTried:
    """One try, which follows no redirect. tls: for an https:// address, in place of what a browser trusts."""
    timeout = aiohttp.ClientTimeout(total=TRY_TIMEOUT_S)
    connector = aiohttp.TCPConnector(resolver=GuardedResolver(), ssl=tls or True)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
            http.get(url.rstrip("/") + HEALTH_PATH, allow_redirects=False) as answer,
        ):
            return CallbackTried(status=answer.status)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return CallbackTried(error=f"{type(error).__name__} {error}".rstrip()[:MAX_ERROR_LENGTH])
