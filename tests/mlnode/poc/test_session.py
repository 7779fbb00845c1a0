"""A sprint from beginning to end, with real worker processes and an API node that takes call-backs."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.session import NotValidating, PowSession
from pivot.mlnode.poc.worker import Worker
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
    worker = pow_session._worker
    await pow_session.validate(sprint(api.url))
    await pow_session.generate(sprint(api.url, first_index=5))
    assert pow_session._worker is worker
    await pow_session.generate(sprint(api.url, sprint_seed="11" * 32))
    assert pow_session._worker is not worker


async def test_what_was_computed_still_arrives_while_validating(pow_session: PowSession, api: FakeApiNode) -> None:
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
    assert pow_session._worker
    assert pow_session._worker.pid
    os.kill(pow_session._worker.pid, signal.SIGKILL)
    seen = api.leaves
    await until(lambda: api.leaves > seen + 300)
    batches = sorted(api.generated.values(), key=lambda batch: batch.first_index)
    assert all(a.first_index + a.count == b.first_index for a, b in itertools.pairwise(batches))
    assert pow_session.status().restarts == 1


async def test_a_worker_that_is_given_up_breaks_the_session(
    session: aiohttp.ClientSession, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.mlnode.poc.worker.WORKER_MODULE", "pivot.no_such_module")

    def impatient(preset: SprintPreset, seed: bytes) -> Worker:
        return Worker(preset, seed, first_pause_s=0.001)

    pow_session = PowSession(session, make_worker=impatient)
    assert await pow_session.broken() == "no worker was started"
    await pow_session.generate(sprint(api.url))
    assert await pow_session.broken() == "the worker process ended with exit code 1"
    await pow_session.stop()
    assert pow_session.status().status == PowState.NOT_LOADED


async def test_leaves_are_not_checked_before_validating(pow_session: PowSession, api: FakeApiNode) -> None:
    with pytest.raises(NotValidating):
        pow_session.submit(request("b", [1], [bytes(32)]))
    await pow_session.generate(sprint(api.url))
    with pytest.raises(NotValidating):
        pow_session.submit(request("b", [1], [bytes(32)]))
