"""The application behind the engine's RPC, in this process: a transaction that is handed in is in the next block at once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from tendermint.abci import types_pb2 as abci

from tests.chain.chain import CHAIN_ID, Chain


@dataclass
class FakeEngine:
    """`broadcast_tx_*` makes a block; `found` holds what is in blocks, by hash."""

    chain: Chain
    url: str = ""
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return dict(getattr(self, method)(**parameters))

    def status(self) -> dict[str, Any]:
        height = str(self.chain.height)
        return {"node_info": {"network": CHAIN_ID}, "sync_info": {"latest_block_height": height}}

    def abci_query(self, path: str, data: str, height: str = "0") -> dict[str, Any]:
        request = abci.RequestQuery(path=path, data=bytes.fromhex(data), height=int(height))
        told = self.chain.application.query(request)
        value = base64.b64encode(told.value).decode()
        return {"response": {"code": told.code, "codespace": told.codespace, "log": told.log, "value": value}}

    def broadcast_tx_sync(self, tx: str) -> dict[str, Any]:
        raw = base64.b64decode(tx)
        name = hashlib.sha256(raw).hexdigest().upper()
        checked = self.chain.check(raw)
        if checked.code == 0:
            result = self.chain.block(raw)[0]
            self.found[name] = {
                "hash": name,
                "height": str(self.chain.height),
                "tx": tx,
                "tx_result": {
                    "code": result.code,
                    "codespace": result.codespace,
                    "log": result.log,
                    "data": base64.b64encode(result.data).decode(),
                    "gas_wanted": str(result.gas_wanted),
                    "gas_used": str(result.gas_used),
                    "events": [],
                },
            }
        return {"hash": name, "code": checked.code, "codespace": checked.codespace, "log": checked.log}

    broadcast_tx_async = broadcast_tx_sync

    def tx(self, hash: str) -> dict[str, Any]:  # noqa: A002
        return self.found[base64.b64decode(hash).hex().upper()]

    def tx_search(self, query: str, **_: str) -> dict[str, Any]:
        assert query
        return {"total_count": str(len(self.found)), "txs": list(self.found.values())}

    def header(self, height: str) -> dict[str, Any]:
        return {"header": {"time": f"2026-01-01T00:00:0{int(height) % 10}.5Z"}}


@asynccontextmanager
async def served(chain: Chain) -> AsyncIterator[FakeEngine]:
    """The RPC of a chain, on a port of its own."""
    engine = FakeEngine(chain)

    async def handle(request: web.Request) -> web.Response:
        asked = await request.json()
        try:
            result = engine.answer(asked["method"], asked["params"])
        except KeyError as error:
            data = f"{error.args[0]}: not found" if asked["method"] == "tx" else str(error.args[0])
            return web.json_response({"error": {"code": -32603, "message": "Internal error", "data": data}})
        return web.json_response({"result": result})

    application = web.Application()
    application.router.add_post("/", handle)
    async with TestServer(application) as server:
        engine.url = f"http://{server.host}:{server.port}"
        yield engine
