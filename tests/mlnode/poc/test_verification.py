from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.mlnode.poc import verification as verification_module
from pivot.mlnode.poc.callback import Callbacks
from pivot.mlnode.poc.verification import TooMuchWaiting, Verification
from pivot.mlnode.poc.work import WorkerFailed
from pivot.protocol.mlnode_api import ValidateRequest, encode_fingerprints
from tests.mlnode.fakes import FakeApiNode, until


class GatedCrew:
    """Computes zeros, once it may."""

    def __init__(self) -> None:
        self.may_work = asyncio.Event()
        self.jobs = 0
        self.failure: str | None = None

    def compute(self, host_address: str, nonces: list[int]) -> asyncio.Future[bytes]:
        self.jobs += 1
        return asyncio.ensure_future(self._compute(len(nonces)))

    async def _compute(self, count: int) -> bytes:
        await self.may_work.wait()
        if self.failure:
            raise WorkerFailed(self.failure)
        return bytes(32 * count)


@pytest.fixture
async def crew() -> GatedCrew:
    return GatedCrew()


@pytest.fixture
async def verification(
    crew: GatedCrew, api: FakeApiNode, session: aiohttp.ClientSession
) -> AsyncIterator[Verification]:
    verification = Verification(crew, Callbacks(session, api.url, "", first_pause_s=0.005))  # type: ignore[arg-type]
    yield verification
    await verification.stop()


def request(batch_id: str, count: int = 1) -> ValidateRequest:
    return ValidateRequest(
        batch_id=batch_id,
        host_address="gonka1other",
        nonces=list(range(count)),
        fingerprints=encode_fingerprints((1).to_bytes(32, "little") * count),
    )


async def test_requests_are_answered_in_order(verification: Verification, crew: GatedCrew, api: FakeApiNode) -> None:
    for i in range(5):
        verification.submit(request(f"b{i}", 40))
    crew.may_work.set()
    await until(lambda: len(api.validated) == 5)
    assert {batch.batch_id: batch.distances for batch in api.validated} == {f"b{i}": [1] * 40 for i in range(5)}
    assert crew.jobs == 5


async def test_more_than_the_node_takes_on_is_refused(
    verification: Verification, crew: GatedCrew, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification_module, "MAX_WAITING_LEAVES", 10)
    verification.submit(request("a", 6))
    with pytest.raises(TooMuchWaiting, match="more than 10 leaves wait"):
        verification.submit(request("b", 5))
    verification.submit(request("c", 4))
    verification.submit(request("a", 6))  # known already
    crew.may_work.set()
    await until(lambda: len(api.validated) == 2)
    verification.submit(request("b", 5))
    await until(lambda: len(api.validated) == 3)


async def test_only_so_many_results_are_kept(
    verification: Verification, crew: GatedCrew, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification_module, "MAX_RESULTS", 2)
    crew.may_work.set()
    for i in range(3):
        verification.submit(request(f"b{i}"))
    await until(lambda: len(api.validated) == 3)
    assert set(verification._results) == {"b1", "b2"}
    verification.submit(request("b0"))
    await until(lambda: crew.jobs == 4)


async def test_when_the_sprint_is_over_results_are_dropped(
    verification: Verification, crew: GatedCrew, api: FakeApiNode
) -> None:
    api.status = 410
    crew.may_work.set()
    verification.submit(request("a"))
    await until(lambda: verification.error)
    assert verification.error == "the API node takes nothing more for this sprint"
    await until(lambda: not verification._tasks)
    assert api.calls == 1


@pytest.mark.parametrize("status", [401, 422])
async def test_a_result_that_will_never_be_taken_is_told_and_others_go_on(
    verification: Verification, crew: GatedCrew, api: FakeApiNode, status: int
) -> None:
    api.status = status
    crew.may_work.set()
    verification.submit(request("a"))
    await until(lambda: verification.error)
    assert verification.error == f"{api.url}/validated answered {status}"
    api.status = 200
    verification.submit(request("b"))
    await until(lambda: api.validated)
    assert verification.error is None


async def test_results_are_sent_again_until_they_are_taken(
    verification: Verification, crew: GatedCrew, api: FakeApiNode
) -> None:
    api.status = 503
    crew.may_work.set()
    verification.submit(request("a"))
    await until(lambda: api.calls >= 3)
    api.status = 200
    await until(lambda: api.validated)


async def test_m7_a_batch_that_no_worker_could_do_is_not_pending_for_ever(
    verification: Verification, crew: GatedCrew, api: FakeApiNode
) -> None:
    crew.failure = "no device"
    crew.may_work.set()
    verification.submit(request("a", 5))
    await until(lambda: verification.error)
    assert (verification.error, verification.waiting) == ("batch a was not checked: no device", 0)
    crew.failure = None
    verification.submit(request("a", 5))
    await until(lambda: api.validated)
    assert api.validated[0].distances == [1] * 5


async def test_the_same_name_for_other_leaves_is_another_request(
    verification: Verification, crew: GatedCrew, api: FakeApiNode
) -> None:
    verification.submit(request("a", 1))
    verification.submit(request("a", 2))
    crew.may_work.set()
    await until(lambda: len(api.validated) == 2)
    assert sorted(len(batch.distances) for batch in api.validated) == [1, 2]
    assert verification.waiting == 0


async def test_stopping_drops_what_is_not_done(verification: Verification, api: FakeApiNode) -> None:
    verification.submit(request("a"))
    await asyncio.sleep(0)
    await verification.stop()
    assert api.validated == []
