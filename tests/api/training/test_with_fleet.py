"""Promise, training, sprint, and back: executor, prover and fleet of a host with one ML node, over real HTTP to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.database import Database
from pivot.api.fleet import reconciler
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.fleet import HostFleet
from pivot.api.fleet.interface import NoNodeAvailable
from pivot.api.http.node_list import listed_node
from pivot.api.identity import Identity
from pivot.api.poc.prover import Prover
from pivot.api.settings import ApiSettings
from pivot.api.training.executor import LOOK_BLOCKS
from pivot.api.training.hosts import LockNodes
from pivot.api.training.service import TrainingService
from pivot.protocol.generated.inference.inference.training_pb2 import JoinTrainingRequest
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishTrainingTask, MsgJoinTraining
from pivot.protocol.mlnode_api import Mode
from tests.api.fleet.chain import MODEL, FakeOutbox, FakePhases, epoch, key, until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.training.network import TrainingChain

HOST = key(1).address
CALM = 80


class Host:
    def __init__(self, node: FakeMlNode, fleet: HostFleet, training: TrainingService, phases: FakePhases) -> None:
        self.node, self.fleet, self.training, self.phases = node, fleet, training, phases
        self.height = CALM

    @property
    def state(self) -> dict[str, Any]:
        """As the Admin API shows the node."""
        [report] = self.fleet.reports()
        state: dict[str, Any] = listed_node(report, HOST, [])["state"]
        return state

    async def go_on(self, height: int | None = None) -> None:
        self.height = height or self.height + LOOK_BLOCKS
        await self.phases.at(self.height)


@pytest.fixture
async def host(
    chain: TrainingChain,
    outbox: FakeOutbox,
    phases: FakePhases,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Host]:
    monkeypatch.setattr(reconciler, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "FIRST_PAUSE_S", 0.05)
    settings, identity = ApiSettings(home=tmp_path), Identity(account=key(1), gateway=key(2))
    settings.api.allow_private_urls = True
    settings.training.enabled, settings.training.server_port = True, 0
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(FakeMlNode.running())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        fleet = HostFleet(database, http, settings, identity, chain, outbox)
        training = TrainingService(settings, identity, chain, outbox, fleet, phases)
        prover = Prover(database, settings, identity, chain, outbox, fleet, phases, training.training_of)
        for part in (fleet, training, prover):
            stack.push_async_callback(part.close)
            await part.start()
        await fleet.put(NodeDeclaration.parse(node.declared()))
        await until(lambda: chain.hardware.get(HOST))
        await phases.at(CALM)
        await until(lambda: node.mode == Mode.INFERENCE and fleet.nodes()[0].fulfils)
        yield Host(node, fleet, training, phases)


async def promised_and_assigned(host: Host, chain: TrainingChain) -> None:
    """Task 7 has been claimed by another member, promised this host's node, and assigned to it and to one more."""
    task = chain.queue(7, cpu=2)
    task.assigner, task.claimed_by_assigner_at_block_height = "gonka1zzz", host.height
    assert host.training.locking is not None
    await host.training.locking.lock("gonka1zzz", LockNodes(training_task_id=7, node_ids=["node1"]))
    chain.assign(7, **{HOST: ["node1"], "gonka1zzz": ["node1"]})
    await host.go_on()
    await until(lambda: host.node.mode == Mode.TRAIN and host.fleet.nodes()[0].fulfils)
    for node_id in (f"{HOST}/node1", "gonka1zzz/node1"):
        chain.take("", MsgJoinTraining(req=JoinTrainingRequest(node_id=node_id, run_id=7)))


async def test_a_node_trains_out_of_rotation_and_serves_again(host: Host, chain: TrainingChain) -> None:
    await promised_and_assigned(host, chain)
    state = host.state
    assert (state["intended_status"], state["current_status"]) == ("TRAINING", "TRAINING")
    assert state["training_task"] == {"status": True, "task_id": "7"}
    with pytest.raises(NoNodeAvailable):
        async with host.fleet.lend(MODEL, wait_s=0):
            pass
    host.node.end_training(0)
    await until(lambda: (seen := host.fleet.nodes()[0].training) is not None and not seen.status)
    await host.go_on()
    await until(lambda: chain.of_kind(MsgFinishTrainingTask))
    await until(lambda: host.node.mode == Mode.INFERENCE)
    assert host.node.calls.count("/api/v1/train/start") == 1


async def test_a_node_leaves_its_training_for_the_sprint(host: Host, chain: TrainingChain) -> None:
    await promised_and_assigned(host, chain)
    chain.latest = epoch(2, poc_start=130)
    await host.go_on(130)
    await until(lambda: host.node.mode == Mode.POW)
    await until(lambda: chain.of_kind(MsgFinishTrainingTask))
    chain.effective = chain.latest
    await host.go_on(chain.latest.boundaries.poc_validation_end)
    await until(lambda: host.node.mode == Mode.INFERENCE)
