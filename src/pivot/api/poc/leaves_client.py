"""Asking another host for leaves of its proof of compute."""

import time
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
from pydantic import ValidationError
from yarl import URL

from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.poc.leaves_api import LEAVES_PATH, MAX_INDICES, LeavesAnswer, ServedLeaf, signed_headers
from pivot.api.urls import UnsafeUrl, session_to_hosts, url_of

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
MAX_ANSWER_BYTES = MAX_INDICES * 8_192
SHOWN_REFUSAL_LENGTH = 300


class LeavesUnavailable(Exception):
    """A host did not hand out what it was asked for; it may be asked again."""


class LeavesClient:
    """Signed requests for leaves. URLs come from the chain, so they are checked before they are called."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._identity = identity
        self._chain = chain
        self._allow_private = allow_private
        self._http = session_to_hosts(allow_private=allow_private)

    async def close(self) -> None:
        await self._http.close()

    async def leaves(self, host: str, epoch: int, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        """At most MAX_INDICES leaves of one node of a host. Raises LeavesUnavailable."""
        wanted = list(indices)
        url = await self._url(host, LEAVES_PATH.format(epoch=epoch))
        query = {"node_number": str(node_number), "indices": ",".join(str(index) for index in wanted)}
        key, chain_id = self._identity.account, self._chain.chain_id
        headers = signed_headers(key, chain_id, epoch, host, node_number, wanted, time.time_ns())
        try:
            async with self._http.get(
                url, params=query, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                raw = await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise LeavesUnavailable(f"{url}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status != HTTPStatus.OK:
            said = raw[:SHOWN_REFUSAL_LENGTH].decode(errors="replace")
            raise LeavesUnavailable(f"{url} answered {answer.status}: {said}")
        try:
            return LeavesAnswer.model_validate_json(raw).leaves
        except ValidationError as error:
            raise LeavesUnavailable(f"{url} did not answer with leaves: {error.error_count()} faults") from error

    async def _url(self, host: str, path: str) -> URL:
        try:
            participant = await self._chain.participant(host)
            if participant is None:
                raise LeavesUnavailable(f"the chain knows no host {host}")
            return url_of(participant.inference_url, path, allow_private=self._allow_private)
        except (LedgerError, UnsafeUrl) as error:
            raise LeavesUnavailable(f"host {host}: {error}") from error


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body, bounded. Raises ValueError when it is longer."""
    raw = b""
    while part := await answer.content.read(MAX_ANSWER_BYTES):
        raw += part
        if len(raw) > MAX_ANSWER_BYTES:
            raise ValueError(f"more than {MAX_ANSWER_BYTES} bytes")
    return raw
