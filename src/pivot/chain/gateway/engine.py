"""The engine's RPC, as far as the gateway asks it."""

import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
from grpc import StatusCode

from pivot.chain.errors import sentence_of_absence
from pivot.chain.gateway.refusals import Refusal

TIMEOUT = aiohttp.ClientTimeout(total=10)
MAX_ANSWER_BYTES = 64 * 2**20


class Engine:
    """JSON-RPC over HTTP. One connection pool; use it inside one event loop."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def call(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of one call. Raises Refusal: the engine is away, or refuses with a sentence."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(parameters or {})}
        try:
            async with self._session.post(self._url, json=request, timeout=TIMEOUT) as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refusal(StatusCode.UNAVAILABLE, "the consensus engine of this node does not answer") from error
        if "error" in document:
            raise EngineRefusal(document["error"])
        result: dict[str, Any] = document["result"]
        return result

    async def query_application(self, path: str, data: bytes) -> bytes:
        """`abci_query`: the application's answer. Raises Refusal with the application's sentence."""
        result = await self.call("abci_query", {"path": path, "data": data.hex()})
        response = result["response"]
        if response.get("code"):
            log = str(response.get("log", ""))
            if (absent := sentence_of_absence(log)) is not None:
                raise Refusal(StatusCode.NOT_FOUND, absent)
            raise Refusal(StatusCode.INVALID_ARGUMENT, log)
        return base64.b64decode(response.get("value") or "")


class EngineRefusal(Refusal):
    """The engine's own error; `details` is the text that tells what was wrong."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.details = str(error.get("data") or error.get("message") or "")
        super().__init__(StatusCode.INVALID_ARGUMENT, self.details)
