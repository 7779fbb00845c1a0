import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from pivot.api.fleet import lending as module
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.interface import NoNodeAvailable, Serve, Stop
from pivot.api.fleet.lending import Lending
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.api.fleet.registry import RegisteredNode
from tests.api.fleet.chain import settle

Nodes = list[NodeReconciler]
Make = Callable[..., NodeReconciler]


@pytest.fixture
def nodes() -> Nodes:
    return []


@pytest.fixture
def lending(nodes: Nodes) -> Lending:
    return Lending(lambda: nodes)


@pytest.fixture
def make(http: aiohttp.ClientSession, nodes: Nodes, lending: Lending) -> Make:
    """A node that was seen serving the model, without a task that looks after it."""

    def add(number: int, *, model: str = "m", max_concurrent: int = 1) -> NodeReconciler:
        document = {"id": f"node{number}", "host": "h", "inference_port": number, "poc_port": number}
        declaration = NodeDeclaration.parse({**document, "max_concurrent": max_concurrent, "models": {model: {}}})
        client = MlNodeClient(http, declaration.management_url, declaration.inference_url)
        registered = RegisteredNode(declaration, number, enabled=True, changed_in_epoch=0)
        node = NodeReconciler(registered, client, duty_of=lambda _: None, changed=lending.changed)
        node.reachable, node._duty, node._fulfils = True, Serve(model), True
        nodes.append(node)
        return node

    return add


async def held(lending: Lending, entered: asyncio.Event, release: asyncio.Event, *, wait_s: float = 5.0) -> str:
    async with lending.lend("m", wait_s=wait_s) as lease:
        entered.set()
        await release.wait()
        return lease.node_id


async def test_the_least_busy_node_is_lent(lending: Lending, make: Make) -> None:
    make(1, max_concurrent=5)
    make(2, max_concurrent=5)
    make(3, model="other")
    async with lending.lend("m", wait_s=0) as first, lending.lend("m", wait_s=0) as second:
        assert [first.node_id, second.node_id] == ["node1", "node2"]
        assert first.inference_url == "http://h:1"
    async with lending.lend("m", wait_s=0) as again:
        assert again.node_id == "node1"


async def test_a10_a_lease_holds_its_place_until_the_stream_has_ended(lending: Lending, make: Make) -> None:
    node = make(1)
    async with lending.lend("m", wait_s=0):
        assert node.leases == 1
        with pytest.raises(NoNodeAvailable):
            async with lending.lend("m", wait_s=0.05):
                pass
    assert node.leases == 0


async def test_who_waited_longest_comes_first(lending: Lending, make: Make) -> None:
    make(1)
    order: list[int] = []

    async def ask(number: int) -> None:
        async with lending.lend("m", wait_s=5):
            order.append(number)

    async with lending.lend("m", wait_s=0):
        asks = []
        for number in range(5):
            asks.append(asyncio.create_task(ask(number)))
            await settle()
    await asyncio.gather(*asks)
    assert order == [0, 1, 2, 3, 4]


async def test_a_request_waits_for_the_end_of_the_sprint(lending: Lending, make: Make) -> None:
    node = make(1)
    node._fulfils, node._duty = False, Stop()
    entered, release = asyncio.Event(), asyncio.Event()
    release.set()
    asking = asyncio.create_task(held(lending, entered, release))
    await settle()
    assert not entered.is_set()
    node._fulfils, node._duty = True, Serve("m")
    lending.changed()
    assert await asking == "node1"


async def test_one_who_gives_up_leaves_no_lease_behind(lending: Lending, make: Make) -> None:
    node = make(1)
    entered, release = asyncio.Event(), asyncio.Event()
    async with lending.lend("m", wait_s=0):
        asking = asyncio.create_task(held(lending, entered, release))
        await settle()
    asking.cancel()  # in the very moment in which it was given the node
    await asyncio.gather(asking, return_exceptions=True)
    assert node.leases == 0
    async with lending.lend("m", wait_s=0):
        assert node.leases == 1


async def test_a_model_that_no_node_is_declared_for_is_refused_at_once(lending: Lending, make: Make) -> None:
    make(1)
    with pytest.raises(NoNodeAvailable, match="declared for the model 'unknown'"):
        async with lending.lend("unknown", wait_s=60):
            pass


async def test_the_queue_is_bounded(lending: Lending, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    make(1)
    entered, release = asyncio.Event(), asyncio.Event()
    async with lending.lend("m", wait_s=0):
        waiting = [asyncio.create_task(held(lending, entered, release)) for _ in range(2)]
        await settle()
        with pytest.raises(NoNodeAvailable, match="wait for an ML node already"):
            async with lending.lend("m", wait_s=60):
                pass
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), aiohttp.ServerDisconnectedError()])
async def test_a9_a_node_that_failed_a_request_is_lent_to_nobody(
    lending: Lending, make: Make, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNREACHABLE_WAIT_S", 0.05)
    node = make(1, max_concurrent=2)
    with pytest.raises(type(error)):
        async with lending.lend("m", wait_s=0):
            raise error
    assert not node.reachable
    with pytest.raises(NoNodeAvailable, match="serves the model"):  # long before 60 s
        async with lending.lend("m", wait_s=60):
            pass


async def test_another_failure_of_a_request_is_not_the_nodes_fault(lending: Lending, make: Make) -> None:
    node = make(1)
    with pytest.raises(KeyError):
        async with lending.lend("m", wait_s=0):
            raise KeyError
    assert node.reachable
    assert node.leases == 0


async def test_what_can_wait_gets_a_node_that_is_at_most_half_busy_and_keeps_nobody_waiting(
    lending: Lending, make: Make
) -> None:
    make(1, max_concurrent=3)
    async with lending.lend("m", wait_s=0, spare=True), lending.lend("m", wait_s=0, spare=True):
        with pytest.raises(NoNodeAvailable, match="idle enough"):
            async with lending.lend("m", wait_s=60, spare=True):
                pass
        async with lending.lend("m", wait_s=0) as customers:
            assert customers.node_id == "node1"


async def test_a_node_that_answers_one_at_a_time_checks_when_it_is_idle(lending: Lending, make: Make) -> None:
    make(1)
    async with lending.lend("m", wait_s=0, spare=True) as lease:
        assert lease.node_id == "node1"
