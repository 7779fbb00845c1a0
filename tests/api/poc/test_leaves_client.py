from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pivot.api.identity import Identity
from pivot.api.poc import leaves_client as module
from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.poc.leaves_client import LeavesClient, LeavesUnavailable
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from tests.api.fleet.chain import FakeChain, key
from tests.api.serving import serving

HOST = key(5).address


@pytest.fixture
async def client(identity: Identity, chain: FakeChain) -> AsyncIterator[LeavesClient]:
    client = LeavesClient(identity, chain, allow_private=True)
    yield client
    await client.close()


@asynccontextmanager
async def answering(chain: FakeChain, answer: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[None]:
    """HOST answers like this."""
    async with serving(Starlette(routes=[Route(LEAVES_PATH, answer)])) as url:
        chain.participants[HOST] = Participant(address=HOST, inference_url=url + "/")
        yield


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (PlainTextResponse("busy", 503), "answered 503: busy"),
        (PlainTextResponse("", 302, {"Location": "http://127.0.0.1:1/"}), "answered 302"),
        (PlainTextResponse("{}"), "did not answer with leaves"),
        (PlainTextResponse("not json"), "did not answer with leaves"),
    ],
)
async def test_whatever_is_no_list_of_leaves_is_unavailable(
    chain: FakeChain, client: LeavesClient, response: Response, sentence: str
) -> None:
    async def answer(_: Request) -> Response:
        return response

    async with answering(chain, answer):
        with pytest.raises(LeavesUnavailable, match=sentence):
            await client.leaves(HOST, 1, 1, [0])


async def test_an_endless_answer_is_cut_off(
    chain: FakeChain, client: LeavesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1_000)

    async def answer(_: Request) -> Response:
        return PlainTextResponse("x" * 100_000)

    async with answering(chain, answer):
        with pytest.raises(LeavesUnavailable, match="more than 1000 bytes"):
            await client.leaves(HOST, 1, 1, [0])


async def test_a_host_that_is_unknown_or_gone_is_unavailable(chain: FakeChain, client: LeavesClient) -> None:
    with pytest.raises(LeavesUnavailable, match="knows no host"):
        await client.leaves(HOST, 1, 1, [0])
    chain.participants[HOST] = Participant(address=HOST, inference_url="http://127.0.0.1:9")
    with pytest.raises(LeavesUnavailable, match=r"127\.0\.0\.1:9"):
        await client.leaves(HOST, 1, 1, [0])
    chain.down = True
    with pytest.raises(LeavesUnavailable, match="the chain is down"):
        await client.leaves(HOST, 1, 1, [0])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "http://169.254.169.254", "file:///etc/passwd", "http://localhost:1"]
)
async def test_a18_urls_inside_private_networks_are_not_called(identity: Identity, chain: FakeChain, url: str) -> None:
    client = LeavesClient(identity, chain, allow_private=False)
    chain.participants[HOST] = Participant(address=HOST, inference_url=url)
    with pytest.raises(LeavesUnavailable, match=r"private network|not an http|ClientConnectorDNSError"):
        await client.leaves(HOST, 1, 1, [0])
    await client.close()
