"""What an ML node says beside its answer stays with its host, and what is asked and answered is in no log."""

import logging

import pytest
from aiohttp import web

from tests.api.inference.network import API_KEY, Network


async def test_a29_headers_of_an_ml_node_go_to_nobody(network: Network) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        headers = {"Set-Cookie": "a=b", "X-Node": "10.0.0.7", "Server": "engine"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        document = {"id": "e", "choices": [{"index": 0, "message": {"content": "x"}}], "usage": usage}
        return web.json_response(document, headers=headers)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    for host in network.hosts:
        host.engine.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    reply = await network.post(network.hosts[0], network.body())
    await runner.cleanup()
    assert reply.status == 200
    assert not {"set-cookie", "x-node"} & {name.lower() for name in reply.headers}
    assert "engine" not in str(reply.headers)


async def test_a4_neither_prompts_nor_answers_nor_keys_are_logged(
    network: Network, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    host = network.hosts[0]
    prompt = "What a stranger must not read"
    for stream in (None, True):
        for body in (network.body(prompt, stream=stream), network.body(prompt, stream=stream, temperature="hot")):
            await network.post(host, body)
            await network.post(host, body, network.signed(body, host))
            await network.post(host, body, {"Authorization": f"Bearer {API_KEY}x"})
    for each in network.hosts:
        each.engine.fails_with = 500
    assert (await network.post(host, network.body(prompt))).status == 503
    logged = caplog.text + "".join(capfd.readouterr())
    assert "node_failed" in logged
    for secret in (prompt, "An epoch is", API_KEY):
        assert secret not in logged
