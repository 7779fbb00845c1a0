from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.mlnode.poc import sender as sender_module
from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.fingerprint import fingerprints, fingerprints_of_hosts, host_stream
from pivot.mlnode.poc.generation import Generation, Pace
from pivot.mlnode.poc.journal import Journal
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import MAX_INDEX, SPRINT_PRESETS, host_seed, nonce_of
from tests.mlnode.fakes import HOST, SEED, FakeApiNode, sprint, until

PRESET = SPRINT_PRESETS["devnet"]
PRESET_BATCHES = 6 * batch_size(PRESET)
"""Leaves that may be under way when there is no more room."""


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


class CountingCrew:
    """Two workers that answer each nonce with its number, the second of two jobs before the first."""

    preset = PRESET
    batch = batch_size(PRESET)
    jobs_at_once = 4

    def __init__(self) -> None:
        self.jobs: list[tuple[str, range]] = []
        self.answers: list[asyncio.Future[bytes]] = []

    def compute(self, host_address: str, nonces: range) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        content = b"".join(nonce.to_bytes(32, "little") for nonce in nonces)
        loop.call_later(0.004 if len(self.jobs) % 2 else 0.001, self._answer, answer, content)
        self.jobs.append((host_address, nonces))
        self.answers.append(answer)
        return answer

    @property
    def nonces(self) -> list[int]:
        return [nonce for _, job in self.jobs for nonce in job]

    @staticmethod
    def _answer(answer: asyncio.Future[bytes], content: bytes) -> None:
        if not answer.done():
            answer.set_result(content)


@pytest.fixture
async def crew() -> CountingCrew:
    return CountingCrew()


@pytest.fixture
async def begin(
    crew: CountingCrew, api: FakeApiNode, session: aiohttp.ClientSession
) -> AsyncIterator[Callable[..., Generation]]:
    """Begins a generation on the crew that sends to the fake API node."""
    begun: list[Generation] = []

    def begin(journal: Journal | None = None, **changes: object) -> Generation:
        init = sprint(api.url, **changes)
        callbacks = Callbacks(session, init.url, "", first_pause_s=0.005)
        begun.append(Generation(crew, init, callbacks, journal or Journal(None, init)))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for generation in begun:
        await generation.flush(0)


def taken(api: FakeApiNode) -> list[int]:
    """All leaves that the API node has, in the order of their indices, which must have no gaps."""
    batches = sorted(api.generated.values(), key=lambda batch: batch.first_index)
    assert all(a.first_index + a.count == b.first_index for a, b in itertools.pairwise(batches))
    return [int.from_bytes(each, "little") for batch in batches for each in batch.leaves()]


async def test_leaves_are_dense_nonces_of_the_node_from_the_first_index_on(
    crew: CountingCrew, api: FakeApiNode, begin: Callable[..., Generation]
) -> None:
    begin(node_id=5, first_index=1_000, max_rate=0)
    await until(lambda: api.leaves >= 500)
    assert crew.nonces == list(range(nonce_of(5, 1_000), nonce_of(5, 1_000) + len(crew.nonces)))
    assert {host for host, _ in crew.jobs} == {HOST}
    assert {len(job) for _, job in crew.jobs} == {batch_size(PRESET)}
    assert taken(api) == crew.nonces[: api.leaves]


async def test_m13_two_nodes_of_a_host_compute_ranges_that_never_meet(
    crew: CountingCrew, api: FakeApiNode, begin: Callable[..., Generation]
) -> None:
    begin(node_id=1, first_index=MAX_INDEX - 4, max_rate=0)
    begin(node_id=2, first_index=0, max_rate=0)
    await until(lambda: api.leaves >= 200)
    assert len(set(crew.nonces)) == len(crew.nonces)
    assert nonce_of(1, MAX_INDEX) + 1 == nonce_of(2, 0)


async def test_a_capped_node_works_in_small_jobs(crew: CountingCrew, begin: Callable[..., Generation]) -> None:
    begin(max_rate=80)
    await until(lambda: len(crew.jobs) >= 2)
    assert {len(job) for _, job in crew.jobs} == {10}


async def test_a_slow_node_works_leaf_by_leaf(crew: CountingCrew, begin: Callable[..., Generation]) -> None:
    begin(max_rate=3)
    await until(lambda: crew.jobs)
    assert {len(job) for _, job in crew.jobs} == {1}


async def test_generation_ends_at_the_last_index(
    crew: CountingCrew, api: FakeApiNode, begin: Callable[..., Generation]
) -> None:
    begin(first_index=MAX_INDEX - 4, max_rate=0)
    await until(lambda: api.leaves == 5)
    assert taken(api)[-1] == crew.nonces[-1] == nonce_of(3, MAX_INDEX)


async def test_what_the_journal_holds_is_sent_and_not_computed_again(
    crew: CountingCrew, api: FakeApiNode, begin: Callable[..., Generation]
) -> None:
    journal = Journal(None, sprint())
    journal.append(b"".join(nonce_of(3, i).to_bytes(32, "little") for i in range(100)))
    begin(journal, first_index=40, max_rate=0)
    await until(lambda: api.leaves >= 200)
    assert crew.nonces[0] == nonce_of(3, 100)
    assert taken(api) == [nonce_of(3, i) for i in range(40, 40 + api.leaves)]


async def test_when_the_sprint_is_over_nothing_more_is_computed(
    crew: CountingCrew, api: FakeApiNode, begin: Callable[..., Generation]
) -> None:
    generation = begin(max_rate=0)
    await until(lambda: api.leaves)
    assert generation.alive
    api.status = 410
    await until(lambda: not generation.alive)
    await asyncio.sleep(0)
    jobs = len(crew.jobs)
    await asyncio.sleep(0.02)
    assert len(crew.jobs) == jobs
    assert all(answer.done() for answer in crew.answers)


async def test_m_item23_a_call_back_that_hangs_bounds_what_is_computed_and_holds_no_stop_up(
    crew: CountingCrew, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "MAX_BACKLOG_LEAVES", 500)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_post("/generated", hang)
    async with TestServer(app) as server:
        init = sprint(str(server.make_url("")).rstrip("/"), max_rate=0)
        generation = Generation(crew, init, Callbacks(session, init.url, ""), Journal(None, init))  # type: ignore[arg-type]
        await until(lambda: generation.sender.waiting >= 450)
        await asyncio.sleep(0.02)
        assert generation.sender.waiting <= 500 + PRESET_BATCHES
        async with asyncio.timeout(1):
            await generation.flush(0.05)


@pytest.mark.parametrize("nonce", [0, nonce_of(3, 77)])
def test_a_leaf_is_its_nonces_fingerprint(nonce: int) -> None:
    model, stream = SprintModel.build(PRESET, SEED), host_stream(host_seed(SEED, HOST))
    one = fingerprints(model, stream, np.array([nonce]))
    many = fingerprints(model, stream, np.array([nonce + 1, nonce]))
    assert np.abs(one[0].astype(int) - many[1]).max() <= 1


def test_leaves_of_several_hosts_in_one_batch_are_those_of_each_alone() -> None:
    model = SprintModel.build(PRESET, SEED)
    hosts = [host_stream(host_seed(SEED, f"gonka1host{i}")) for i in range(3)]
    parts = [(stream, np.arange(7 * i, 7 * i + i + 1)) for i, stream in enumerate(hosts)]
    together = fingerprints_of_hosts(model, parts)
    alone = np.concatenate([fingerprints(model, *part) for part in parts])
    assert together.shape == (6, 16)
    assert np.abs(together.astype(int) - alone).max() <= 1
