"""Asking another host for the artifact of an answer."""

import asyncio
from functools import partial
from urllib.parse import quote

import aiohttp

from pivot.api.between_hosts.client import HostClient, NotAnswered
from pivot.api.identity import Identity
from pivot.api.inference.artifacts import MAX_DOCUMENT_BYTES
from pivot.api.ledger.interface import Chain
from pivot.api.validation.artifacts_api import ARTIFACTS_PATH, expanded
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.types_pb2 import Inference
from pivot.protocol.signing import artifact_sign_bytes

TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=3, sock_read=20)
BASE_BYTES = 24 * 2**20
"""Room for the request, which an artifact repeats, and its prompt's tokens."""
BYTES_PER_TOKEN = 2_048
"""An artifact has no more for each token of the answer: five texts and log-probabilities."""


class ArtifactsClient:
    """Questions for artifacts."""

    def __init__(self, identity: Identity, chain: Chain, *, allow_private: bool) -> None:
        self._chain = chain
        self._client = HostClient(identity, chain, allow_private=allow_private)

    async def close(self) -> None:
        await self._client.close()

    async def artifact(self, host: str, record: Inference) -> tuple[bytes, bytes]:
        """The artifact of an answer as it was sent, compressed, and its document, whose hash is the record's.

        host: the executor, or the accuser of a dispute. Raises NotAnswered.
        """
        limit = min(BASE_BYTES + BYTES_PER_TOKEN * record.completion_token_count, MAX_DOCUMENT_BYTES)
        compressed = await self._client.ask(
            host,
            ARTIFACTS_PATH + quote(record.inference_id, safe=""),
            partial(artifact_sign_bytes, self._chain.chain_id, host, record.inference_id),
            most_bytes=limit,
            timeout=TIMEOUT,
        )
        try:
            raw, found = await asyncio.to_thread(_document, compressed, limit)
        except ValueError as error:
            raise NotAnswered(f"host {host} did not answer with an artifact: {error}") from error
        if found != record.artifact_hash:
            raise NotAnswered(f"host {host} answered with another artifact than the one that was signed")
        return compressed, raw


def _document(compressed: bytes, limit: int) -> tuple[bytes, str]:
    raw = expanded(compressed, limit)
    return raw, sha256(raw).hex()
