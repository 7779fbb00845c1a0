"""The mode machine: one activity at a time, stops that interrupt, falling back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pivot.mlnode import service as module
from pivot.mlnode.changes import (
    CHANGES,
    CHECK,
    END,
    END_NODE,
    END_PROOF,
    END_SERVING,
    END_TRAINING,
    GENERATE,
    LEARN,
    SERVE,
    Change,
)
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.poc.session import NotValidating, PowSession
from pivot.mlnode.service import (
    ModeConflict,
    OtherSprint,
    Service,
    StartInterrupted,
    StartTooSlow,
    StopFailed,
)
from pivot.mlnode.training.job import AlreadyTraining, NotTraining
from pivot.protocol.mlnode_api import (
    MAX_ERROR_LENGTH,
    MAX_WARNINGS,
    InferenceInstance,
    InferenceState,
    InferenceStatus,
    InferenceUp,
    Mode,
    NodeState,
    PowState,
    TrainStart,
    ValidateRequest,
)
from tests.docs.pages import ROOT, table
from tests.mlnode.fakes import FakeApiNode, FakeEngine, FakeTraining, sprint, until

UP = InferenceUp(model="pivot/tiny-chat")
JOB = TrainStart(train_config={"steps": 3}, train_env={"TASK_ID": "7"})
LEAF = ValidateRequest(batch_id="a", host_address="gonka1other", nonces=[1], fingerprints="A" * 42 + "A=")


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def training() -> FakeTraining:
    return FakeTraining()


@pytest.fixture
async def service(session: aiohttp.ClientSession, engine: FakeEngine, training: FakeTraining) -> AsyncIterator[Service]:
    service = Service(PowSession(session), engine, training)
    yield service
    await service.stop()


async def ask(service: Service, change: Change) -> None:
    """Ask for a change as its route does."""
    if change is SERVE:
        await service.serve(UP)
    elif change is GENERATE:
        await service.generate(sprint())
    elif change is CHECK:
        await service.validate(sprint())
    elif change is LEARN:
        await service.train(JOB)
    else:
        await service.stop(change)


ENTRIES = {Mode.STOPPED: END, Mode.POW: GENERATE, Mode.INFERENCE: SERVE, Mode.TRAIN: LEARN}
"""How a test gets from STOPPED into each mode."""
ASKED = [change for change in CHANGES if "/" in change.asked_by]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("change", ASKED, ids=lambda change: change.asked_by)
async def test_the_table_says_what_is_done_and_what_is_refused(service: Service, mode: Mode, change: Change) -> None:
    await ask(service, ENTRIES[mode])
    assert service.state.state == mode
    if mode in change.begins_in:
        await ask(service, change)
        assert service.state == NodeState(state=change.leads_to)
        return
    with pytest.raises((ModeConflict, AlreadyTraining, NotTraining)) as refusal:
        await ask(service, change)
    assert service.state.state == mode
    words = {
        (LEARN, Mode.TRAIN): "Training is already running",
        (END_TRAINING, Mode.STOPPED): "Training is not running",
    }
    other = f"because MLNode is currently in {mode} mode. Please stop {mode} first."
    assert words.get((change, mode), other) in str(refusal.value)


def test_the_table_is_on_the_page_of_the_node() -> None:
    rows = table((ROOT / "docs" / "mlnode.md").read_text(), "asked by")
    assert rows == [
        [
            change.asked_by,
            "any" if change.begins_in == frozenset(Mode) else ", ".join(m for m in Mode if m in change.begins_in),
            change.leads_to,
            change.running,
            f"{change.limit_s:g} s",
        ]
        for change in CHANGES
    ]


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


async def test_a_caller_that_goes_away_does_not_keep_its_stop_from_being_done(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        begun.set()
        await may_end.wait()
        engine.alive = False

    await service.serve(UP)
    monkeypatch.setattr(engine, "stop", stop)
    stopping = asyncio.create_task(service.stop())
    await begun.wait()
    stopping.cancel()
    next_start = asyncio.create_task(service.train(JOB))
    await asyncio.sleep(0.01)
    assert service.state == NodeState(state=Mode.INFERENCE)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert service.state == NodeState(state=Mode.STOPPED)
    with pytest.raises(ModeConflict):
        await next_start  # refused when it was asked: INFERENCE ran


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


async def parked(service: Service, engine: FakeEngine) -> None:
    """Bring the node to a sprint for which its engine was parked."""
    engine.parks = True
    await service.serve(UP)
    await service.stop()
    await service.generate(sprint())
    assert service.state == NodeState(state=Mode.POW)
    assert service.inference_status.state == InferenceState.PARKED


async def test_m_item11_an_engine_is_parked_for_the_sprint_and_serves_again_after_it(
    service: Service, engine: FakeEngine
) -> None:
    for _ in range(2):
        await parked(service, engine)
        await service.validate(sprint())
        await service.stop()
        await service.stop()
        assert service.inference_status.state == InferenceState.PARKED
        await service.serve(UP)
        assert engine.alive
        assert engine.stops == 0
        await service.stop()


@pytest.mark.parametrize("change", [END_NODE, END_SERVING], ids=lambda change: change.asked_by)
@pytest.mark.parametrize("mode", [Mode.INFERENCE, Mode.STOPPED])
async def test_m_item11_who_ends_serving_or_the_node_parks_nothing_and_ends_what_is_parked(
    service: Service, engine: FakeEngine, mode: Mode, change: Change
) -> None:
    if mode == Mode.STOPPED:
        await parked(service, engine)
        await service.stop()
    else:
        engine.parks = True
        await service.serve(UP)
    await service.stop(change)
    assert service.inference_status.state == InferenceState.STOPPED
    assert engine.stops == 1


async def test_m_item11_the_nodes_end_in_a_sprint_ends_a_parked_engine(service: Service, engine: FakeEngine) -> None:
    await parked(service, engine)
    await service.stop(END_NODE)
    assert service.inference_status.state == InferenceState.STOPPED
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_m_item11_a_training_ends_a_parked_engine(service: Service, engine: FakeEngine) -> None:
    await parked(service, engine)
    await service.stop()
    await service.train(JOB)
    assert service.inference_status.state == InferenceState.STOPPED
    assert service.train_status.status


async def test_m_item11_a_parked_engine_is_ended_in_time_whatever_runs(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARKED_S", 0.01)
    await parked(service, engine)
    await until(lambda: engine.stops)
    assert service.inference_status.state == InferenceState.STOPPED
    assert service.state == NodeState(state=Mode.POW)


async def test_m_item11_an_engine_that_was_woken_is_not_ended(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARKED_S", 0.01)
    engine.parks = True
    await service.serve(UP)
    await service.stop()
    await service.serve(UP)
    await asyncio.sleep(0.03)
    assert engine.alive
    assert engine.stops == 0


@pytest.mark.parametrize("failure", [OSError("no such process"), TimeoutError()], ids=["fails", "hangs"])
async def test_m_item11_a_parked_engine_that_does_not_end_in_time_keeps_nobody(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    ending = asyncio.Event()

    async def fails() -> None:
        ending.set()
        raise failure

    monkeypatch.setattr(module, "PARKED_S", 0.01)
    engine.parks = True
    await service.serve(UP)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "stop", fails)
        await service.stop()
        await ending.wait()
        await service.generate(sprint())
    assert service.state == NodeState(state=Mode.POW)


async def test_m9_a_stop_that_hangs_is_forced_and_its_caller_answered(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", deaf, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()

    async def stop() -> None:
        process.terminate()
        await process.wait()

    monkeypatch.setattr(module, "STOP_S", 0.05)
    await service.serve(UP)
    monkeypatch.setattr(engine, "stop", stop)
    await service.stop()
    assert service.state == NodeState(state=Mode.STOPPED)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL


async def test_m9_what_not_even_force_ends_keeps_its_mode_and_the_next_stop_tries_again(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "STOP_S", 0.02)
    monkeypatch.setattr(module, "FORCED_STOP_S", 0.02)
    await service.serve(UP)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "stop", never)
        sentence = "INFERENCE does not end, not even by force. Start this node again."
        with pytest.raises(StopFailed, match=sentence):
            await service.stop()
        assert service.state == NodeState(state=Mode.INFERENCE, error=sentence)
    await service.stop()
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_a_stop_that_fails_says_so_and_the_next_one_tries_again(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise OSError("no such process")

    await service.serve(UP)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "stop", fails)
        with pytest.raises(StopFailed, match="INFERENCE could not be ended: no such process"):
            await service.stop()
        engine.break_with.set_result("lost")  # nobody watches it any more
    await service.stop(END_SERVING)
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_an_activity_that_breaks_and_cannot_be_ended_keeps_its_mode(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise OSError("no such process")

    await service.serve(UP)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "stop", fails)
        engine.break_with.set_result("lost")
        await until(lambda: service.state.error)
    assert service.state == NodeState(state=Mode.INFERENCE, error="INFERENCE could not be ended: no such process")


async def test_m9_a_start_that_takes_too_long_is_ended_and_its_caller_told(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SERVE", dataclasses.replace(SERVE, limit_s=0.05))
    engine.may_start.clear()
    with pytest.raises(StartTooSlow, match="INFERENCE did not start within"):
        await service.serve(UP)
    assert service.state == NodeState(state=Mode.STOPPED, error="INFERENCE did not start within 0 s.")
    assert engine.stops == 1


async def test_m9_a_start_that_heeds_no_interruption_keeps_nobody(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = asyncio.Event()

    async def stubborn(_: InferenceUp) -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    monkeypatch.setattr(module, "STOP_S", 0.02)
    monkeypatch.setattr(module, "FORCED_STOP_S", 0.02)
    monkeypatch.setattr(engine, "start", stubborn)
    starting = asyncio.create_task(service.serve(UP))
    await until(lambda: service.state.state == Mode.INFERENCE)
    await service.stop()
    with pytest.raises(StartInterrupted):
        await starting
    assert service.state == NodeState(state=Mode.STOPPED)
    may_end.set()


async def test_a_training_that_finishes_leaves_a_stopped_node_without_an_error(
    service: Service, training: FakeTraining
) -> None:
    await service.train(JOB)
    assert service.train_status.status
    training.end_with.set_result("")
    await until(lambda: service.state.state == Mode.STOPPED)
    assert service.state == NodeState(state=Mode.STOPPED)


async def test_a_training_that_fails_leaves_a_stopped_node_with_the_reason(
    service: Service, training: FakeTraining
) -> None:
    await service.train(JOB)
    training.end_with.set_result("the training ended with exit code 3: out of memory")
    await until(lambda: service.state.state == Mode.STOPPED)
    assert service.state.error == "the training ended with exit code 3: out of memory"
    await service.serve(UP)
    assert service.state == NodeState(state=Mode.INFERENCE)


async def test_m14_a_dead_instance_among_others_leaves_the_node_serving_and_is_told(
    service: Service, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = InferenceInstance(port=2, devices=["1"], healthy=False, busy=0, restarts=3, error="CUDA out of memory")
    alive = InferenceInstance(port=1, devices=["0"], healthy=True, busy=4, restarts=0)
    status = InferenceStatus(state=InferenceState.DEGRADED, model=UP.model, instances=[alive, dead])
    await service.serve(UP)
    monkeypatch.setattr(FakeEngine, "status", property(lambda _: status))
    assert service.state.state == Mode.INFERENCE
    assert service.state.warnings == ["One of 2 engine instances does not serve (devices 1): CUDA out of memory."]
    assert service.inference_status == status


async def test_a_sprint_that_began_late_is_told_while_it_runs(service: Service) -> None:
    await service.generate(sprint(blocks=25, blocks_late=12))
    late = "The sprint of epoch 7 is late: 12 of its 25 blocks had passed when this node was told to begin."
    assert service.state == NodeState(state=Mode.POW, warnings=[late])
    await service.validate(sprint(blocks=25, blocks_late=12))
    assert service.state.warnings == []
    await service.generate(sprint(blocks=25, blocks_late=20, first_index=5))
    assert service.state.warnings[0].endswith("was told to go on.")
    await service.generate(sprint(blocks=25, blocks_late=2))
    assert service.state.warnings == []
    await service.stop()
    assert service.state == NodeState(state=Mode.STOPPED)


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        ({"epoch": 6}, "the leaves are of epoch 6, and the node checks those of epoch 7"),
        ({"epoch": 7, "sprint_seed": "ff" * 32}, "the leaves are of another seed of epoch 7"),
    ],
)
async def test_m7_leaves_of_another_sprint_are_refused_at_once(
    service: Service, of: dict[str, object], sentence: str
) -> None:
    await service.validate(sprint())
    with pytest.raises(OtherSprint, match=sentence):
        service.submit(LEAF.model_copy(update=of))
    service.submit(LEAF.model_copy(update={"epoch": 7, "sprint_seed": sprint().sprint_seed.upper()}))


async def test_what_else_the_node_notices_is_in_its_state(session: aiohttp.ClientSession, engine: FakeEngine) -> None:
    notices = ["GPU 1 is lost."]
    service = Service(PowSession(session), engine, FakeTraining(), notices=lambda: notices)
    assert service.state == NodeState(state=Mode.STOPPED, warnings=["GPU 1 is lost."])
    notices = ["x" * 10_000] * 1_000
    assert service.state.warnings == ["x" * MAX_ERROR_LENGTH] * MAX_WARNINGS
