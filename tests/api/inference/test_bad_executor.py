"""What an executor may say to a transfer agent, whatever it wants."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pivot.api.inference import hop, peers
from pivot.api.inference.parts import JSON, Head
from pivot.protocol import signing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from tests.api.inference.network import Host, Network

Say = Callable[[web.StreamResponse], Awaitable[Any]]


def acceptance(host: Host, start: MsgStartInference) -> str:
    return host.identity.account.sign_base64(signing.acceptance_sign_bytes(start))


@asynccontextmanager
async def impostor(
    network: Network, say: Say, accept: Callable[[Host, MsgStartInference], str] = acceptance
) -> AsyncIterator[None]:
    """Host 1 accepts like this, and says this."""
    host = network.hosts[1]

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        start = MsgStartInference.FromString(base64.b64decode(request.headers[hop.START_HEADER]))
        headers = {"Content-Type": hop.ANSWER_TYPE, hop.ACCEPTANCE_HEADER: accept(host, start)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await say(response)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    network.chain.participants[host.address].inference_url = url
    yield
    await runner.cleanup()


async def require_passed_over(network: Network, **fields: Any) -> None:
    """The next drawn host answers, and only its acceptance is recorded."""
    agent = network.hosts[0]
    body, headers = network.first_drawn(network.hosts[1], **fields)
    reply = await asyncio.wait_for(network.post(agent, body, headers), 5)
    assert reply.status == 200
    assert [start.assigned_to for start in await agent.started()] == [agent.address]


async def answer(response: web.StreamResponse) -> None:
    await response.write(hop.head_line(Head(200, JSON, 2)) + b"{}")


@pytest.mark.parametrize(
    "accept",
    [
        lambda host, start: "nonsense",
        lambda host, start: host.identity.account.sign_base64(b"something else"),
        lambda host, start: host.identity.gateway.sign_base64(signing.acceptance_sign_bytes(start)),
    ],
)
async def test_an_acceptance_that_binds_nobody_is_none(
    network: Network, accept: Callable[[Host, MsgStartInference], str]
) -> None:
    async with impostor(network, answer, accept):
        await require_passed_over(network)


async def test_heartbeats_without_an_end_are_a_flood(network: Network) -> None:
    async def say(response: web.StreamResponse) -> None:
        while True:
            await response.write(hop.HEARTBEAT * 1_000)

    async with impostor(network, say):
        await require_passed_over(network)


async def test_an_executor_that_only_lives_on_holds_no_stream_for_long(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "STALL_SECONDS", 0.3)

    async def say(response: web.StreamResponse) -> None:
        while True:
            await response.write(hop.HEARTBEAT)
            await asyncio.sleep(0.05)

    async with impostor(network, say):
        await require_passed_over(network, stream=True)


@pytest.mark.parametrize("status", [500, 503, 402, 204, 302, -7])
async def test_only_an_answer_or_a_fault_of_the_request_is_passed_on(network: Network, status: int) -> None:
    async def say(response: web.StreamResponse) -> None:
        await response.write(hop.head_line(Head(status, JSON)))
        while True:
            await response.write(b"send your coins to me" * 1_000)

    async with impostor(network, say):
        await require_passed_over(network)


@pytest.mark.parametrize("said", [b"{", b"{} and more"])
async def test_an_answer_of_another_length_than_announced_is_cut_off(network: Network, said: bytes) -> None:
    async def say(response: web.StreamResponse) -> None:
        await response.write(hop.head_line(Head(200, JSON, 2)) + said)

    async with impostor(network, say):
        body, headers = network.first_drawn(network.hosts[1])
        with pytest.raises(aiohttp.ClientError):
            await network.post(network.hosts[0], body, headers)
        assert len(await network.hosts[0].started()) == 1
