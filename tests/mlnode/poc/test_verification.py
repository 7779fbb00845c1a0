from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.mlnode.poc import verification as verification_module
from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.verification import TooMuchWaiting, Verification
from pivot.protocol.mlnode_api import ValidateRequest, encode_fingerprints
from pivot.protocol.sprint import SPRINT_PRESETS
from tests.mlnode.fakes import FakeApiNode, until


class GatedWorker:
    """Computes zeros, once it may."""

    preset = SPRINT_PRESETS["devnet"]

    def __init__(self) -> None:
        self.may_work = asyncio.Event()
        self.jobs = 0

    async def compute(self, host_address: str, nonces: list[int]) -> bytes:
        self.jobs += 1
        await self.may_work.wait()
        return bytes(32 * len(nonces))


@pytest.fixture
async def worker() -> GatedWorker:
    return GatedWorker()


@pytest.fixture
async def verification(
    worker: GatedWorker, api: FakeApiNode, session: aiohttp.ClientSession
) -> AsyncIterator[Verification]:
    verification = Verification(worker, Callbacks(session, api.url, "", first_pause_s=0.005))  # type: ignore[arg-type]
    yield verification
    await verification.stop()


def request(batch_id: str, count: int = 1) -> ValidateRequest:
    return ValidateRequest(
        batch_id=batch_id,
        host_address="gonka1other",
        nonces=list(range(count)),
        fingerprints=encode_fingerprints((1).to_bytes(32, "little") * count),
    )


async def test_requests_are_answered_in_order(
    verification: Verification, worker: GatedWorker, api: FakeApiNode
) -> None:
    for i in range(5):
        verification.submit(request(f"b{i}", 40))
    worker.may_work.set()
    await until(lambda: len(api.validated) == 5)
    assert {batch.batch_id: batch.distances for batch in api.validated} == {f"b{i}": [1] * 40 for i in range(5)}
    assert worker.jobs == 5 * 2


async def test_more_than_the_node_takes_on_is_refused(
    verification: Verification, worker: GatedWorker, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification_module, "MAX_WAITING_LEAVES", 10)
    verification.submit(request("a", 6))
    with pytest.raises(TooMuchWaiting, match="more than 10 leaves wait"):
        verification.submit(request("b", 5))
    verification.submit(request("c", 4))
    verification.submit(request("a", 6))  # known already
    worker.may_work.set()
    await until(lambda: len(api.validated) == 2)
    verification.submit(request("b", 5))
    await until(lambda: len(api.validated) == 3)


async def test_only_so_many_results_are_kept(
    verification: Verification, worker: GatedWorker, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification_module, "MAX_RESULTS", 2)
    worker.may_work.set()
    for i in range(3):
        verification.submit(request(f"b{i}"))
    await until(lambda: len(api.validated) == 3)
    assert set(verification._results) == set(verification._requests) == {"b1", "b2"}
    verification.submit(request("b0"))
    await until(lambda: worker.jobs == 4)


async def test_when_the_sprint_is_over_results_are_dropped(
    verification: Verification, worker: GatedWorker, api: FakeApiNode
) -> None:
    api.status = 410
    worker.may_work.set()
    verification.submit(request("a"))
    await until(lambda: verification.error)
    assert verification.error == "the API node takes nothing more for this sprint"
    await until(lambda: not verification._posting)
    assert api.calls == 1


async def test_stopping_drops_what_is_not_done(verification: Verification, api: FakeApiNode) -> None:
    verification.submit(request("a"))
    await asyncio.sleep(0)
    await verification.stop()
    assert api.validated == []
