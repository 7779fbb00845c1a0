"""Asking another host. Its URL comes from the chain, so it is checked before it is called, and its answer is bounded."""

import time
from http import HTTPStatus

import aiohttp
from yarl import URL

from pivot.api.between_hosts.signatures import Words, signed_headers
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.urls import UnsafeUrl, session_to_hosts, url_of

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
SHOWN_REFUSAL_LENGTH = 300


class NotAnswered(Exception):
    """A host has not given what it was asked for; the sentence says why. It may be asked again."""


class HostClient:
    """Signed questions in this host's name."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._key = identity.account
        self._chain = chain
        self._allow_private = allow_private
        self._http = session_to_hosts(allow_private=allow_private)

    async def close(self) -> None:
        await self._http.close()

    async def ask(
        self,
        host: str,
        path: str,
        words: Words,
        *,
        most_bytes: int,
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout = TIMEOUT,  # noqa: ASYNC109  the library's own kind, of several waits
    ) -> bytes:
        """What a host answers with status 200. Raises NotAnswered.

        path: from `/` on, as it stands in the URL, with its query. words: what is signed. body: JSON that is posted; None asks
        by GET. most_bytes: of the answer.
        """
        url = await self._url(host, path)
        headers = signed_headers(self._key, words, time.time_ns())
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._http.request(
                "GET" if body is None else "POST",
                url,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                raw = await _read(answer, most_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotAnswered(f"{url}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status != HTTPStatus.OK:
            said = raw[:SHOWN_REFUSAL_LENGTH].decode(errors="replace")
            raise NotAnswered(f"{url} answered {answer.status}: {said}")
        return raw

    async def _url(self, host: str, path: str) -> URL:
        try:
            participant = await self._chain.participant(host)
            if participant is None:
                raise NotAnswered(f"the chain knows no host {host}")
            base = url_of(participant.inference_url, "/", allow_private=self._allow_private)
        except (LedgerError, UnsafeUrl) as error:
            raise NotAnswered(f"host {host}: {error}") from error
        return URL(str(base).rstrip("/") + path, encoded=True)


async def _read(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body. Raises ValueError when it is longer."""
    parts, size = [], 0
    while part := await answer.content.readany():
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise ValueError(f"more than {most_bytes} bytes")
    return b"".join(parts)
