from typing import Any

import pytest

from pivot.api.database import Database
from pivot.api.fleet import registry as module
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.registry import Registry, UnknownNode
from tests.api.databases import ON_BOTH

pytestmark = ON_BOTH


def node(node_id: str, port: int, **fields: Any) -> NodeDeclaration:
    document = {"id": node_id, "host": "10.0.0.5", "inference_port": port, "poc_port": port + 1, "max_concurrent": 1}
    return NodeDeclaration.parse({**document, **fields})


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


async def numbers(registry: Registry) -> dict[str, int]:
    return {each.declaration.id: each.node_number for each in await registry.nodes()}


async def test_a7_numbers_are_stable_and_never_given_to_another_node(registry: Registry) -> None:
    assert await registry.is_new()
    await registry.put(node("a", 1000))
    await registry.put(node("b", 2000))
    assert await registry.remove("b")
    await registry.put(node("c", 3000))
    await registry.put(node("b", 2000))
    assert await numbers(registry) == {"a": 1, "b": 2, "c": 3}
    assert not await registry.is_new()


async def test_a_node_of_the_same_id_is_replaced_and_keeps_number_and_state(registry: Registry) -> None:
    await registry.put(node("a", 1000))
    await registry.set_enabled("a", 4, enabled=False)
    replaced = await registry.put(node("a", 1000, max_concurrent=9))
    assert (replaced.node_number, replaced.enabled, replaced.changed_in_epoch) == (1, False, 4)
    assert [each.declaration.max_concurrent for each in await registry.nodes()] == [9]


async def test_a_node_that_comes_back_is_enabled(registry: Registry) -> None:
    await registry.put(node("a", 1000))
    await registry.set_enabled("a", 4, enabled=False)
    await registry.remove("a")
    assert (await registry.put(node("a", 1000))).enabled


async def test_anothers_address_is_refused_by_field(registry: Registry) -> None:
    await registry.put(node("a", 1000))
    with pytest.raises(InvalidNode, match=r"^poc_port: .*'a'"):
        await registry.put(node("b", 999, poc_port=1001))
    with pytest.raises(InvalidNode, match=r"^inference_port: .*'a'"):
        await registry.put(node("b", 1000, poc_port=5))
    await registry.remove("a")
    await registry.put(node("b", 1000))


async def test_setting_the_same_state_again_keeps_its_epoch(registry: Registry) -> None:
    await registry.put(node("a", 1000))
    await registry.set_enabled("a", 4, enabled=False)
    assert (await registry.set_enabled("a", 5, enabled=False)).changed_in_epoch == 4


async def test_enabling_in_the_same_epoch_takes_the_disabling_back(registry: Registry) -> None:
    await registry.put(node("a", 1000))
    await registry.set_enabled("a", 4, enabled=False)
    assert (await registry.set_enabled("a", 4, enabled=True)).changed_in_epoch == 0
    await registry.set_enabled("a", 4, enabled=False)
    assert (await registry.set_enabled("a", 5, enabled=True)).changed_in_epoch == 5


async def test_a_token_stays_with_its_address(registry: Registry) -> None:
    await registry.put(node("a", 1000, auth_token="secret"))
    assert (await registry.put(node("a", 1000, max_concurrent=2))).declaration.auth_token == "secret"
    assert (await registry.put(node("a", 1000, auth_token=""))).declaration.auth_token == ""
    await registry.put(node("a", 1000, auth_token="secret"))
    assert (await registry.put(node("a", 3000))).declaration.auth_token == ""


async def test_unknown_nodes(registry: Registry) -> None:
    assert not await registry.remove("a")
    with pytest.raises(UnknownNode, match="node not found: a"):
        await registry.set_enabled("a", 0, enabled=True)


async def test_a_host_has_no_more_nodes_than_the_chain_takes(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NODES_PER_HOST", 2)
    for name, port in (("a", 1000), ("b", 2000), ("a", 3000)):
        await registry.put(node(name, port))
    with pytest.raises(InvalidNode, match="2 ML nodes at most"):
        await registry.put(node("c", 4000))
    await registry.remove("b")
    await registry.put(node("c", 4000))
    with pytest.raises(InvalidNode, match="2 ML nodes at most"):
        await registry.put(node("b", 2000))
