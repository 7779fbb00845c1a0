import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from pivot.api.fleet import lending as module
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.interface import NoNodeAvailable, Serve, Stop
from pivot.api.fleet.lending import AVOIDED_S, Lending
from pivot.api.fleet.load import FAILURES_TO_OPEN, FIRST_OPEN_S, TRUSTED_S
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.api.fleet.registry import RegisteredNode
from pivot.api.inference.engine import EngineFailed, NodeLost
from tests.api.fleet.chain import settle

Nodes = list[NodeReconciler]
Make = Callable[..., NodeReconciler]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def nodes() -> Nodes:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lending(nodes: Nodes, clock: Clock) -> Lending:
    return Lending(lambda: nodes, clock)


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


async def fail(lending: Lending, fault: Exception | None = None, *, spare: bool = False) -> str:
    """A request that its node does not answer. Which node it was."""
    fault = fault or EngineFailed("out of memory")
    with pytest.raises(type(fault)):
        async with lending.lend("m", wait_s=0, spare=spare) as lease:
            raise fault
    return lease.node_id


async def answered(lending: Lending) -> str:
    async with lending.lend("m", wait_s=0) as lease:
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
        assert node.load.leases == 1
        with pytest.raises(NoNodeAvailable):
            async with lending.lend("m", wait_s=0.05):
                pass
    assert node.load.leases == 0


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
    assert node.load.leases == 0
    async with lending.lend("m", wait_s=0):
        assert node.load.leases == 1


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


async def test_a9_a_node_that_lost_a_request_is_lent_to_nobody(
    lending: Lending, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNREACHABLE_WAIT_S", 0.05)
    node = make(1, max_concurrent=2)
    await fail(lending, NodeLost("gone"))
    assert not node.reachable
    assert node.failure_reason == "a request failed: gone"
    with pytest.raises(NoNodeAvailable, match="serves the model"):  # long before 60 s
        async with lending.lend("m", wait_s=60):
            pass


async def test_another_failure_of_a_request_is_not_the_nodes_fault(lending: Lending, make: Make) -> None:
    node = make(1)
    with pytest.raises(KeyError):
        async with lending.lend("m", wait_s=0):
            raise KeyError
    assert node.reachable
    assert node.load.leases == 0


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


async def test_the_least_busy_node_is_the_one_with_the_largest_share_of_its_places_free(
    lending: Lending, make: Make
) -> None:
    small, large = make(1, max_concurrent=2), make(2, max_concurrent=8)
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(lending.lend("m", wait_s=0))
        assert (small.load.leases, large.load.leases) == (1, 4)
        for _ in range(5):
            await stack.enter_async_context(lending.lend("m", wait_s=0))
        assert (small.load.leases, large.load.leases) == (2, 8)


async def test_what_a_node_has_failed_is_tried_on_another_one(lending: Lending, make: Make, clock: Clock) -> None:
    make(1, max_concurrent=9)
    make(2, max_concurrent=9)
    assert await fail(lending) == "node1"
    assert [await answered(lending), await answered(lending)] == ["node2", "node2"]
    clock.now_s += AVOIDED_S
    assert await answered(lending) == "node1"


async def test_a_node_that_is_healthy_and_fails_what_it_is_asked_leaves_rotation_and_comes_back_by_one_trial(
    lending: Lending, make: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = make(1, max_concurrent=9), make(2, max_concurrent=1)
    for _ in range(FAILURES_TO_OPEN):
        assert await fail(lending) == "node1"
        assert await answered(lending) == "node2"
        clock.now_s += AVOIDED_S
    assert "ML node node1 fails, 3 times in a row; it rests for 5 s: out of memory" in caplog.text
    clock.now_s -= AVOIDED_S
    assert broken.view().failing
    assert broken.reachable
    async with lending.lend("m", wait_s=0) as lease:
        assert lease.node_id == "node2"
        with pytest.raises(NoNodeAvailable):  # rather wait than be failed
            async with lending.lend("m", wait_s=0.05):
                pass
        clock.now_s += FIRST_OPEN_S
        async with lending.lend("m", wait_s=0) as trial:
            assert trial.node_id == "node1"
            with pytest.raises(NoNodeAvailable):  # one at a time
                async with lending.lend("m", wait_s=0.05):
                    pass
        assert [await answered(lending), sound.load.leases] == ["node1", 1]
    assert not broken.view().failing


async def test_a_trial_is_for_one_of_those_who_wait(lending: Lending, make: Make, clock: Clock) -> None:
    broken = make(1, max_concurrent=9)
    make(2, max_concurrent=1)
    for _ in range(FAILURES_TO_OPEN):
        broken.load.breaker.failed(clock.now_s, in_doubt=True)
    entered, release = asyncio.Event(), asyncio.Event()
    async with lending.lend("m", wait_s=0):
        waiting = [asyncio.create_task(held(lending, entered, release)) for _ in range(3)]
        await settle()
        clock.now_s += FIRST_OPEN_S
        lending.changed()
        await settle()
        assert (broken.load.leases, lending.waiting) == (1, 2)
        release.set()
        assert [await each for each in waiting] == ["node1"] * 3


async def test_a_node_that_fails_alone_is_still_asked(lending: Lending, make: Make) -> None:
    node = make(1, max_concurrent=9)
    for _ in range(FAILURES_TO_OPEN + 1):
        assert await fail(lending) == "node1"
    assert node.load.failing
    assert await answered(lending) == "node1"
    assert not node.load.failing


async def test_nobody_takes_a_working_node_from_others_by_asking_what_it_fails_at(
    lending: Lending, make: Make, clock: Clock
) -> None:
    node = make(1, max_concurrent=9)
    await answered(lending)
    clock.now_s += TRUSTED_S - 0.1
    for _ in range(100):
        await fail(lending)
    assert not node.load.failing
    clock.now_s += 0.1
    await fail(lending)
    assert node.load.failing


async def test_a_check_that_fails_says_nothing_against_a_node_and_tries_none(
    lending: Lending, make: Make, clock: Clock
) -> None:
    node = make(1, max_concurrent=9)
    for _ in range(FAILURES_TO_OPEN):
        await fail(lending, spare=True)
    assert node.load.breaker.failures == 0
    for _ in range(FAILURES_TO_OPEN):
        await fail(lending)
    clock.now_s += FIRST_OPEN_S
    with pytest.raises(NoNodeAvailable):
        async with lending.lend("m", wait_s=0, spare=True):
            pass


async def test_who_waits_for_one_model_is_not_held_up_by_who_waits_for_another(lending: Lending, make: Make) -> None:
    make(1)
    make(2, model="other")

    async def wait_for(model: str) -> str:
        async with lending.lend(model, wait_s=5) as lease:
            return lease.node_id

    async with lending.lend("m", wait_s=0):
        async with lending.lend("other", wait_s=0):
            asks = [asyncio.create_task(wait_for(model)) for model in ("m", "m", "other", "other")]
            await settle()
            assert lending.waiting == 4
        assert await asyncio.gather(*asks[2:]) == ["node2", "node2"]
        assert lending.waiting == 2
    assert await asyncio.gather(*asks[:2]) == ["node1", "node1"]
    assert lending.waiting == 0
