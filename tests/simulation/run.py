"""A run from its seed to its last block, and what to do with one that fails."""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random

from pivot.chain.store.interface import Store
from tests.simulation.duties import duties
from tests.simulation.operations import KINDS, WEIGHTS
from tests.simulation.plan import Operation, draw, shortest
from tests.simulation.world import World

FIRST_HEIGHT = 2
"""Block 1 makes the genesis durable; it is empty."""


@dataclass(frozen=True)
class Failure:
    """What broke, and the operations up to it."""

    seed: int
    height: int
    error: str
    operations: Sequence[Operation]


@dataclass
class Run:
    """What a run came to."""

    seed: int
    app_hashes: list[bytes] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, int]] = field(default_factory=Counter)
    failure: Failure | None = None


def simulate(seed: int, blocks: int, per_block: int, open_store: Callable[[], Store]) -> Run:
    """Run the operations that the seed draws. It never raises: what breaks stands in `failure`."""
    return replay(seed, blocks, draw(seed, FIRST_HEIGHT, blocks, per_block, WEIGHTS), open_store)


def replay(seed: int, blocks: int, operations: Sequence[Operation], open_store: Callable[[], Store]) -> Run:
    """Run these operations, each in its block."""
    run = Run(seed)
    by_height = {height: list(group) for height, group in groupby(operations, lambda each: each.height)}
    height = 0
    world: World | None = None
    try:
        world = World(seed, open_store)
        for height in range(FIRST_HEIGHT, FIRST_HEIGHT + blocks):
            step(world, by_height.get(height, ()))
    except Exception as error:  # noqa: BLE001  whatever breaks is the finding
        done = [each for each in operations if each.height <= height]
        run.failure = Failure(seed, height, _sentence(error), done)
    finally:
        if world is not None:
            run.app_hashes, run.accepted, run.refused = world.engine.app_hashes, world.accepted, world.refused
            world.engine.store.close()
    return run


def step(world: World, operations: Sequence[Operation]) -> None:
    """One block: the duties that are due, and these operations, in an order that chance decides."""
    rng = Random(f"block {world.seed} {world.height}")
    plan = world.block_plan(rng)
    offered = list(duties(world))
    for each in operations:
        kind, _ = KINDS[each.kind]
        offered.extend(kind(world, Random(each.seed)))
    if plan.hostile_proposer:
        rng.shuffle(offered)
    world.make_block(plan, offered)


def shortest_failing(failure: Failure, new_store: Callable[[], Callable[[], Store]]) -> list[Operation]:
    """The fewest operations that break the same rule in the run's blocks. Every try has a new store."""
    kind = failure.error.split(":")[0]

    def fails(operations: Sequence[Operation]) -> bool:
        again = replay(failure.seed, failure.height - FIRST_HEIGHT + 1, operations, new_store()).failure
        return again is not None and again.error.split(":")[0] == kind

    return shortest(failure.operations, fails)


def _sentence(error: Exception) -> str:
    """The error and where it was raised, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name} ({last.filename.rsplit('/', 1)[-1]}:{last.lineno}): {error}"
