"""Training: accounts ask for it, hosts assign and do it, and some speak for what is not theirs."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from google.protobuf.message import Message

from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import weights
from pivot.chain.modules.participants.state import hardware
from pivot.chain.modules.training.runs import node, node_ids
from pivot.chain.modules.training.state import tasks
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskStatus
from tests.chain import training_messages as said
from tests.simulation.world import CARD, World

STEP_BLOCKS = 5
"""Between two outer steps."""
BARRIERS, KEYS = 20, 40


def ask(world: World, rng: Random) -> Iterable[bytes]:
    """Somebody wants cards, sometimes more than anybody has; now and then the wish is taken back, or a run ended."""
    key = rng.choice(world.accounts)
    count = rng.choice([1, 8, 16, 10_000])
    yield world.ordered(key, said.wish(key.address, CARD, count, steps=rng.randrange(9)))
    if (record := _any(world, rng)) is not None and rng.random() < 0.1:
        owner = world.key_of(record.requested_by)
        yield world.ordered(owner, said.finish(owner.address, record.id))


def assign(world: World, rng: Random) -> Iterable[bytes]:
    """A host claims a task, or assigns the one that it has claimed, to members with some of their nodes."""
    record = _any(world, rng, TrainingTaskStatus.TRAINING_QUEUED)
    if record is None:
        return
    host = world.host_of(record.assigner)
    if host is None or rng.random() < 0.2:
        host = rng.choice(world.hosts)
        yield world.unordered(host.key, said.claim(host.address, record.id))
        return
    state = world.state
    members = [address for address, _ in weights(state, effective_index(state))]
    nodes = {}
    for address in rng.sample(members, min(len(members), rng.randrange(1, 4))):
        declared = [each.local_id for each in hardware(state, address).hardware_nodes]
        if declared:
            nodes[address] = rng.sample(declared, rng.randrange(1, len(declared) + 1))
    yield world.unordered(host.key, said.assignment(host.address, record.id, nodes))


def work(world: World, rng: Random) -> Iterable[bytes]:
    """The nodes of one run do what is next, each with some luck; liars speak for others' nodes."""
    record = _any(world, rng, TrainingTaskStatus.TRAINING_JOINING, TrainingTaskStatus.TRAINING_RUNNING)
    if record is None:
        return
    for place, node_id in enumerate(node_ids(record)):
        host = world.host_of(node_id.partition("/")[0])
        if host is None or rng.random() < 0.2:
            continue
        for message in _said(world, rng, record, place, host.address):
            liar = rng.choice([each for each in world.hosts if not each.honest])
            yield world.unordered(liar.key if rng.random() < 0.05 else host.key, message)


def _said(world: World, rng: Random, record: TrainingTask, place: int, host: str) -> Iterator[Message]:
    """What a node says next."""
    node_id, step = node_ids(record)[place], world.height // STEP_BLOCKS
    own: dict[str, Any] = {"address": host, "run_id": record.id, "node_id": node_id, "outer_step": step}
    if node(world.state, record.id, place) is None or rng.random() < 0.1:
        yield said.join(**own)
    elif record.status == TrainingTaskStatus.TRAINING_JOINING:
        yield said.join_status(**own)
    else:
        barrier = f"barrier {rng.randrange(BARRIERS)}"
        yield said.heartbeat(**own, inner_step=world.height % STEP_BLOCKS)
        yield said.barrier(**own, barrier_id=barrier)
        yield said.record(host, record.id, f"key {rng.randrange(KEYS)}", str(rng.random()))
        if rng.random() < 0.05:
            yield said.finish(host, record.id)


def _any(world: World, rng: Random, *statuses: TrainingTaskStatus) -> TrainingTask | None:
    """One of the tasks with these statuses, or of all."""
    found = [each for each in tasks(world.state) if not statuses or each.status in statuses]
    return rng.choice(found) if found else None
