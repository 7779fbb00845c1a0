"""A hundred ML nodes on one API node, over real HTTP, in one process: what happens to some costs the others nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from pivot.api.database import Database
from pivot.api.fleet import client, lending, reconciler
from pivot.api.fleet.fleet import HostFleet
from pivot.api.fleet.interface import Duty, FleetNode, NoNodeAvailable, Serve
from pivot.api.http.admin import admin_app
from pivot.api.identity import Identity
from pivot.api.poc.duties import Assignment, Stage, duty_of
from pivot.api.settings import ApiSettings
from pivot.api.tls import session_to_ml_nodes
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitHardwareDiff
from pivot.protocol.mlnode_api import PowState
from tests.api.fleet.chain import MODEL, FakeChain, FakeOutbox, epoch, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.serving import serving

NODES = 100
PATIENCE_S = 60.0
"""Other work may fill the machine."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "POLL_S", 0.5)
    _patience(monkeypatch, PATIENCE_S)  # the nodes share a loop with who looks at them: a full machine hangs them all


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For nodes that really hang."""
    _patience(monkeypatch, 3.0)


def _patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long a node may take to answer a look."""
    monkeypatch.setattr(reconciler, "LOOK_S", seconds)
    monkeypatch.setattr(client, "LOOK_TIMEOUT_S", seconds)


@dataclass
class Hundred:
    """The nodes, the fleet that knows them, and its Admin API."""

    nodes: dict[str, FakeMlNode]
    fleet: HostFleet
    http: aiohttp.ClientSession
    url: str

    def serving(self) -> set[str]:
        """Ids of the nodes in rotation."""
        return {node.id for node in self.fleet.nodes() if node.reachable and node.fulfils}

    async def lent(self, count: int) -> Counter[str]:
        """Who gets so many requests at a time."""
        async with AsyncExitStack() as stack:
            leases = [await stack.enter_async_context(self.fleet.lend(MODEL, wait_s=5)) for _ in range(count)]
            return Counter(lease.node_id for lease in leases)


@pytest.fixture
async def hundred(
    database: Database, settings: ApiSettings, identity: Identity, chain: FakeChain, outbox: FakeOutbox
) -> AsyncIterator[Hundred]:
    """All are registered by one request, and serve."""
    async with AsyncExitStack() as stack:
        names = [f"node{number:03}" for number in range(1, NODES + 1)]
        nodes = {name: await stack.enter_async_context(FakeMlNode.running()) for name in names}
        http = await stack.enter_async_context(session_to_ml_nodes(settings.api))
        fleet = HostFleet(database, http, settings, identity, chain, outbox)
        await fleet.start()
        stack.push_async_callback(fleet.close)
        fleet.assign(lambda _: Serve(MODEL))
        url = await stack.enter_async_context(serving(admin_app(settings, identity, chain, fleet)))
        hundred = Hundred(nodes, fleet, http, f"{url}/admin/v1/nodes")
        declared = [node.declared(name) for name, node in nodes.items()]
        async with http.post(f"{hundred.url}/batch", json=declared) as answer:
            assert answer.status == 201, await answer.text()
        await until(lambda: len(hundred.serving()) == NODES, PATIENCE_S)
        yield hundred


async def test_a_hundred_nodes_are_registered_at_once_told_once_and_lent_evenly(
    hundred: Hundred, outbox: FakeOutbox
) -> None:
    assert all(node.calls.count("/api/v1/inference/up") == 1 for node in hundred.nodes.values())
    async with hundred.http.get(hundred.url) as answer:
        listed = await answer.json()
    assert [item["node"]["node_num"] for item in listed] == list(range(1, NODES + 1))
    assert {item["state"]["current_status"] for item in listed} == {"INFERENCE"}
    assert await hundred.lent(NODES) == dict.fromkeys(hundred.nodes, 1)
    assert await hundred.lent(2 * NODES) == dict.fromkeys(hundred.nodes, 2)
    async with AsyncExitStack() as stack:
        for _ in range(2 * NODES):
            await stack.enter_async_context(hundred.fleet.lend(MODEL, wait_s=5))
        with pytest.raises(NoNodeAvailable):
            async with hundred.fleet.lend(MODEL, wait_s=0.1):
                pass
    await until(lambda: outbox.messages, PATIENCE_S)
    report = next(iter(outbox.messages.values()))
    assert isinstance(report, MsgSubmitHardwareDiff)
    assert {node.local_id for node in report.newOrModified} <= set(hundred.nodes)


async def test_at_rest_each_node_is_asked_twice_a_look_and_nothing_else(hundred: Hundred) -> None:
    for node in hundred.nodes.values():
        node.calls.clear()
    began = time.monotonic()
    await until(lambda: all(node.calls.count("/health") >= 3 for node in hundred.nodes.values()), PATIENCE_S)
    looks = (time.monotonic() - began) / ((1 - reconciler.JITTER) * reconciler.POLL_S) + 1
    for node in hundred.nodes.values():
        calls = Counter(node.calls)
        assert calls["/health"] - 1 <= calls["/api/v1/state"] <= looks  # the first look may have been under way
        assert calls.total() - calls["/health"] - calls["/api/v1/state"] <= calls["/v1/models"] <= looks / 10 + 1
        assert node.connections <= 2


async def test_those_that_die_leave_rotation_come_back_and_cost_nobody_a_request(hundred: Hundred) -> None:
    dead = set(list(hundred.nodes)[::10])
    await asyncio.gather(*(hundred.nodes[name].die() for name in dead))
    await until(lambda: hundred.serving() == set(hundred.nodes) - dead, PATIENCE_S)
    assert (await hundred.lent(NODES)).keys() == set(hundred.nodes) - dead
    await asyncio.gather(*(hundred.nodes[name].come_back() for name in dead))
    await until(lambda: len(hundred.serving()) == NODES, PATIENCE_S)
    assert all(node.calls.count("/api/v1/inference/up") == 1 for node in hundred.nodes.values())


@pytest.mark.usefixtures("impatient")
async def test_when_all_hang_nothing_piles_up_and_all_come_back(
    hundred: Hundred, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "UNREACHABLE_WAIT_S", 0.3)
    for node in hundred.nodes.values():
        node.frozen = True
    await until(lambda: not hundred.serving(), PATIENCE_S)
    at_first = len(asyncio.all_tasks())
    asked = {name: len(node.calls) for name, node in hundred.nodes.items()}
    requests = [asyncio.create_task(hundred.lent(1)) for _ in range(200)]
    most = 0
    while any(len(node.calls) < asked[name] + 3 for name, node in hundred.nodes.items()):
        most = max(most, *(node.connections for node in hundred.nodes.values()))
        await asyncio.sleep(0.1)
    assert all(isinstance(each, NoNodeAvailable) for each in await asyncio.gather(*requests, return_exceptions=True))
    assert most <= 2
    assert len(asyncio.all_tasks()) <= at_first + 2 * NODES  # a look and its server's side, each
    assert hundred.fleet.waiting == 0
    for node in hundred.nodes.values():
        node.frozen = False
    await until(lambda: len(hundred.serving()) == NODES, PATIENCE_S)


async def test_when_half_flap_the_other_half_serves_and_nobody_is_told_twice(hundred: Hundred) -> None:
    names = list(hundred.nodes)
    steady, flapping = set(names[::2]), names[1::2]
    seen_out: set[str] = set()
    for turn in range(12):
        for place, name in enumerate(flapping):
            node = hundred.nodes[name]
            away = (turn + place) % 2 == 0
            node.frozen = away and place % 3 == 0
            node.healthy = not (away and place % 3 == 1)
            node.refuses = {"/api/v1/state": 500} if away and place % 3 == 2 else {}
        await asyncio.sleep(0.25)
        seen_out |= set(names) - hundred.serving()
        assert steady <= hundred.serving()
        assert (await hundred.lent(len(steady))).total() == len(steady)
        assert all(node.connections <= 2 for node in hundred.nodes.values())
    assert seen_out
    for name in flapping:
        node = hundred.nodes[name]
        node.frozen, node.healthy, node.refuses = False, True, {}
    await until(lambda: len(hundred.serving()) == NODES, PATIENCE_S)
    assert all(node.calls.count("/api/v1/inference/up") == 1 for node in hundred.nodes.values())


async def test_in_the_sprint_those_with_a_slot_go_on_serving_and_the_others_prove(hundred: Hundred) -> None:
    slots = frozenset(range(2, NODES + 1, 2))

    def duties(stage: Stage) -> None:
        assignment = Assignment(stage, epoch(1), slots, {MODEL: ()}, "gonka1host", "http://127.0.0.1:9/v1/poc", "")

        def duty(node: FleetNode) -> Duty:
            return duty_of(node, assignment, lambda _: 0)

        hundred.fleet.assign(duty)

    chosen = {name for number, name in enumerate(hundred.nodes, start=1) if number in slots}
    others = [node for name, node in hundred.nodes.items() if name not in chosen]
    async with hundred.fleet.lend(MODEL, wait_s=5) as lease:
        assert lease.node_id == "node001"  # which has no slot: its answer may end, but not for long
        duties(Stage.SPRINT)
        assert (await hundred.lent(2 * len(chosen))).keys() == chosen
        await until(lambda: all(node.pow == PowState.GENERATING for node in others), PATIENCE_S)
    assert (await hundred.lent(2 * len(chosen))).keys() == chosen
    assert all(hundred.nodes[name].calls.count("/api/v1/stop") == 0 for name in chosen)
    duties(Stage.CHECKING)
    await until(lambda: all(node.pow == PowState.VALIDATING for node in others), PATIENCE_S)
    assert (await hundred.lent(2 * len(chosen))).keys() == chosen
    duties(Stage.SERVING)
    await until(lambda: len(hundred.serving()) == NODES, PATIENCE_S)
    assert await hundred.lent(NODES) == dict.fromkeys(hundred.nodes, 1)


@pytest.mark.usefixtures("impatient")
async def test_a_hundred_that_hang_are_looked_for_at_once(hundred: Hundred) -> None:
    declared = [node.declared(name, poc_segment="other") for name, node in hundred.nodes.items()]
    for node in hundred.nodes.values():
        node.frozen = True
    began = time.monotonic()
    async with hundred.http.post(f"{hundred.url}/batch", json=declared) as answer:
        told = await answer.json()
    assert answer.status == 400
    assert [error["id"] for error in told["errors"]] == list(hundred.nodes)
    assert time.monotonic() - began < PATIENCE_S
