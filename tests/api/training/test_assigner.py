"""A host as assigner: it claims a task that waits, asks the hosts of suitable nodes, and assigns those that agree."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.http.errors import Conflict
from pivot.api.training.assigner import LOOK_NS, Assigner
from pivot.api.training.hosts import LockNodes
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTaskStatus
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgAssignTrainingTask,
    MsgClaimTrainingTaskForAssignment,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    EpochGroupData,
    Hardware,
    HardwareNode,
    HardwareNodeStatus,
    ValidationWeight,
)
from tests.api.fleet.chain import BLOCK_NS, FakeOutbox, FakePhases, epoch
from tests.api.training.network import TrainingChain

HOST, LIGHT, HEAVY = "gonka1me", "gonka1light", "gonka1heavy"
BLOCKS_PER_LOOK = LOOK_NS // BLOCK_NS
CALM = 80


class Agreement:
    """What hosts say when they are asked; both as this host's own locking and as the other hosts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.refusing: set[str] = set()
        self.closed = False

    async def lock(self, host: str, wanted: Any, node_ids: list[str] | None = None) -> None:
        self.asked.append((host, wanted.node_ids if isinstance(wanted, LockNodes) else list(node_ids or [])))
        if host in self.refusing:
            raise Conflict("busy") if isinstance(wanted, LockNodes) else NotAnswered(f"{host} is busy")

    async def close(self) -> None:
        self.closed = True


class Assigning:
    def __init__(self, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases) -> None:
        self.chain, self.phases, self.agreement = chain, phases, Agreement()
        agreement = cast(Any, self.agreement)
        self.assigner = Assigner(HOST, chain, outbox, phases, agreement, agreement)
        self.height = CALM

    async def look(self, height: int | None = None) -> None:
        self.height = height or self.height + BLOCKS_PER_LOOK
        await self.phases.at(self.height)
        assert self.phases.moment
        await self.assigner.step(self.phases.moment)

    @property
    def claims(self) -> list[Any]:
        return self.chain.of_kind(MsgClaimTrainingTaskForAssignment)

    @property
    def assigned(self) -> list[dict[str, list[str]]]:
        return [
            {each.participant: list(each.node_ids) for each in message.assignees}
            for message in self.chain.of_kind(MsgAssignTrainingTask)
        ]


def members(chain: TrainingChain, weights: Mapping[str, int]) -> None:
    chain.groups[1, ""] = EpochGroupData(
        validation_weights=[ValidationWeight(member_address=who, weight=weight) for who, weight in weights.items()]
    )


def has(chain: TrainingChain, host: str, node_id: str = "n", **hardware: int) -> HardwareNode:
    node = HardwareNode(
        local_id=node_id,
        status=HardwareNodeStatus.INFERENCE,
        hardware=[Hardware(type=name, count=count) for name, count in hardware.items()],
    )
    chain.hardware.setdefault(host, []).append(node)
    return node


@pytest.fixture
def host(chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases) -> Assigning:
    """Three members with one CPU each."""
    weights = {HOST: 5, LIGHT: 1, HEAVY: 9}
    members(chain, weights)
    for each in weights:
        has(chain, each, cpu=1)
    return Assigning(chain, outbox, phases)


async def test_a_task_is_claimed_and_goes_to_nodes_whose_hosts_agree(host: Assigning) -> None:
    host.chain.queue(7, cpu=2)
    await host.look()
    assert [(each.creator, each.task_id) for each in host.claims] == [(HOST, 7)]
    assert host.agreement.asked == [(HEAVY, ["n"]), (HOST, ["n"])]
    assert host.assigned == [{HEAVY: ["n"], HOST: ["n"]}]
    await host.look()
    assert len(host.claims) == 1


@pytest.mark.parametrize("refusing", [{HEAVY}, {HOST}])
async def test_in_place_of_a_host_that_refuses_another_is_asked(host: Assigning, refusing: set[str]) -> None:
    host.agreement.refusing = refusing
    host.chain.queue(7, cpu=2)
    await host.look()
    assert host.assigned == [{each: ["n"] for each in sorted({HOST, LIGHT, HEAVY} - refusing)}]


async def test_a_slow_host_takes_nobody_elses_time(host: Assigning, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    both = asyncio.Event()

    async def lock(who: str, *_: Any) -> None:
        asked.add(who)
        if len(asked) == 2:
            both.set()
        await both.wait()

    monkeypatch.setattr(host.agreement, "lock", lock)
    host.chain.queue(7, cpu=2)
    await host.look()
    assert host.assigned == [{HEAVY: ["n"], HOST: ["n"]}]


async def test_without_enough_nodes_the_claim_lapses(host: Assigning) -> None:
    host.agreement.refusing = {HEAVY, LIGHT}
    host.chain.queue(7, cpu=2)
    await host.look()
    assert host.assigned == []
    host.agreement.refusing = set()
    host.chain.tasks[7].claimed_by_assigner_at_block_height = host.height + BLOCKS_PER_LOOK
    await host.look()
    assert host.assigned == [{HEAVY: ["n"], HOST: ["n"]}]
    assert len(host.claims) == 1


async def test_hosts_that_refuse_again_and_again_are_left_for_the_next_look(host: Assigning) -> None:
    host.agreement.refusing = {HOST, LIGHT, HEAVY}
    for number in range(3):
        has(host.chain, f"gonka1more{number}", cpu=1)
    members(host.chain, {HOST: 5, LIGHT: 1, HEAVY: 9} | {f"gonka1more{number}": 20 + number for number in range(3)})
    host.agreement.refusing |= {f"gonka1more{number}" for number in range(3)}
    host.chain.queue(7, cpu=1)
    await host.look()
    assert len(host.agreement.asked) == 3
    assert host.assigned == []


async def test_nodes_that_are_assigned_elsewhere_are_asked_when_the_others_do_not_suffice(host: Assigning) -> None:
    """An assignment needs nobody's consent: one that names everybody's nodes keeps none of them from another task."""
    host.chain.assign(3, **{HEAVY: ["n"]})
    host.chain.queue(7, cpu=2)
    await host.look()
    assert host.assigned == [{HOST: ["n"], LIGHT: ["n"]}]
    host.chain.assign(3, **{LIGHT: ["n"], HOST: ["n"]})
    host.chain.queue(8, cpu=2)
    await host.look()
    assert host.assigned[1:] == [{HEAVY: ["n"], HOST: ["n"]}]


async def test_nodes_that_rest_or_are_of_no_member_are_not_chosen(host: Assigning) -> None:
    for each in (HEAVY, LIGHT):
        host.chain.hardware[each][0].status = HardwareNodeStatus.STOPPED
    has(host.chain, "gonka1stranger", cpu=8)
    host.chain.queue(7, cpu=2)
    await host.look()
    assert host.agreement.asked == []
    assert host.assigned == []


async def test_what_another_has_claimed_is_left_to_it_until_its_time_is_up(host: Assigning) -> None:
    task = host.chain.queue(7, cpu=1)
    time = host.chain.effective.params.training_params.assignment_blocks
    task.assigner, task.claimed_by_assigner_at_block_height = HEAVY, CALM
    await host.look(CALM + time - 1)
    assert host.claims == []
    host.assigner._looked_at_ns = 0
    await host.look(CALM + time)
    assert len(host.claims) == 1


async def test_who_has_let_a_claim_lapse_waits_as_long_again(host: Assigning) -> None:
    task = host.chain.queue(7, cpu=1)
    time = host.chain.effective.params.training_params.assignment_blocks
    task.assigner, task.claimed_by_assigner_at_block_height = HOST, CALM
    await host.look(CALM + 2 * time - 1)
    assert host.claims == []
    host.assigner._looked_at_ns = 0
    await host.look(CALM + 2 * time)
    assert len(host.claims) == 1


async def test_a_refused_claim_or_assignment_changes_nothing(host: Assigning, caplog: pytest.LogCaptureFixture) -> None:
    host.chain.queue(7, cpu=1)
    host.chain.refusals = [1223]
    await host.look()
    assert host.agreement.asked == []
    host.chain.refusals = [0, 1224]
    host.chain.tasks[7].assigner = ""
    await host.look()
    assert "training task 7 is not assigned: refused" in caplog.text
    assert host.chain.tasks[7].status == TrainingTaskStatus.TRAINING_QUEUED


async def test_who_is_no_member_does_not_assign(host: Assigning) -> None:
    host.chain.queue(7, cpu=1)
    members(host.chain, {HEAVY: 9})
    await host.look()
    host.chain.groups.clear()
    await host.look()
    assert host.claims == []


async def test_in_a_sprint_nothing_is_assigned(host: Assigning) -> None:
    host.chain.queue(7, cpu=1)
    host.chain.latest = epoch(2, poc_start=130)
    await host.look(130)
    assert host.claims == []


async def test_the_queue_is_looked_at_every_ten_seconds_of_blocks(host: Assigning) -> None:
    await host.look(CALM)
    asked = len(host.chain.asked)
    await host.look(CALM + BLOCKS_PER_LOOK - 1)
    assert len(host.chain.asked) == asked
    await host.look(CALM + BLOCKS_PER_LOOK)
    assert len(host.chain.asked) > asked


async def test_it_follows_the_blocks(host: Assigning) -> None:
    host.chain.queue(7, cpu=1)
    await host.assigner.start()
    await host.phases.at(CALM)
    await host.assigner.close()
    assert host.agreement.closed
    assert len(host.claims) == 1
