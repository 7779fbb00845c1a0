"""A chain node's RPC as far as a node that joins asks it, in this process."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.devnet.genesis import build_genesis
from pivot.devnet.plan import new_plan

NODE_ID = "ab" * 20


@dataclass
class FakeChainNode:
    """What it tells can be changed while it runs."""

    chain_id: str
    genesis: Any
    height: int = 5000
    node_id: str = NODE_ID
    chunk_bytes: int = 0
    """0: the genesis fits into one answer."""
    hashes: dict[int, str] = field(default_factory=dict)
    clock_ahead_s: float = 0.0
    block_age_s: float = 0.0
    catching_up: bool = False
    asked: int = 0
    """How often its status was."""
    growth: int = 0
    """By how many blocks it grows whenever it is asked."""
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/status", self._status)
        app.router.add_get("/net_info", self._peers)
        app.router.add_get("/genesis", self._genesis)
        app.router.add_get("/genesis_chunked", self._chunk)
        app.router.add_get("/commit", self._commit)
        return app

    async def _status(self, _: web.Request) -> web.Response:
        self.height += self.growth
        self.asked += 1
        answer = await _answer(
            {
                "node_info": {"network": self.chain_id, "id": self.node_id, "moniker": "seed"},
                "sync_info": {
                    "latest_block_height": str(self.height),
                    "latest_app_hash": "AA",
                    "latest_block_time": _rfc3339(time.time() - self.block_age_s),
                    "catching_up": self.catching_up,
                },
                "validator_info": {"pub_key": {"value": base64.b64encode(b"\1" * 32).decode()}, "voting_power": "10"},
            }
        )
        answer.headers["Date"] = formatdate(time.time() + self.clock_ahead_s, usegmt=True)
        return answer

    async def _peers(self, _: web.Request) -> web.Response:
        return await _answer({"n_peers": "3"})

    async def _genesis(self, _: web.Request) -> web.Response:
        if self.chunk_bytes:
            refusal = {"code": -32603, "message": "Internal error", "data": "genesis response is large"}
            return web.json_response({"jsonrpc": "2.0", "id": -1, "error": refusal}, status=500)
        return await _answer({"genesis": self.genesis})

    async def _chunk(self, request: web.Request) -> web.Response:
        text, number = json.dumps(self.genesis).encode(), int(request.query["chunk"])
        part = text[number * self.chunk_bytes : (number + 1) * self.chunk_bytes]
        total = -(-len(text) // self.chunk_bytes)
        return await _answer({"chunk": str(number), "total": str(total), "data": base64.b64encode(part).decode()})

    async def _commit(self, request: web.Request) -> web.Response:
        told = self.hashes.get(int(request.query["height"]), "CC" * 32)
        return await _answer({"signed_header": {"commit": {"block_id": {"hash": told}}}})


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


async def _answer(result: Any) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": -1, "result": result})


@asynccontextmanager
async def chain_node(preset: str = "test") -> AsyncIterator[FakeChainNode]:
    """A chain node of a devnet that could begin."""
    plan = new_plan(hosts=1, ml_nodes=0, preset=preset)
    node = FakeChainNode(plan.chain_id, build_genesis(plan, [b"\1" * 32]))
    async with TestServer(node.app()) as server:
        node.url = f"http://{server.host}:{server.port}"
        yield node
