"""A chain node's RPC as the command line asks it."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import cosmpy.protos  # noqa: F401  puts the standard Cosmos types (`cosmos.…`) on the path
from cosmos.auth.v1beta1 import query_pb2 as auth_query
from cosmos.base.abci.v1beta1.abci_pb2 import TxResponse
from cosmos.tx.v1beta1.service_pb2 import GetTxRequest, GetTxResponse, SimulateRequest, SimulateResponse
from google.protobuf.message import Message
from grpc import StatusCode

from pivot.chain.errors import sentence_of_absence
from pivot.chain.gateway.engine import Engine, EngineRefusal
from pivot.chain.gateway.refusals import Refusal
from pivot.chain.gateway.transactions import SIMULATE_PATH, Transactions
from pivot.cli.output import CommandFailed
from pivot.protocol.generated.inference.inference import query_pb2

Found = TypeVar("Found")

ACCOUNT_PATH = "/cosmos.auth.v1beta1.Query/AccountInfo"
PARAMS_PATH = "/inference.inference.Query/Params"
UNKNOWN_ADDRESS = 9
IN_CACHE = "already exists in cache"
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.2


class ChainRefused(CommandFailed):
    """The chain's own code and sentence."""

    def __init__(self, codespace: str, code: int, log: str) -> None:
        super().__init__(f"{log} (code {code} of {codespace or 'the chain'})")
        self.code = code


@dataclass(frozen=True)
class AccountState:
    """What a signature needs to know of an account."""

    number: int
    sequence: int


class ChainPort:
    """One chain node. Every method raises CommandFailed with a sentence."""

    def __init__(self, node: str) -> None:
        self._url = "http://" + node.removeprefix("tcp://") if node.startswith("tcp://") else node
        if not self._url.startswith(("http://", "https://")):
            raise CommandFailed(f"{node} is no http://, https:// or tcp:// address (--node, PIVOT_NODE)")

    def run(self, work: Callable[[Engine], Awaitable[Found]]) -> Found:
        """What asks the engine, in an event loop of its own."""

        async def inside() -> Found:
            async with aiohttp.ClientSession() as session:
                return await work(Engine(session, self._url))

        try:
            return asyncio.run(inside())
        except Refusal as refusal:
            if refusal.code == StatusCode.UNAVAILABLE:
                raise CommandFailed(f"the chain node at {self._url} does not answer (--node, PIVOT_NODE)") from refusal
            raise CommandFailed(refusal.message) from refusal

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A method of the engine."""
        return self.run(lambda engine: engine.call(method, parameters))

    def query(self, path: str, request: Message, height: int = 0) -> bytes:
        """A query of the application, at the last block unless a height is named. Raises ChainRefused, too."""
        told = self.call("abci_query", path=path, data=request.SerializeToString().hex(), height=str(height))[
            "response"
        ]
        if code := int(told.get("code", 0)):
            log = told.get("log", "")
            raise ChainRefused(told.get("codespace", ""), code, sentence_of_absence(log) or log)
        return base64.b64decode(told.get("value") or "")

    def chain_id(self) -> str:
        return str(self.call("status")["node_info"]["network"])

    def account(self, address: str) -> AccountState:
        """Number and sequence of an account."""
        try:
            raw = self.query(ACCOUNT_PATH, auth_query.QueryAccountInfoRequest(address=address))
        except ChainRefused as refusal:
            raise CommandFailed(
                f"the account {address} is not on the chain: send it coins first ({refusal})"
            ) from refusal
        info = auth_query.QueryAccountInfoResponse.FromString(raw).info
        return AccountState(info.account_number, info.sequence)

    def gas_price_e18(self) -> int:
        """The chain's least price of one unit of gas, in ngonka with 18 decimals."""
        params = query_pb2.QueryParamsResponse.FromString(
            self.query(PARAMS_PATH, query_pb2.QueryParamsRequest())
        ).params
        return int(params.fee_params.minimum_gas_price_e18 or "0")

    def simulate(self, raw: bytes) -> SimulateResponse:
        """Try a transaction out."""
        return SimulateResponse.FromString(self.query(SIMULATE_PATH, SimulateRequest(tx_bytes=raw)))

    def broadcast(self, raw: bytes, *, checked: bool) -> None:
        """Hand a transaction to the mempool; `checked`: wait for what the chain says of it, and raise its refusal."""
        method = "broadcast_tx_sync" if checked else "broadcast_tx_async"

        async def send(engine: Engine) -> dict[str, Any]:
            try:
                return await engine.call(method, {"tx": base64.b64encode(raw).decode()})
            except EngineRefusal as refusal:
                if IN_CACHE in refusal.details:
                    return {}
                raise

        told = self.run(send)
        if code := int(told.get("code", 0)):
            raise ChainRefused(told.get("codespace", ""), code, told.get("log", ""))

    def transaction(self, transaction_hash: str) -> GetTxResponse:
        """A transaction in a block."""
        return self.run(lambda engine: Transactions(engine).get(GetTxRequest(hash=transaction_hash)))

    def wait(self, transaction_hash: str) -> TxResponse:
        """The result of a transaction, as soon as it is in a block."""

        async def look(engine: Engine) -> TxResponse | None:
            deadline = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < deadline:
                try:
                    return (await Transactions(engine).get(GetTxRequest(hash=transaction_hash))).tx_response
                except Refusal as refusal:
                    if refusal.code != StatusCode.NOT_FOUND:
                        raise
                await asyncio.sleep(POLL_SECONDS)
            return None

        found = self.run(look)
        if found is None:
            raise CommandFailed(
                f"after {WAIT_SECONDS:.0f} s the transaction {transaction_hash} is in no block: "
                f"`pivot query tx {transaction_hash}` looks again"
            )
        return found
