"""An executor with its fleet: management and inference ports over HTTP, and what its host does meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.fleet import fleet as fleet_module
from pivot.api.fleet import lending, reconciler
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.fleet import HostFleet
from pivot.api.fleet.interface import Serve, Stop
from pivot.api.fleet.load import FAILURES_TO_OPEN
from pivot.api.settings import ApiSettings, HttpSettings
from pivot.protocol.generated.inference.inference.types_pb2 import Model
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.chain import FakeChain, FakeOutbox, epoch, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.inference.engine import WORDS, FakeEngine
from tests.api.inference.network import MODEL, Host, Network, Reply, running_network

ANSWER = "".join(WORDS)


@dataclass
class Machine:
    """An ML node: its management, and its engine."""

    management: FakeMlNode
    engine: FakeEngine

    def declared(self, node_id: str, **fields: Any) -> NodeDeclaration:
        inference_port = int(self.engine.url.rpartition(":")[2])
        ports = {"inference_port": inference_port, "models": {MODEL: {"args": []}}}
        return NodeDeclaration.parse(self.management.declared(node_id, **{**ports, **fields}))


@dataclass
class Site:
    """A network whose host 1 has these machines; node1 and node2 are registered."""

    network: Network
    fleet: HostFleet
    machines: list[Machine] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return self.network.hosts[1]

    async def ask(self, **fields: Any) -> Reply:
        """A request for which host 1 is drawn first, and no host is known as a quicker one."""
        for standing in self.network.hosts[0].service.transfer._standings._hosts.values():
            standing.latency = None
        body, headers = self.network.first_drawn(self.host, **fields)
        return await self.network.post(self.network.hosts[0], body, headers)

    def streams(self, count: int) -> list["asyncio.Task[Reply]"]:
        return [asyncio.create_task(self.ask(stream=True)) for _ in range(count)]

    def by(self, reply: Reply) -> bool:
        """Whether host 1 has answered."""
        return reply.headers["x-pivot-executor"] == self.host.address

    def leases(self) -> dict[str, int]:
        return {report.view.id: report.leases for report in self.fleet.reports()}


def text(reply: Reply) -> str:
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in reply.events)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "TRANSITION_POLL_S", 0.02)
    monkeypatch.setattr(fleet_module, "DRAIN_POLL_S", 0.02)
    monkeypatch.setattr(lending, "UNREACHABLE_WAIT_S", 0.5)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    chain = FakeChain(models=[Model(id=MODEL)])
    chain.latest = chain.effective = epoch(4)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(running_network(tmp_path, (1, 0)))
        host = network.hosts[1]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        settings = ApiSettings(home=tmp_path, api=HttpSettings(allow_private_urls=True))
        fleet = HostFleet(host.database, http, settings, host.identity, chain, FakeOutbox())
        await fleet.start()
        stack.push_async_callback(fleet.close)
        fleet.assign(lambda node: Serve(MODEL) if node.enabled else Stop())
        host.service.execution._fleet = fleet
        site = Site(network, fleet)
        for _ in range(3):
            management = await stack.enter_async_context(FakeMlNode.running())
            site.machines.append(Machine(management, await stack.enter_async_context(FakeEngine.running())))
        for number in (1, 2):
            await fleet.put(site.machines[number - 1].declared(f"node{number}"))
        await until(lambda: all(node.fulfils for node in fleet.nodes()))
        yield site


async def test_a10_the_places_of_a_node_are_held_until_its_streams_have_ended(site: Site) -> None:
    await site.fleet.remove("node2")
    await site.fleet.put(site.machines[0].declared("node1", max_concurrent=1))
    engine = site.machines[0].engine
    engine.pause_s = 0.05
    first = site.streams(1)
    await until(lambda: engine.bodies)
    second = site.streams(1)
    await asyncio.sleep(0.1)
    assert (len(engine.bodies), site.leases()["node1"], site.fleet.waiting) == (1, 1, 1)
    [one] = await asyncio.gather(*first)
    [other] = await asyncio.gather(*second)
    assert [text(one), text(other)] == [ANSWER, ANSWER]
    assert len(engine.bodies) == 2
    assert site.leases()["node1"] == 0


async def test_a_node_that_is_healthy_and_fails_all_it_is_asked_costs_nobody_an_answer_and_leaves_rotation(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "AVOIDED_S", 0.3)
    broken, sound = (machine.engine for machine in site.machines[:2])
    broken.fails_with = 500
    replies = []
    for _ in range(2 * FAILURES_TO_OPEN):
        replies.append(await site.ask())
        await asyncio.sleep(lending.AVOIDED_S)
    assert [(reply.status, site.by(reply)) for reply in replies] == [(200, True)] * len(replies)
    assert len(broken.bodies) == FAILURES_TO_OPEN
    assert len(sound.bodies) == len(replies)
    [failing, working] = site.fleet.reports()
    assert (failing.view.failing, working.view.failing) == (True, False)
    assert failing.failure_reason.startswith("its requests fail: the engine answered with 500")


async def test_a_node_that_breaks_in_a_stream_ends_it_with_an_error_event_and_gives_its_place_back(site: Site) -> None:
    site.machines[0].engine.breaks_after = 3
    reply = await site.ask(stream=True)
    assert b"node_failed" in reply.raw
    assert set(site.leases().values()) == {0}
    [finish] = await site.host.settled()
    assert finish.completion_token_count == 3
    assert len(site.machines[1].engine.bodies) == 0  # what has begun is begun


async def test_streams_go_on_when_their_node_is_declared_at_another_address(site: Site) -> None:
    old, new = site.machines[0], site.machines[2]
    await site.fleet.remove("node2")
    old.engine.pause_s = 0.1
    streams = site.streams(2)
    await until(lambda: len(old.engine.bodies) == 2)
    await site.fleet.put(new.declared("node1"))
    assert text(await site.ask(stream=True)) == ANSWER
    assert (len(old.engine.bodies), len(new.engine.bodies)) == (2, 1)
    assert old.management.mode == Mode.INFERENCE
    assert [text(reply) for reply in await asyncio.gather(*streams)] == [ANSWER] * 2
    await until(lambda: old.management.mode == Mode.STOPPED)
    assert new.management.mode == Mode.INFERENCE


@pytest.mark.parametrize("change", ["removed", "disabled", "declared with other arguments"])
async def test_streams_go_on_when_their_node_is(site: Site, change: str) -> None:
    machine = site.machines[0]
    machine.engine.pause_s = 0.2
    await site.fleet.remove("node2")
    streams = site.streams(2)
    await until(lambda: len(machine.engine.bodies) == 2)
    if change == "removed":
        await site.fleet.remove("node1")
    elif change == "disabled":
        await site.fleet.set_enabled("node1", enabled=False)
    else:
        await site.fleet.put(machine.declared("node1", models={MODEL: {"args": ["-tp", "2"]}}))
    await asyncio.sleep(0.2)
    stopped = machine.management.calls.count("/api/v1/stop")
    assert not any(stream.done() for stream in streams)
    reply = await site.ask(stream=True)
    assert text(reply) == ANSWER
    if change != "declared with other arguments":  # for that engine the request may have waited
        assert not site.by(reply)
    assert [text(each) for each in await asyncio.gather(*streams)] == [ANSWER] * 2
    assert stopped == 0
    await until(lambda: machine.management.calls.count("/api/v1/stop") == 1)


async def test_a_node_that_hangs_before_it_begins_is_left_for_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.api.inference.engine.PROBE_AFTER_SECONDS", 0.1)
    monkeypatch.setattr("pivot.api.inference.engine._PROBE_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    monkeypatch.setattr(reconciler, "LOOK_S", 0.3)
    site.machines[0].engine.hangs = True
    reply = await site.ask(stream=True)
    assert (site.by(reply), text(reply)) == (True, ANSWER)
    await until(lambda: not site.fleet.nodes()[0].reachable)
    site.machines[0].engine.hangs = False
    await until(lambda: site.fleet.nodes()[0].fulfils)
