from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.identity import Identity
from pivot.api.poc import leaves_client as module
from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.poc.leaves_client import LeavesClient
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from tests.api.fleet.chain import FakeChain, key
from tests.api.serving import serving

HOST = key(5).address


@pytest.fixture
async def client(identity: Identity, chain: FakeChain) -> AsyncIterator[LeavesClient]:
    client = LeavesClient(identity, chain, allow_private=True)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ("{}", "did not answer with leaves"),
        ("not json", "did not answer with leaves"),
        ("x" * 100_000, "more than 1000 bytes"),
    ],
)
async def test_whatever_is_no_list_of_leaves_is_no_answer(
    chain: FakeChain, client: LeavesClient, contents: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: Request) -> Response:
        return PlainTextResponse(contents)

    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1_000)
    async with serving(Starlette(routes=[Route(LEAVES_PATH, answer)])) as url:
        chain.participants[HOST] = Participant(address=HOST, inference_url=url)
        with pytest.raises(NotAnswered, match=sentence):
            await client.leaves(HOST, 1, 1, [0])
