"""The mode machine: one activity at a time, stops that interrupt, falling back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.poc.session import NotValidating, PowSession
from pivot.mlnode.service import END_PROOF, END_SERVING, ModeConflict, Service, StartInterrupted
from pivot.protocol.mlnode_api import InferenceUp, Mode, NodeState, PowState, ValidateRequest
from tests.mlnode.fakes import FakeApiNode, FakeEngine, FakeTraining, sprint, until

UP = InferenceUp(model="pivot/tiny-chat")
LEAF = ValidateRequest(batch_id="a", host_address="gonka1other", nonces=[1], fingerprints="A" * 42 + "A=")


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def service(session: aiohttp.ClientSession, engine: FakeEngine) -> AsyncIterator[Service]:
    service = Service(PowSession(session), engine, FakeTraining())
    yield service
    await service.stop()


async def test_a_node_begins_stopped(service: Service) -> None:
    assert service.state == NodeState(state=Mode.STOPPED)
    assert service.pow_status.status == PowState.NOT_LOADED


async def test_from_stopped_to_any_mode_and_back(service: Service, api: FakeApiNode) -> None:
    await service.serve(UP)
    assert service.state.state == Mode.INFERENCE
    await service.stop()
    assert service.state.state == Mode.STOPPED
    await service.generate(sprint(api.url))
    assert service.state.state == Mode.POW
    await service.validate(sprint(api.url))
    assert service.state.state == Mode.POW
    await service.stop(END_PROOF)
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_another_mode_is_refused_in_the_published_words(service: Service, engine: FakeEngine) -> None:
    await service.serve(UP)
    words = "Cannot run POW because MLNode is currently in INFERENCE mode. Please stop INFERENCE first."
    for refused in (service.generate(sprint()), service.validate(sprint()), service.stop(END_PROOF)):
        with pytest.raises(ModeConflict, match=words):
            await refused
    with pytest.raises(ModeConflict):
        service.submit(LEAF)
    assert engine.alive


async def test_leaves_are_refused_unless_validating(service: Service) -> None:
    with pytest.raises(NotValidating):
        service.submit(LEAF)


async def test_stopping_what_does_not_run_changes_nothing(service: Service) -> None:
    await service.stop()
    await service.stop(END_SERVING)
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_a_mode_counts_from_the_moment_its_start_begins(service: Service, engine: FakeEngine) -> None:
    engine.may_start.clear()
    starting = asyncio.create_task(service.serve(UP))
    await until(lambda: engine.starts)
    assert service.state.state == Mode.INFERENCE
    engine.may_start.set()
    await starting


async def test_changes_happen_one_after_the_other(service: Service, engine: FakeEngine) -> None:
    engine.may_start.clear()
    first = asyncio.create_task(service.serve(UP))
    await until(lambda: engine.starts)
    second = asyncio.create_task(service.serve(InferenceUp(model="another")))
    await asyncio.sleep(0.02)
    assert len(engine.starts) == 1
    engine.may_start.set()
    await asyncio.gather(first, second)
    assert [request.model for request in engine.starts] == ["pivot/tiny-chat", "another"]


async def test_m9_a_stop_interrupts_a_start_and_everything_that_waits_behind_it(
    service: Service, engine: FakeEngine
) -> None:
    engine.may_start.clear()
    first = asyncio.create_task(service.serve(UP))
    await until(lambda: engine.starts)
    second = asyncio.create_task(service.serve(UP))
    await asyncio.sleep(0)
    await asyncio.gather(service.stop(), service.stop())
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StartInterrupted, StartInterrupted]
    assert len(engine.starts) == 1
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_a_caller_that_goes_away_ends_its_start(service: Service, engine: FakeEngine) -> None:
    engine.may_start.clear()
    starting = asyncio.create_task(service.serve(UP))
    await until(lambda: engine.starts)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert service.state.state == Mode.STOPPED


async def test_m10_a_failed_start_leaves_a_stopped_node_with_the_reason(service: Service, engine: FakeEngine) -> None:
    with pytest.raises(EngineFailed, match="no such model"):
        await service.serve(InferenceUp(model="bad"))
    assert service.state == NodeState(state=Mode.STOPPED, error="no such model: 'bad'")
    await service.serve(UP)
    assert service.state == NodeState(state=Mode.INFERENCE)


async def test_an_activity_that_breaks_leaves_a_stopped_node_with_the_reason(
    service: Service, engine: FakeEngine
) -> None:
    await service.serve(UP)
    engine.break_with.set_result("out of memory")
    await until(lambda: service.state.state == Mode.STOPPED)
    assert service.state.error == "out of memory"
    assert engine.stops == 1
    await service.stop()
    assert service.state == NodeState(state=Mode.STOPPED)
