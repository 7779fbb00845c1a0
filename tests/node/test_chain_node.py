"""What a chain node answers is bounded and judged before it is used."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.node import chain_node
from pivot.node.chain_node import ChainNode
from pivot.node.errors import SeedRefused, SeedUnreachable


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def asked(http: aiohttp.ClientSession, method: str, answers: dict[str, Any], *arguments: Any) -> Any:
    """What a method makes of the bodies with which a server answers."""

    async def answer(request: web.Request) -> web.Response:
        body = answers[request.path.removeprefix("/proxy/")]
        return web.Response(body=body) if isinstance(body, bytes) else web.json_response({"result": body})

    app = web.Application()
    app.router.add_get("/proxy/{method}", answer)
    async with TestServer(app) as server:
        node = ChainNode(http, f"http://{server.host}:{server.port}/proxy/", "SEED")
        return await getattr(node, method)(*arguments)


async def test_a_node_behind_a_path_is_asked(http: aiohttp.ClientSession) -> None:
    assert await asked(http, "peers", {"net_info": {"n_peers": "4"}}) == 4


@pytest.mark.parametrize(
    ("method", "answers", "arguments"),
    [
        ("identity", {"status": {}}, ()),
        ("identity", {"status": b"<html>"}, ()),
        ("identity", {"status": b"[]"}, ()),
        ("peers", {"net_info": {}}, ()),
        ("genesis", {"genesis": {}}, ()),
        ("genesis", {"genesis": b'{"error": {"message": "large"}}', "genesis_chunked": {"data": "?"}}, ()),
        ("genesis", {"genesis": b'{"error": "large"}', "genesis_chunked": {"data": "e30x", "total": "1"}}, ()),
        ("header_hash", {"commit": {"signed_header": None}}, (7,)),
    ],
)
async def test_what_is_no_chain_node_is_told(
    method: str, answers: dict[str, Any], arguments: tuple[int, ...], http: aiohttp.ClientSession
) -> None:
    with pytest.raises(SeedUnreachable, match=r"^SEED: what answers at http://.*/proxy is no chain node"):
        await asked(http, method, answers, *arguments)


async def test_an_endless_answer_is_cut(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_node, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(SeedRefused, match="longer than 100 bytes"):
        await asked(http, "identity", {"status": b" " * 1000})


async def test_a_refusal_is_told_in_the_nodes_words(http: aiohttp.ClientSession) -> None:
    with pytest.raises(SeedRefused, match="refuses commit: height 9 must be less"):
        await asked(http, "header_hash", {"commit": b'{"error": {"data": "height 9 must be less"}}'}, 9)
