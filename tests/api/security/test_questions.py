"""What an ML node says beside its answer stays with its host."""

from aiohttp import web

from tests.api.inference.network import Network


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
