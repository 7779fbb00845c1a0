"""The TLS proxy of `deploy/join/docker-compose.proxy.yml`, run for real with the shipped Caddyfile."""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.deploy.caddy import Proxy, proxy_before, why_not
from tests.e2e.network import Network, free_port, get

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

LARGEST_BODY_BYTES = 10 * 10**6
"""`max_size` of the Caddyfile."""
STREAM = "/stream"


class Upstream:
    """Stands in for the API node: it keeps a stream open until the test has seen its beginning."""

    def __init__(self) -> None:
        self.begun_was_seen = asyncio.Event()
        self.app = web.Application(client_max_size=LARGEST_BODY_BYTES * 2)
        self.app.router.add_post("/count", self.count)
        self.app.router.add_get(STREAM, self.stream)
        self.app.router.add_get("/headers", self.headers)

    async def count(self, request: web.Request) -> web.Response:
        return web.json_response({"bytes": len(await request.read())})

    async def headers(self, request: web.Request) -> web.Response:
        return web.json_response(dict(request.headers), headers={"Server": "what runs here"})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: begun\n\n")
        await self.begun_was_seen.wait()
        await answer.write(b"data: [DONE]\n\n")
        return answer


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Proxy]:
    """The proxy before the stand-in."""
    runner = web.AppRunner(upstream.app, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    [address] = runner.addresses
    async with proxy_before(f"http://127.0.0.1:{address[1]}", tmp_path) as running:
        yield running
    await runner.cleanup()


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    async with proxy.session() as http:
        yield http


async def test_a_stream_goes_through_as_it_comes(
    proxy: Proxy, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async with client.get(proxy.url + STREAM) as answer:
        assert await answer.content.readline() == b"data: begun\n"
        upstream.begun_was_seen.set()
        assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")


async def test_a_body_goes_through_up_to_the_limit_and_no_further(proxy: Proxy, client: aiohttp.ClientSession) -> None:
    url = f"{proxy.url}/count"
    async with client.post(url, data=io.BytesIO(bytes(LARGEST_BODY_BYTES))) as answer:
        assert await answer.json() == {"bytes": LARGEST_BODY_BYTES}
    async with client.post(url, data=io.BytesIO(bytes(LARGEST_BODY_BYTES + 1))) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["message"] == "Request Entity Too Large"
        assert "Server" not in answer.headers

    async def without_a_length() -> AsyncIterator[bytes]:
        for _ in range(LARGEST_BODY_BYTES // 10**6 + 1):
            yield bytes(10**6)

    async with client.post(url, data=without_a_length()) as answer:
        assert answer.status == 413


async def test_the_node_is_told_who_asks_and_the_asker_not_what_runs(
    proxy: Proxy, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{proxy.url}/headers", headers={"X-Forwarded-For": "203.0.113.1"}) as answer:
        passed_on = await answer.json()
        assert passed_on["X-Forwarded-For"] == "127.0.0.1", "what a stranger claims does not count"
        assert passed_on["X-Forwarded-Proto"] == "https"
        assert "Alt-Svc" not in answer.headers, "nothing is published for HTTP/3"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Server" not in answer.headers


async def test_an_api_node_that_is_away_is_told_as_an_error_of_the_api(tmp_path: Path) -> None:
    async with (
        proxy_before(f"http://127.0.0.1:{free_port()}", tmp_path) as proxy,
        proxy.session() as http,
        http.get(f"{proxy.url}/v1/models") as answer,
    ):
        assert (answer.status, answer.content_type) == (502, "application/json")
        assert (await answer.json())["error"] == {
            "message": "Bad Gateway",
            "type": "server_error",
            "param": None,
            "code": None,
        }


async def test_only_the_name_of_the_certificate_is_answered_and_only_over_tls(proxy: Proxy) -> None:
    async with aiohttp.ClientSession() as stranger:
        async with stranger.get(f"http://localhost:{proxy.port}/headers") as answer:
            assert answer.status == 400
            assert "HTTP request to an HTTPS server" in await answer.text()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(f"{proxy.url}/headers")
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", proxy.port, ssl=proxy.trust(), server_hostname="other.example")


@pytest.mark.e2e
async def test_a_host_answers_through_it_and_its_private_sides_do_not(two_hosts: Network, tmp_path: Path) -> None:
    host = two_hosts.hosts[0]
    async with proxy_before(host["public_url"], tmp_path) as proxy, proxy.session() as http:
        through = Network(two_hosts.home, {**two_hosts.contract, "hosts": [{**host, "public_url": proxy.url}]})
        assert host["address"] in await through.members(http)
        answer = await through.ask(http, 0)
        assert answer.status == 200, answer.raw
        body = through.chat_body(stream=True)
        stream = await through.post(http, 0, body, through.signed_headers(body, host["address"]))
        assert stream.content_type.startswith("text/event-stream")
        text = "".join(choice["delta"].get("content") or "" for event in stream.events for choice in event["choices"])
        assert text
        assert (await through.record(http, 0, stream.events[0]["id"]))["transferred_by"] == host["address"]
        assert (await get(http, f"{proxy.url}/chain-api/cosmos/base/tendermint/v1beta1/blocks/latest"))["block"]
        for path in ("admin/v1/nodes", "mlnode/v1/poc-batches/generated", "v1/admin/nodes", "api/v1/state"):
            for method in ("GET", "POST"):
                async with http.request(method, f"{proxy.url}/{path}", data=json.dumps({})) as refused:
                    assert refused.status in {404, 405}, path
