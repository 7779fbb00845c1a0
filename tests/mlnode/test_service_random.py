"""Whatever is asked of the mode machine, and in whatever order: one activity at a time, and an answer to everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pivot.mlnode.changes import END, END_NODE, END_PROOF, END_SERVING, END_TRAINING
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.service import ModeConflict, Service, StartInterrupted
from pivot.mlnode.training.job import AlreadyTraining, NotTraining
from pivot.protocol.mlnode_api import (
    InferenceState,
    InferenceStatus,
    InferenceUp,
    Mode,
    NodeState,
    PowState,
    PowStatus,
    TrainStart,
    TrainStatus,
)
from tests.mlnode.fakes import sprint

REFUSALS = (ModeConflict, StartInterrupted, AlreadyTraining, NotTraining, EngineFailed)


class Machine:
    """The accelerators: whoever uses them is written down."""

    def __init__(self) -> None:
        self.users: set[Activity] = set()


class Activity:
    """Takes some turns to start and to stop, and breaks when told to."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._broken = asyncio.Event()
        self.turns = 1
        self.fails = False

    async def start(self, _: object) -> None:
        self._machine.users.add(self)
        assert self._machine.users == {self}
        self._broken.clear()
        for _turn in range(self.turns):
            await asyncio.sleep(0)
        if self.fails:
            raise EngineFailed("no memory")

    generate = validate = start

    async def stop(self) -> None:
        for _turn in range(self.turns):
            await asyncio.sleep(0)
        self._machine.users.discard(self)

    async def broken(self) -> str:
        await self._broken.wait()
        return "it broke"

    def break_down(self) -> None:
        self._broken.set()


class Engine(Activity):
    """Can be parked: then it uses no accelerators, and is in the way of a training alone."""

    parked = False

    @property
    def status(self) -> InferenceStatus:
        return InferenceStatus(state=InferenceState.PARKED if self.parked else InferenceState.READY)

    async def start(self, request: object) -> None:
        self.parked = False
        await super().start(request)

    async def park(self) -> None:
        await super().stop()
        self.parked = True

    async def stop(self) -> None:
        await super().stop()
        self.parked = False


class Sprint(Activity):
    def status(self) -> PowStatus:
        return PowStatus(status=PowState.IDLE)


class Training(Activity):
    def __init__(self, machine: Machine, engine: Engine) -> None:
        super().__init__(machine)
        self._engine = engine

    async def start(self, request: object) -> None:
        assert not self._engine.parked
        await super().start(request)

    def status(self) -> TrainStatus:
        return TrainStatus(status=True)


Step = tuple[str, int]
SLOWEST = 5
"""More turns than any start or stop takes."""
SETTLED = 100
"""Turns after which whatever broke has been ended."""
ACTIONS = ("serve", "generate", "validate", "train", "stop", "stop serving", "stop proof", "stop training", "break",
           "fail", "heal", "leave")  # fmt: skip


async def play(steps: list[Step]) -> None:
    machine = Machine()
    engine, session = Engine(machine), Sprint(machine)
    training = Training(machine, engine)
    parts: list[Activity] = [engine, session, training]
    service = Service(session, engine, training)  # type: ignore[arg-type]
    asked: list[asyncio.Task[None]] = []

    def ask(action: str) -> Coroutine[Any, Any, None]:
        match action:
            case "serve":
                return service.serve(InferenceUp(model="m"))
            case "generate":
                return service.generate(sprint())
            case "validate":
                return service.validate(sprint())
            case "train":
                return service.train(TrainStart(train_config={}))
        ways = {"stop": END, "stop serving": END_SERVING, "stop proof": END_PROOF, "stop training": END_TRAINING}
        return service.stop(ways[action])

    for action, turns in steps:
        for part in parts:
            part.turns = turns % SLOWEST
        match action:
            case "break":
                for part in parts:
                    part.break_down()
            case "fail" | "heal":
                engine.fails = action == "fail"
            case "leave":
                if asked:
                    asked[-1].cancel()
            case _:
                asked.append(asyncio.create_task(ask(action)))
        for _turn in range(turns):
            await asyncio.sleep(0)
        assert len(machine.users) <= 1
        assert service.state.state != Mode.STOPPED or not machine.users
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        unexpected = [each for each in outcomes if isinstance(each, BaseException) and not isinstance(each, REFUSALS)]
        assert all(isinstance(each, asyncio.CancelledError) for each in unexpected), unexpected
        for _turn in range(SETTLED):
            await asyncio.sleep(0)
        assert bool(machine.users) == (service.state.state != Mode.STOPPED)
        await service.stop(END_NODE)
    assert service.state == NodeState(state=Mode.STOPPED)
    assert not machine.users
    assert not engine.parked


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3 * SLOWEST)), min_size=1, max_size=30))
@example([("serve", 12), ("stop", 4), ("leave", 8)])
@settings(max_examples=300, deadline=None)
def test_one_activity_at_a_time_and_an_answer_to_everybody(steps: list[Step]) -> None:
    asyncio.run(play(steps))
