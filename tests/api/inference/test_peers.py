"""Other hosts may say anything; nothing of it hurts."""

import socket

import aiohttp.web
import pytest

from pivot.api.inference import hop, peers
from pivot.api.inference.parts import CandidateFailed, Head
from pivot.api.inference.peers import Peers
from pivot.api.inference.request import parse
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference

REQUEST = parse(b'{"model": "m", "messages":[{"role":"user"}]}')
START = MsgStartInference(inference_id="id")


@pytest.mark.parametrize("url", ["http://localhost:9", "http://127.0.0.1:9", "gopher://x"])
async def test_a18_an_unsafe_candidate_fails_without_being_called(url: str) -> None:
    async with Peers(allow_private=False) as others:
        with pytest.raises(CandidateFailed):
            await anext(others.answer(url, REQUEST, START, 1.0))


async def test_a18_a_redirect_is_not_followed(aiohttp_server_url: str) -> None:
    async with Peers(allow_private=True) as others:
        with pytest.raises(CandidateFailed, match="302"):
            await anext(others.answer(aiohttp_server_url, REQUEST, START, 1.0))


async def test_a_host_that_takes_the_connection_but_says_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with Peers(allow_private=True) as others:
            with pytest.raises(CandidateFailed, match="Timeout"):
                await anext(others.answer(url, REQUEST, START, 0.05))


@pytest.fixture
async def aiohttp_server_url():
    async def redirect(_: aiohttp.web.Request) -> aiohttp.web.Response:
        raise aiohttp.web.HTTPFound("http://127.0.0.1:26657/")

    app = aiohttp.web.Application()
    app.router.add_post("/v1/chat/completions", redirect)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    await runner.cleanup()


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b"nonsense",
        b'{"status":"200","content_type":"application/json","length":1}',
        b'{"status":200,"content_type":"application/json\\r\\nSet-Cookie: a=b","length":1}',
        b'{"status":200,"content_type":"text/html","length":1}',
        b'{"status":200,"content_type":"application/json","length":-1}',
        b'{"status":200,"content_type":"application/json","length":true}',
    ],
)
def test_a_head_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        hop.read_head(line)


def test_a_head_survives_the_hop() -> None:
    head = Head(200, "application/json", 17)
    assert hop.read_head(hop.head_line(head)) == head


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1500", 1.5), (b"999999", 30.0), (b"", 30.0), (b"-4", 30.0), (b"soon", 30.0), (b"9" * 5_000, 30.0)],
)
def test_patience_is_bounded(value: bytes, seconds: float) -> None:
    assert hop.read_patience({b"x-patience": value}) == seconds
