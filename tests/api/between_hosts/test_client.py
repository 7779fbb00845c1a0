"""What one host takes from another: nothing from where it must not call, and no more than it has room for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pivot.api.between_hosts.client import HostClient, NotAnswered
from pivot.api.between_hosts.signatures import Signatures
from pivot.api.identity import Identity
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from tests.api.fleet.chain import FakeChain, key
from tests.api.serving import serving

HOST, ASKER = key(5).address, key(1)
PATH = "/v1/a%2Fb?c=1,2"


def words(timestamp_ns: int) -> bytes:
    return b"a question at %d" % timestamp_ns


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
async def client(chain: FakeChain) -> AsyncIterator[HostClient]:
    client = HostClient(Identity(account=ASKER, gateway=key(2)), chain, allow_private=True)
    yield client
    await client.close()


@asynccontextmanager
async def answering(chain: FakeChain, answer: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[None]:
    """HOST answers like this."""
    routes = [Route("/{path:path}", answer, methods=["GET", "POST"])]
    async with serving(Starlette(routes=routes)) as url:
        chain.participants[HOST] = Participant(address=HOST, inference_url=url + "/")
        yield


@pytest.mark.parametrize("body", [None, b"{}"])
async def test_a_host_knows_who_asks_for_what(chain: FakeChain, client: HostClient, body: bytes | None) -> None:
    chain.keys[ASKER.address] = [ASKER.public_key]

    async def answer(request: Request) -> Response:
        asker = await Signatures(chain).require(request.headers, words, "/any")
        asked = (request.scope["raw_path"].decode(), request.url.query, await request.body())
        return PlainTextResponse(f"{asker} {asked}")

    async with answering(chain, answer):
        said = await client.ask(HOST, PATH, words, most_bytes=1_000, body=body)
    assert said.decode() == f"{ASKER.address} {('/v1/a%2Fb', 'c=1,2', body or b'')}"


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (PlainTextResponse("busy", 503), "answered 503: busy"),
        (PlainTextResponse("", 302, {"Location": "http://127.0.0.1:1/"}), "answered 302"),
        (PlainTextResponse("x" * 100_000), "more than 1000 bytes"),
    ],
)
async def test_whatever_is_no_answer_in_bounds_is_none(
    chain: FakeChain, client: HostClient, response: Response, sentence: str
) -> None:
    async def answer(_: Request) -> Response:
        return response

    async with answering(chain, answer):
        with pytest.raises(NotAnswered, match=sentence):
            await client.ask(HOST, PATH, words, most_bytes=1_000)


async def test_a_host_that_is_unknown_or_gone_does_not_answer(chain: FakeChain, client: HostClient) -> None:
    with pytest.raises(NotAnswered, match="knows no host"):
        await client.ask(HOST, PATH, words, most_bytes=1_000)
    chain.participants[HOST] = Participant(address=HOST, inference_url="http://127.0.0.1:9")
    with pytest.raises(NotAnswered, match=r"127\.0\.0\.1:9.*ClientConnectorError"):
        await client.ask(HOST, PATH, words, most_bytes=1_000)
    chain.down = True
    with pytest.raises(NotAnswered, match="the chain is down"):
        await client.ask(HOST, PATH, words, most_bytes=1_000)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "http://169.254.169.254", "file:///etc/passwd", "http://localhost:1"]
)
async def test_a18_urls_inside_private_networks_are_not_called(chain: FakeChain, url: str) -> None:
    client = HostClient(Identity(account=ASKER, gateway=key(2)), chain, allow_private=False)
    chain.participants[HOST] = Participant(address=HOST, inference_url=url)
    with pytest.raises(NotAnswered, match=r"private network|not an http|ClientConnectorDNSError"):
        await client.ask(HOST, PATH, words, most_bytes=1_000)
    await client.close()
