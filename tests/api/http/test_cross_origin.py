"""Pages of other origins may ask the public port, and read what it says; a route of questions is asked in one way."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pivot.api.inference.request import PATHS
from tests.api.http.test_public import Port, running_port
from tests.api.inference.network import Network

EXPOSED = "x-pivot-inference-id"


@pytest.fixture
async def port(network: Network) -> AsyncIterator[Port]:
    async with running_port(network) as port:
        yield port


@pytest.mark.parametrize("path", [*sorted(PATHS), "/v1/models"])
async def test_a_browser_that_asks_first_is_told_yes(port: Port, path: str) -> None:
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    async with port.network.http.options(port.url + path, headers=asked) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
        assert "POST" in answer.headers["access-control-allow-methods"]


async def test_answers_and_refusals_can_be_read_by_a_page(port: Port) -> None:
    at_port = replace(port.host, url=port.url)
    good = await port.network.post(at_port, port.network.body(stream=True))
    refused = await port.network.post(at_port, b"{")
    assert (good.status, refused.status) == (200, 400)
    for reply in (good, refused):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert EXPOSED in reply.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("path", ["/v1/status", "/v1/none", "/v1/chat/completions/none"])
async def test_every_answer_has_the_name_of_its_request(port: Port, path: str) -> None:
    for given in ({}, {"X-Request-Id": "mine"}):
        async with port.network.http.get(port.url + path, headers=given) as answer:
            assert answer.headers["access-control-allow-origin"] == "*"
            name = answer.headers["x-request-id"]
            assert name == given.get("X-Request-Id", name)
            assert name


@pytest.mark.parametrize("path", sorted(PATHS))
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_a_route_of_questions_takes_post_alone(port: Port, path: str, method: str) -> None:
    async with port.network.http.request(method, port.url + path, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
