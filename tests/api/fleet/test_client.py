import aiohttp
import pytest

from pivot.api.fleet import client as module
from pivot.api.fleet.client import MlNodeClient, MlNodeRefused, MlNodeUnreachable
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.ml_node import FakeMlNode


def client_of(http: aiohttp.ClientSession, node: FakeMlNode, token: str = "") -> MlNodeClient:
    return MlNodeClient(http, node.url, node.url, token)


async def test_a8_a_refused_command_is_an_error_with_its_sentence(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(mode=Mode.POW, refuses={"/api/v1/stop": 500}) as node:
        client = client_of(http, node)
        with pytest.raises(MlNodeRefused, match=r"409: .*stop first"):
            await client.inference_up("m", ())
        with pytest.raises(MlNodeRefused, match="500"):
            await client.stop()


async def test_a_failure_that_comes_as_200_is_an_error(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(up_fails="no such model") as node:
        with pytest.raises(MlNodeRefused, match="no such model"):
            await client_of(http, node).inference_up("m", ())


async def test_silence_is_unreachable(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_TIMEOUT_S", 0.05)
    async with FakeMlNode.running(hangs={"/api/v1/state"}) as node:
        with pytest.raises(MlNodeUnreachable, match="Timeout"):
            await client_of(http, node).state()
        gone = client_of(http, node)
    with pytest.raises(MlNodeUnreachable):
        await gone.state()


async def test_the_token_goes_to_the_management_port(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(token="secret") as node:
        assert (await client_of(http, node, "secret").state()).state == Mode.STOPPED
        with pytest.raises(MlNodeRefused, match="401"):
            await client_of(http, node).state()


async def test_answers_of_another_form_are_refused(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(mode=Mode.INFERENCE, model="m") as node:
        odd = MlNodeClient(http, node.url + "/v1/models?", node.url + "/api/v1/state?")
        with pytest.raises(MlNodeRefused, match="NodeState"):
            await odd.state()
        with pytest.raises(MlNodeRefused, match="list of models"):
            await odd.served_models()
        assert await client_of(http, node).served_models() == {"m"}
        assert await client_of(http, node).inference_is_healthy()
