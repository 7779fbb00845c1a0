"""A sprint from beginning to end, with real worker processes and an API node that takes call-backs."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.mlnode.poc import frames
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.session import NotValidating, PowSession
from pivot.mlnode.poc.work import Work
from pivot.mlnode.poc.worker import MAX_FAILURES_IN_A_ROW, Worker
from pivot.protocol.mlnode_api import PowState, ValidateRequest, encode_fingerprints
from pivot.protocol.sprint import SPRINT_PRESETS, SprintPreset, distance, host_seed, nonce_of
from tests.mlnode.fakes import HOST, SEED, FakeApiNode, sprint, until

PRESET = SPRINT_PRESETS["devnet"]
OTHER = "gonka1other"
MODEL = SprintModel.build(PRESET, SEED)


@pytest.fixture
async def pow_session(session: aiohttp.ClientSession) -> AsyncIterator[PowSession]:
    pow_session = PowSession(session)
    yield pow_session
    await pow_session.stop()


def expected(host: str, nonces: list[int]) -> list[bytes]:
    rows = fingerprints(MODEL, host_stream(host_seed(SEED, host)), np.array(nonces, np.int64))
    return [row.tobytes() for row in rows]


def request(batch_id: str, nonces: list[int], claims: list[bytes], host: str = OTHER) -> ValidateRequest:
    return ValidateRequest(
        batch_id=batch_id, host_address=host, nonces=nonces, fingerprints=encode_fingerprints(b"".join(claims))
    )


async def impatient(work: Work, preset: SprintPreset, seed: bytes) -> list[Worker]:
    return [Worker(work, preset, seed, first_pause_s=0.001)]


async def two_workers(work: Work, preset: SprintPreset, seed: bytes) -> list[Worker]:
    return [*await impatient(work, preset, seed), *await impatient(work, preset, seed)]


def pid_of(pow_session: PowSession, worker: int = 0) -> int:
    assert pow_session._crew
    pid = pow_session._crew.workers[worker].pid
    assert pid
    return pid


def taken(api: FakeApiNode) -> tuple[int, list[bytes]]:
    """Index of the first leaf that the API node has, and all of them, which must have no gaps; what comes twice is the same."""
    had: dict[int, bytes] = {}
    for batch in api.generated.values():
        for index, leaf in enumerate(batch.leaves(), batch.first_index):
            assert had.setdefault(index, leaf) == leaf
    indices = sorted(had)
    assert indices == list(range(indices[0], indices[0] + len(indices)))
    return indices[0], [had[index] for index in indices]


def are_of(leaves: list[bytes], first_index: int) -> bool:
    nonces = [nonce_of(3, first_index + i) for i in range(len(leaves))]
    return all(distance(a, b) <= PRESET.tolerance for a, b in zip(leaves, expected(HOST, nonces), strict=True))


async def test_generated_leaves_are_the_fingerprints_of_their_nonces(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.generate(sprint(api.url, first_index=40))
    assert pow_session.status().status in {PowState.LOADING, PowState.GENERATING}
    await until(lambda: api.leaves >= 100)
    assert pow_session.status().status == PowState.GENERATING
    batch = min(api.generated.values(), key=lambda each: each.first_index)
    assert batch.first_index == 40
    nonces = [nonce_of(3, 40 + i) for i in range(min(batch.count, 20))]
    for claim, own in zip(batch.leaves(), expected(HOST, nonces), strict=False):
        assert distance(claim, own) <= PRESET.tolerance
    status = pow_session.status()
    assert (status.epoch, status.preset, status.is_model_initialized, status.restarts) == (7, "devnet", True, 0)
    await until(lambda: (pow_session.status().next_index or 0) >= 140)


async def test_the_same_request_again_changes_nothing(pow_session: PowSession, api: FakeApiNode) -> None:
    init = sprint(api.url)
    await pow_session.generate(init)
    generation = pow_session._generation
    await pow_session.generate(init)
    assert pow_session._generation is generation
    await pow_session.validate(init)
    verification = pow_session._verification
    await pow_session.validate(init)
    assert pow_session._verification is verification


async def test_the_model_is_kept_from_generating_to_validating_and_back(
    pow_session: PowSession, api: FakeApiNode
) -> None:
    await pow_session.generate(sprint(api.url))
    await until(lambda: api.leaves)
    crew = pow_session._crew
    await pow_session.validate(sprint(api.url))
    await pow_session.generate(sprint(api.url, first_index=5))
    assert pow_session._crew is crew
    await pow_session.generate(sprint(api.url, sprint_seed="11" * 32))
    assert pow_session._crew is not crew


async def test_m_item10_what_was_computed_until_the_end_still_arrives_while_validating(
    pow_session: PowSession, api: FakeApiNode
) -> None:
    await pow_session.generate(sprint(api.url))
    await until(lambda: api.leaves)
    assert pow_session._generation
    sender = pow_session._generation.sender
    api.status = 500
    await until(lambda: sender.waiting >= 50)
    await pow_session.validate(sprint(api.url))
    assert pow_session.status().status == PowState.VALIDATING
    computed = sender.acknowledged + sender.waiting
    api.status = 200
    await until(lambda: api.leaves == computed)


async def test_honest_claims_are_near_and_invented_ones_far(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.validate(sprint(api.url))
    nonces = [nonce_of(1, i) for i in (0, 5, 10**9)]
    claims = expected(OTHER, nonces)
    claims[1] = expected(HOST, nonces)[1]
    pow_session.submit(request("b", nonces, claims))
    await until(lambda: api.validated)
    near, far, also_near = api.validated[0].distances
    assert max(near, also_near) <= PRESET.tolerance < far


async def test_m6_absurd_claims_are_only_far_and_later_requests_are_answered(
    pow_session: PowSession, api: FakeApiNode
) -> None:
    await pow_session.validate(sprint(api.url))
    worst = np.full(16, -(2**15), "<i2").tobytes()
    pow_session.submit(request("absurd", [0, 2**63 - 1], [worst, worst]))
    pow_session.submit(request("honest", [9], expected(OTHER, [9])))
    await until(lambda: len(api.validated) == 2)
    results = {batch.batch_id: batch.distances for batch in api.validated}
    assert min(results["absurd"]) > 100_000
    assert results["honest"][0] <= PRESET.tolerance


async def test_a_request_that_comes_again_is_answered_again_without_work(
    pow_session: PowSession, api: FakeApiNode
) -> None:
    await pow_session.validate(sprint(api.url))
    asked = request("b", [1, 2], expected(OTHER, [1, 2]))
    pow_session.submit(asked)
    pow_session.submit(asked)
    await until(lambda: api.validated)
    pow_session.submit(asked)
    await until(lambda: len(api.validated) == 2)
    assert api.validated[0] == api.validated[1]


async def test_results_wait_for_an_api_node_that_does_not_answer(pow_session: PowSession, api: FakeApiNode) -> None:
    api.status = 503
    await pow_session.validate(sprint(api.url))
    pow_session.submit(request("b", [1], expected(OTHER, [1])))
    await until(lambda: pow_session.status().error)
    assert pow_session.status().error == f"{api.url}/validated answered 503"
    api.status = 200
    await until(lambda: api.validated)
    await until(lambda: pow_session.status().error is None)


async def test_a_crash_in_the_middle_loses_nothing(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.generate(sprint(api.url))
    await until(lambda: api.leaves)
    os.kill(pid_of(pow_session), signal.SIGKILL)
    seen = api.leaves
    await until(lambda: api.leaves > seen + 300)
    batches = sorted(api.generated.values(), key=lambda batch: batch.first_index)
    assert all(a.first_index + a.count == b.first_index for a, b in itertools.pairwise(batches))
    assert pow_session.status().restarts == 1


async def test_m_item21_a_worker_that_is_given_up_breaks_the_session_with_its_reason(
    session: aiohttp.ClientSession, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.mlnode.poc.worker.WORKER_MODULE", "pivot.no_such_module")

    pow_session = PowSession(session, make_workers=impatient)
    assert await pow_session.broken() == "no worker was started"
    await pow_session.generate(sprint(api.url))
    assert await pow_session.broken() == "the worker process ended with exit code 1"
    await pow_session.stop()
    assert pow_session.status().status == PowState.NOT_LOADED


async def test_two_workers_share_the_leaves_and_a_crash_of_one_loses_none(
    session: aiohttp.ClientSession, api: FakeApiNode
) -> None:
    pow_session = PowSession(session, make_workers=two_workers)
    await pow_session.generate(sprint(api.url, max_rate=0))
    await until(lambda: all(worker.ready for worker in pow_session.status().workers or [] if worker))
    await until(lambda: api.leaves >= 200)
    os.kill(pid_of(pow_session, 1), signal.SIGKILL)
    seen = api.leaves
    await until(lambda: api.leaves >= seen + 500)
    status = pow_session.status()
    await pow_session.stop()
    first, leaves = taken(api)
    assert first == 0
    assert are_of(leaves, 0)
    assert status.restarts == 1
    assert [worker.restarts for worker in status.workers or []] == [0, 1]


async def test_a_worker_that_falls_out_leaves_its_part_to_the_others_and_is_told(
    session: aiohttp.ClientSession, api: FakeApiNode
) -> None:
    pow_session = PowSession(session, make_workers=two_workers)
    await pow_session.generate(sprint(api.url))
    assert pow_session._crew
    out, sound = pow_session._crew.workers
    out._failures_in_a_row = MAX_FAILURES_IN_A_ROW - 1
    await until(lambda: out.pid)
    os.kill(pid_of(pow_session), signal.SIGKILL)
    await until(out.failed.is_set)
    await until(lambda: api.leaves >= 200)
    status = pow_session.status()
    assert status.status == PowState.GENERATING
    assert [worker.given_up for worker in status.workers or []] == [True, False]
    assert status.error == "the worker process ended with exit code -9"
    assert not sound.error
    await pow_session.stop()
    assert are_of(taken(api)[1], 0)


async def test_m_item21_loading_is_told_until_a_model_stands(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.generate(sprint(api.url))
    assert pow_session.status().status == PowState.LOADING
    assert pow_session.status().is_model_initialized is False
    await until(lambda: pow_session.status().is_model_initialized)
    assert pow_session.status().status == PowState.GENERATING


async def test_progress_and_rate_are_told(pow_session: PowSession, api: FakeApiNode) -> None:
    api.status = 503
    await pow_session.generate(sprint(api.url, first_index=100))
    await until(lambda: (pow_session.status().waiting or 0) >= 200)
    status = pow_session.status()
    assert (status.next_index, status.acknowledged) == (100, 0)
    assert status.computed == 100 + (status.waiting or 0)
    assert status.rate
    assert status.workers
    assert (status.workers[0].backend, status.workers[0].devices, status.workers[0].batch) == ("numpy", [], 32)
    api.status = 200
    await until(lambda: pow_session.status().acknowledged)
    later = pow_session.status()
    assert (later.acknowledged or 0) + 100 == later.next_index


@pytest.mark.parametrize("status", [401, 409, 410])
async def test_when_leaves_will_never_be_taken_the_node_is_idle_until_it_is_told_again(
    pow_session: PowSession, api: FakeApiNode, status: int
) -> None:
    api.status = status
    init = sprint(api.url)
    await pow_session.generate(init)
    await until(lambda: pow_session.status().status == PowState.IDLE)
    assert pow_session.status().error
    api.status = 200
    await pow_session.generate(init)
    assert pow_session.status().status == PowState.GENERATING
    await until(lambda: api.leaves >= 100)
    assert are_of(taken(api)[1], 0)


async def test_an_api_node_that_has_lost_leaves_gets_them_again_without_work(
    pow_session: PowSession, api: FakeApiNode
) -> None:
    await pow_session.generate(sprint(api.url))
    await until(lambda: (pow_session.status().acknowledged or 0) >= 200)
    assert pow_session._journal
    computed = pow_session._journal.end
    api.generated.clear()
    await pow_session.generate(sprint(api.url, first_index=50))
    assert pow_session._generation
    assert pow_session._generation._begin >= computed
    await until(lambda: api.leaves >= computed - 50)
    first, leaves = taken(api)
    assert first == 50
    assert are_of(leaves, 50)


async def test_another_host_or_node_number_has_a_journal_of_its_own(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.generate(sprint(api.url))
    await until(lambda: api.leaves >= 50)
    await pow_session.generate(sprint(api.url, node_id=4))
    assert pow_session._journal
    assert pow_session._generation
    assert pow_session._generation._begin == 0


async def test_the_same_request_sent_later_changes_nothing(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.generate(sprint(api.url, blocks=25))
    generation = pow_session._generation
    await pow_session.generate(sprint(api.url, blocks=25, blocks_late=9))
    assert pow_session._generation is generation


@pytest.mark.parametrize("phase", ["loading", "computing", "a call-back that hangs", "checking"])
async def test_a_stop_takes_less_than_two_seconds_in_every_state(session: aiohttp.ClientSession, phase: str) -> None:
    pow_session = PowSession(session)
    called = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        called.set()
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_post("/generated", hang)
    app.router.add_post("/validated", hang)
    async with TestServer(app) as server:
        init = sprint(
            str(server.make_url("")).rstrip("/"), max_rate=0, preset="small" if phase == "loading" else "devnet"
        )
        if phase == "checking":
            await pow_session.validate(init)
            pow_session.submit(request("b", list(range(4_000)), [bytes(32)] * 4_000))
        else:
            await pow_session.generate(init)
        await until(lambda: pow_session._crew and pow_session._crew.workers[0].pid)
        if phase == "a call-back that hangs":
            await called.wait()
        elif phase != "loading":
            await until(lambda: pow_session.status().is_model_initialized)
        pid = pid_of(pow_session)
        async with asyncio.timeout(2):
            await pow_session.stop()
    assert pow_session.status().status == PowState.NOT_LOADED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_m7_a_crash_while_checking_leaves_no_batch_pending(pow_session: PowSession, api: FakeApiNode) -> None:
    await pow_session.validate(sprint(api.url))
    nonces = list(range(1_000))
    pow_session.submit(request("b", nonces, [bytes(32)] * len(nonces)))
    await until(lambda: pow_session.status().rate)
    os.kill(pid_of(pow_session), signal.SIGKILL)
    await until(lambda: api.validated)
    assert len(api.validated[0].distances) == len(nonces)
    assert pow_session.status().restarts == 1
    assert pow_session.status().waiting == 0


async def test_leaves_of_several_hosts_go_through_the_model_together(
    pow_session: PowSession, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[frames.Job] = []

    def watched(job: frames.Job) -> bytes:
        jobs.append(job)
        return frames.encode(job)

    monkeypatch.setattr(
        "pivot.mlnode.poc.worker.encode", lambda m: watched(m) if isinstance(m, frames.Job) else frames.encode(m)
    )
    await pow_session.validate(sprint(api.url))
    hosts = [f"gonka1host{i}" for i in range(10)]
    for host in hosts:
        pow_session.submit(request(host, [1, 2, 3], expected(host, [1, 2, 3]), host))
    await until(lambda: len(api.validated) == 10)
    assert all(max(batch.distances) <= PRESET.tolerance for batch in api.validated)
    assert [len(job.parts) for job in jobs] == [10]


async def test_leaves_are_not_checked_before_validating(pow_session: PowSession, api: FakeApiNode) -> None:
    with pytest.raises(NotValidating):
        pow_session.submit(request("b", [1], [bytes(32)]))
    await pow_session.generate(sprint(api.url))
    with pytest.raises(NotValidating):
        pow_session.submit(request("b", [1], [bytes(32)]))
