from collections.abc import Callable

import aiohttp
import pytest

from pivot.api.fleet import reach
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.declaration import InvalidNode
from pivot.api.fleet.reach import require_reachable
from tests.api.fleet.ml_node import FakeMlNode

FREE_PORT = 1


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "REACH_PATIENCE_S", 0.3)
    monkeypatch.setattr(reach, "REACH_PAUSE_S", 0.05)


@pytest.fixture
def client(http: aiohttp.ClientSession) -> Callable[..., MlNodeClient]:
    return lambda url, token="": MlNodeClient(http, url, url, token)


async def test_a_node_that_answers_is_taken(client: Callable[..., MlNodeClient]) -> None:
    async with FakeMlNode.running() as node:
        await require_reachable(client(node.url))


async def test_a_node_may_take_a_moment_to_start(
    client: Callable[..., MlNodeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "REACH_PATIENCE_S", 10.0)
    looks = 0

    async def state(of: MlNodeClient) -> object:
        nonlocal looks
        looks += 1
        return await (original(closed) if looks < 3 else original(of))

    original, closed = MlNodeClient.state, client(f"http://127.0.0.1:{FREE_PORT}")
    monkeypatch.setattr(MlNodeClient, "state", state)
    async with FakeMlNode.running() as node:
        await require_reachable(client(node.url))
    assert looks == 3


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (f"127.0.0.1:{FREE_PORT}", r"^poc_port: no ML node answers within 0.3 s: http://127.0.0.1:1/"),
        ("no-such-name.invalid:8080", r"^host: no ML node answers within 0.3 s"),
    ],
)
async def test_nobody_there_is_told_by_field(
    client: Callable[..., MlNodeClient], monkeypatch: pytest.MonkeyPatch, host: str, sentence: str
) -> None:
    with pytest.raises(InvalidNode, match=sentence):
        await require_reachable(client(f"http://{host}"))


async def test_a_silent_one_is_not_waited_for_longer_than_said(client: Callable[..., MlNodeClient]) -> None:
    async with FakeMlNode.running(hangs={"/api/v1/state"}) as node:
        with pytest.raises(InvalidNode, match=r"^poc_port: .* is silent"):
            await require_reachable(client(node.url))


async def test_a_wrong_token_and_something_else_than_a_node_are_told_apart(client: Callable[..., MlNodeClient]) -> None:
    async with FakeMlNode.running(token="secret") as node:
        with pytest.raises(InvalidNode, match=r"^auth_token: "):
            await require_reachable(client(node.url, "wrong"))
        with pytest.raises(InvalidNode, match=r"^poc_port: .*404"):
            await require_reachable(client(f"{node.url}/other", "secret"))
