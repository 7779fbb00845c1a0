"""A query table with three real services over a plain dictionary, and an engine that answers from one."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import cosmpy.protos  # noqa: F401
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cosmos.bank.v1beta1 import query_pb2 as bank_query
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method
from pivot.chain.handlers import QueryTable, query
from pivot.chain.store.memory import MemoryDatabase
from pivot.chain.types import View
from pivot.protocol.generated.inference.inference import query_pb2

BANK = bank_query.DESCRIPTOR.services_by_name["Query"]
NETWORK = query_pb2.DESCRIPTOR.services_by_name["Query"]
HEIGHT = 7


def balance(_: View, request: bank_query.QueryBalanceRequest) -> bank_query.QueryBalanceResponse:
    return bank_query.QueryBalanceResponse(balance=Coin(denom=request.denom, amount=f"12{request.address[-1]}"))


def balances(_: View, request: bank_query.QueryAllBalancesRequest) -> bank_query.QueryAllBalancesResponse:
    assert not request.pagination.key or request.pagination.key == b"\xfb\xff"
    return bank_query.QueryAllBalancesResponse(
        balances=[Coin(denom="ngonka", amount=str(request.pagination.limit))],
        pagination={"total": int(request.pagination.count_total), "next_key": request.pagination.key},
    )


def inference(_: View, request: query_pb2.QueryGetInferenceRequest) -> query_pb2.QueryGetInferenceResponse:
    if request.index == "bug":
        raise KeyError("bug")
    if request.index != "a/b+c=":
        raise NetworkError(NetworkCode.INFERENCE_NOT_FOUND, f"inference {request.index} not found")
    return query_pb2.QueryGetInferenceResponse(inference={"inference_id": request.index, "actual_cost": 2**40})


QUERIES = QueryTable(
    [query(BANK, "Balance", balance), query(BANK, "AllBalances", balances), query(NETWORK, "Inference", inference)]
)


@pytest.fixture
def committed() -> Iterator[CommittedState]:
    database = MemoryDatabase(["bank"])
    database.stage(HEIGHT, {"bank": {b"k": b"v"}})
    database.commit()

    @contextmanager
    def opened() -> Iterator[View]:
        with database.view() as snapshot:
            yield View(snapshot, "chain-1", snapshot.height)

    state = CommittedState(opened)
    yield state
    state.close()


@pytest.fixture
def methods(committed: CommittedState) -> list[Method]:
    return committed.methods(QUERIES)


class FakeEngine:
    """Answers JSON-RPC calls from a table of functions."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.text())
        self.calls.append((asked["method"], asked["params"]))
        try:
            return web.json_response({"id": 1, "result": self.answers[asked["method"]](asked["params"])})
        except LookupError as error:
            problem = {"code": -32603, "message": "Internal error", "data": str(error.args[0])}
            return web.json_response({"id": 1, "error": problem}, status=500)


@pytest.fixture
async def fake_engine() -> AsyncIterator[tuple[FakeEngine, Engine]]:
    fake = FakeEngine()
    application = web.Application()
    application.router.add_post("/", fake.handle)
    server = TestServer(application)
    await server.start_server()
    async with aiohttp.ClientSession() as session:
        yield fake, Engine(session, str(server.make_url("/")))
    await server.close()


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def call_asgi(
    application: Any, verb: str, target: str, body: bytes = b"", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """One request to an ASGI application: status, JSON, headers."""
    path, _, query_string = target.partition("?")
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": verb,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query_string.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], json.loads(sent[1]["body"] or b"null"), told
