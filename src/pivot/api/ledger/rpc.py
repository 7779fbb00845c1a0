"""The engine's JSON-RPC, as far as the API node asks it. Every number travels as a string, as the engine wants it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import orjson

from pivot.api.ledger.header import decode_base64, time_ns
from pivot.api.ledger.interface import ChainRefused, ChainUnavailable, Head

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
VALIDATORS_PER_PAGE = 100
"""The engine's own limit."""
MAX_VALIDATOR_PAGES = 1_000
RPC_CODESPACE = "rpc"
"""Codespace of what the engine itself refuses; codes are those of JSON-RPC, below 0."""
MEMPOOL_CODESPACE = "mempool"
"""Codespace of transactions that the engine did not even hand to the application."""
MEMPOOL_FULL = 1
MEMPOOL_TOO_LARGE = 2
MEMPOOL_OTHER = 3

_IN_CACHE = "already exists in cache"
_FULL = "mempool is full"
_TOO_LARGE = "too large"
_NOT_FOUND = "not found"


@dataclass(frozen=True)
class Status:
    """What the chain node says of itself."""

    chain_id: str
    head: Head
    """Height 0 before the first block."""
    synced: bool
    consensus_key: str
    """base64 of its ed25519 key, 32 bytes."""
    node_id: str
    moniker: str


@dataclass(frozen=True)
class Verdict:
    """What the chain said of a transaction: code 0 is good."""

    code: int
    codespace: str = ""
    log: str = ""


@dataclass(frozen=True)
class Inclusion:
    """A transaction in a block, and what came of it there."""

    height: int
    verdict: Verdict
    data: bytes
    """TxMsgData: the answers of its messages; empty when it failed."""


class Broadcaster(Protocol):
    """What the outbox needs of the engine."""

    async def broadcast(self, raw: bytes) -> Verdict: ...

    async def transaction(self, transaction_hash: str) -> Inclusion | None: ...


class Rpc:
    """One chain node's engine over HTTP. Raises ChainUnavailable, or ChainRefused with the engine's sentence."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url.rstrip("/")

    @property
    def websocket_url(self) -> str:
        """Where the engine tells of new blocks."""
        return "ws" + self.url.removeprefix("http") + "/websocket"

    async def call(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The result of any method, as the engine gives it."""
        request = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(parameters or {})})
        headers = {"Content-Type": "application/json"}
        try:
            async with self._http.post(self.url, data=request, headers=headers, timeout=TIMEOUT) as answer:
                document = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ChainUnavailable(
                f"the chain node at {self.url} does not answer: {error or type(error).__name__}"
            ) from error
        if not isinstance(document, dict) or ("error" not in document and "result" not in document):
            raise ChainUnavailable(f"what answers at {self.url} is no chain node")
        if refusal := document.get("error"):
            log = str(refusal.get("data") or refusal.get("message"))
            raise ChainRefused(int(refusal.get("code", 0)), RPC_CODESPACE, log)
        return document["result"]

    async def status(self) -> Status:
        result = await self.call("status")
        node, sync, validator = result["node_info"], result["sync_info"], result["validator_info"]
        head = Head(
            height=int(sync["latest_block_height"]),
            time_ns=time_ns(sync["latest_block_time"]),
            hash=bytes.fromhex(sync["latest_block_hash"]),
        )
        return Status(
            chain_id=node["network"],
            head=head,
            synced=not sync["catching_up"],
            consensus_key=validator["pub_key"]["value"],
            node_id=node["id"],
            moniker=node["moniker"],
        )

    async def block(self, height: int | None = None) -> dict[str, Any]:
        """`{"block_id", "block"}`; the latest without a height."""
        result: dict[str, Any] = await self.call("block", _at(height))
        return result

    async def commit(self, height: int | None = None) -> dict[str, Any]:
        """`{"signed_header", "canonical"}`."""
        result: dict[str, Any] = await self.call("commit", _at(height))
        return result

    async def validators(self, height: int | None = None) -> list[dict[str, Any]]:
        """The whole set at a height, over all pages."""
        found: list[dict[str, Any]] = []
        for page in range(1, MAX_VALIDATOR_PAGES + 1):
            parameters = {**_at(height), "page": str(page), "per_page": str(VALIDATORS_PER_PAGE)}
            result = await self.call("validators", parameters)
            height = int(result["block_height"])  # later pages are of the same set
            found += result["validators"]
            if len(found) >= int(result["total"]) or not result["validators"]:
                break
        return found

    async def abci_query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        """The application's answer with base64 fields as the engine gives them. Raises ChainRefused for a code above 0."""
        parameters = {"path": path, "data": data.hex(), "height": str(height), "prove": prove}
        response: dict[str, Any] = (await self.call("abci_query", parameters))["response"]
        if code := int(response.get("code", 0)):
            raise ChainRefused(code, response.get("codespace", ""), response.get("log", ""))
        return response

    async def broadcast(self, raw: bytes) -> Verdict:
        """Hand a transaction to the mempool; what CheckTx says of it. One that it has already is good."""
        try:
            result = await self.call("broadcast_tx_sync", {"tx": base64.b64encode(raw).decode()})
        except ChainRefused as refusal:
            return _mempool_verdict(refusal.log)
        return Verdict(int(result["code"]), result.get("codespace", ""), result.get("log", ""))

    async def transaction(self, transaction_hash: str) -> Inclusion | None:
        """A transaction that is in a block, by its hash in hex; None while it is in none."""
        try:
            result = await self.call("tx", {"hash": base64.b64encode(bytes.fromhex(transaction_hash)).decode()})
        except ChainRefused as refusal:
            if _NOT_FOUND in refusal.log:
                return None
            raise
        outcome = result["tx_result"]
        verdict = Verdict(int(outcome.get("code", 0)), outcome.get("codespace", ""), outcome.get("log", ""))
        return Inclusion(int(result["height"]), verdict, decode_base64(outcome.get("data")))


def _at(height: int | None) -> dict[str, str]:
    return {} if height is None else {"height": str(height)}


def _mempool_verdict(log: str) -> Verdict:
    """The engine's own refusals have no codes, only sentences."""
    text = log.lower()
    if _IN_CACHE in text:
        return Verdict(0)
    if _FULL in text:
        return Verdict(MEMPOOL_FULL, MEMPOOL_CODESPACE, log)
    if _TOO_LARGE in text:
        return Verdict(MEMPOOL_TOO_LARGE, MEMPOOL_CODESPACE, log)
    return Verdict(MEMPOOL_OTHER, MEMPOOL_CODESPACE, log)
