from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.generation import Generation, Pace
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.sender import Sender
from pivot.protocol.mlnode_api import PowInit
from pivot.protocol.sprint import MAX_INDEX, SPRINT_PRESETS, host_seed, nonce_of
from tests.mlnode.fakes import HOST, SEED, sprint, until

PRESET = SPRINT_PRESETS["devnet"]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_pace_spreads_leaves_and_keeps_no_credit() -> None:
    clock = Clock()
    pace = Pace(10, clock)
    assert [round(pace.reserve(5), 6) for _ in range(3)] == [0, 0.5, 1.0]
    clock.now += 60
    assert [pace.reserve(5), pace.reserve(5)] == [0, 0.5]


def test_without_a_cap_there_is_no_waiting() -> None:
    pace = Pace(0, Clock())
    assert [pace.reserve(10**6) for _ in range(3)] == [0, 0, 0]


class CountingWorker:
    """Answers each nonce with its number, and remembers the jobs."""

    preset = PRESET

    def __init__(self) -> None:
        self.jobs: list[tuple[str, range]] = []

    async def compute(self, host_address: str, nonces: range) -> bytes:
        self.jobs.append((host_address, nonces))
        await asyncio.sleep(0.001)
        return b"".join(nonce.to_bytes(32, "little") for nonce in nonces)


class CollectingSender(Sender):
    """Keeps everything and sends nothing, until told that the sprint is over."""

    def __init__(self, init: PowInit) -> None:
        super().__init__(init, None)  # type: ignore[arg-type]
        self.over = asyncio.Event()
        self.leaves = bytearray()

    def put(self, fingerprints: bytes) -> None:
        self.leaves += fingerprints

    def close(self) -> None:
        super().close()
        self.over.set()

    async def run(self) -> None:
        await self.over.wait()


async def generate(init: PowInit, leaves: int) -> tuple[CountingWorker, CollectingSender]:
    worker, sender = CountingWorker(), CollectingSender(init)
    generation = Generation(worker, init, sender)  # type: ignore[arg-type]
    await until(lambda: len(sender.leaves) >= 32 * leaves)
    await generation.flush(0)
    return worker, sender


async def test_leaves_are_dense_nonces_of_the_node_from_the_first_index_on() -> None:
    worker, sender = await generate(sprint(node_id=5, first_index=1_000, max_rate=0), 200)
    nonces = [nonce for _, job in worker.jobs for nonce in job]
    assert nonces == list(range(nonce_of(5, 1_000), nonce_of(5, 1_000) + len(nonces)))
    assert {host for host, _ in worker.jobs} == {HOST}
    assert {len(job) for _, job in worker.jobs} == {batch_size(PRESET)}
    first = [int.from_bytes(sender.leaves[i : i + 32], "little") for i in range(0, 200 * 32, 32)]
    assert first == nonces[:200]


async def test_a_capped_node_works_in_small_jobs() -> None:
    worker, _ = await generate(sprint(max_rate=80), 2)
    assert {len(job) for _, job in worker.jobs} == {10}
    worker, _ = await generate(sprint(max_rate=3), 0)
    assert {len(job) for _, job in worker.jobs} <= {1}


async def test_generation_ends_at_the_last_index() -> None:
    worker, sender = await generate(sprint(first_index=MAX_INDEX - 4, max_rate=0), 5)
    assert [nonce for _, job in worker.jobs for nonce in job][-1] == nonce_of(3, MAX_INDEX)
    assert len(sender.leaves) == 5 * 32


async def test_when_the_sprint_is_over_nothing_more_is_computed() -> None:
    worker, sender = CountingWorker(), CollectingSender(sprint(max_rate=0))
    generation = Generation(worker, sender._init, sender)  # type: ignore[arg-type]
    await until(lambda: sender.leaves)
    sender.over.set()
    await until(generation._producing.done)
    jobs = len(worker.jobs)
    await asyncio.sleep(0.02)
    assert len(worker.jobs) == jobs
    await generation.flush(0)


@pytest.mark.parametrize("nonce", [0, nonce_of(3, 77)])
def test_a_leaf_is_its_nonces_fingerprint(nonce: int) -> None:
    model, stream = SprintModel.build(PRESET, SEED), host_stream(host_seed(SEED, HOST))
    one = fingerprints(model, stream, np.array([nonce]))
    many = fingerprints(model, stream, np.array([nonce + 1, nonce]))
    assert np.abs(one[0].astype(int) - many[1]).max() <= 1
