"""Asking another host for the artifact of an answer."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from yarl import URL

from pivot.api.identity import Identity
from pivot.api.inference.artifacts import MAX_DOCUMENT_BYTES
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.urls import UnsafeUrl, session_to_hosts, url_of
from pivot.api.validation.artifacts_api import expanded, signed_headers
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=3, sock_read=20)
BASE_BYTES = 24 * 2**20
"""Room for the request, which an artifact repeats, and its prompt's tokens."""
BYTES_PER_TOKEN = 2_048
"""An artifact has no more for each token of the answer: five texts and log-probabilities."""
SHOWN_REFUSAL_LENGTH = 300


class ArtifactUnavailable(Exception):
    """A host did not hand out what it was asked for; it may be asked again."""


class ArtifactsClient:
    """Signed requests for artifacts. URLs come from the chain, so they are checked before they are called."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._identity = identity
        self._chain = chain
        self._allow_private = allow_private
        self._http = session_to_hosts(allow_private=allow_private)

    async def close(self) -> None:
        await self._http.close()

    async def artifact(self, host: str, record: Inference) -> tuple[bytes, bytes]:
        """The artifact of an answer as it was sent, compressed, and its document, whose hash is the record's.

        host: the executor, or the accuser of a dispute. Raises ArtifactUnavailable.
        """
        url = await self._url(host, record.inference_id)
        headers = signed_headers(
            self._identity.account, self._chain.chain_id, host, record.inference_id, time.time_ns()
        )
        limit = min(BASE_BYTES + BYTES_PER_TOKEN * record.completion_token_count, MAX_DOCUMENT_BYTES)
        try:
            async with self._http.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False) as answer:
                compressed = await _read(answer, limit)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ArtifactUnavailable(f"{url}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status != HTTPStatus.OK:
            said = compressed[:SHOWN_REFUSAL_LENGTH].decode(errors="replace")
            raise ArtifactUnavailable(f"{url} answered {answer.status}: {said}")
        try:
            raw, found = await asyncio.to_thread(_document, compressed, limit)
        except ValueError as error:
            raise ArtifactUnavailable(f"{url} did not answer with an artifact: {error}") from error
        if found != record.artifact_hash:
            raise ArtifactUnavailable(f"{url} answered with another artifact than the one that was signed")
        return compressed, raw

    async def _url(self, host: str, inference_id: str) -> URL:
        try:
            participant = await self._chain.participant(host)
            if participant is None:
                raise ArtifactUnavailable(f"the chain knows no host {host}")
            base = url_of(participant.inference_url, "/v1/artifacts/", allow_private=self._allow_private)
        except (LedgerError, UnsafeUrl) as error:
            raise ArtifactUnavailable(f"host {host}: {error}") from error
        return URL(str(base) + quote(inference_id, safe=""), encoded=True)


def _document(compressed: bytes, limit: int) -> tuple[bytes, str]:
    raw = expanded(compressed, limit)
    return raw, sha256(raw).hex()


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, bounded. Raises ValueError when it is longer."""
    parts, size = [], 0
    while part := await answer.content.readany():
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ValueError(f"more than {limit} bytes")
    return b"".join(parts)
