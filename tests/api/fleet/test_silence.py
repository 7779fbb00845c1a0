"""Nodes that fall silent: in a look, in a command, or only because this process slept."""

import time

import aiohttp
import pytest

from pivot.api.fleet import reconciler as module
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.interface import Serve, Stop
from pivot.protocol.mlnode_api import Mode, NodeState
from tests.api.fleet.chain import until
from tests.api.fleet.ml_node import FakeMlNode
from tests.api.fleet.test_reconciler import Desk, care

OUT_OF_ROTATION_S = 5.0
"""What the project promises of a dead node."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.05)
    monkeypatch.setattr(module, "TRANSITION_POLL_S", 0.02)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)


def test_pause_and_look_together_are_shorter_than_what_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert module.POLL_S + module.LOOK_S <= 0.9 * OUT_OF_ROTATION_S


async def test_a_look_has_one_bound_however_many_questions_it_asks(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.3)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.slowness_s = 0.2  # of each answer
        await until(lambda: not reconciler.reachable)
        assert "not answered all questions of a look" in reconciler.failure_reason
        node.slowness_s = 0.0
        await until(lambda: reconciler.serves("m"))


async def test_a_look_that_this_process_slept_through_says_nothing_about_the_node(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.2)
    state, sleeps = MlNodeClient.state, 0

    async def slept(client: MlNodeClient) -> NodeState:
        nonlocal sleeps
        if sleeps:
            sleeps -= 1
            time.sleep(module.LOOK_S + module.SLEPT_S + 0.1)  # noqa: ASYNC251  this is the fault
        return await state(client)

    monkeypatch.setattr(MlNodeClient, "state", slept)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        looked = reconciler.seen_at_ns
        sleeps = 1
        await until(lambda: reconciler.seen_at_ns > looked and not sleeps)
        assert (reconciler.reachable, reconciler.failure_reason) == (True, "")
        sleeps = 2  # whoever sleeps always cannot tell who else does
        await until(lambda: not reconciler.reachable)
        await until(lambda: reconciler.serves("m"))


async def test_a_node_that_hangs_in_a_command_is_given_up_and_comes_back(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.5)
    monkeypatch.setattr("pivot.api.fleet.client.LOOK_TIMEOUT_S", 0.1)
    async with (
        FakeMlNode.running(hangs={"/api/v1/inference/up"}) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: "/api/v1/inference/up" in node.calls)
        node.hangs.add("/api/v1/state")
        await until(lambda: not reconciler.reachable)
        assert "its command is lost" in reconciler.failure_reason
        node.hangs.clear()
        await until(lambda: reconciler.serves("m"))


async def test_a_machine_that_begins_anew_in_a_command_is_told_again(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.5)
    async with (
        FakeMlNode.running(hangs={"/api/v1/inference/up"}) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: "/api/v1/inference/up" in node.calls)
        node.mode = Mode.INFERENCE  # it loads
        looks = node.calls.count("/api/v1/state")
        await until(lambda: node.calls.count("/api/v1/state") > looks + 1)
        node.mode = Mode.STOPPED  # its machine was switched off and on: nobody ends the old connection
        node.hangs.clear()
        await until(lambda: reconciler.serves("m"))


async def test_a_node_that_takes_its_time_in_a_command_is_not_given_up(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    async with (
        FakeMlNode.running(hangs={"/api/v1/inference/up"}) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: "/api/v1/inference/up" in node.calls)
        node.refuses["/api/v1/inference/status"] = 500
        looks = node.calls.count("/api/v1/state")
        await until(lambda: node.calls.count("/api/v1/state") > looks + 8)
        node.refuses["/api/v1/state"] = 409  # it is there
        looks = node.calls.count("/api/v1/state")
        await until(lambda: node.calls.count("/api/v1/state") > looks + 8)
        assert node.calls.count("/api/v1/inference/up") == 1
        assert reconciler.reachable


async def test_nodes_do_not_keep_the_same_step(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Stop())) as reconciler:
        await until(lambda: reconciler.view().fulfils)
        pauses = [reconciler._pause() for _ in range(50)]
        assert all((1 - module.JITTER) * module.POLL_S <= pause <= module.POLL_S for pause in pauses)
        assert len(set(pauses)) > 40
        reconciler._failures = 4
        first, second = reconciler._back_off(), reconciler._back_off()
        assert (1 - module.JITTER) * 0.8 <= first <= 0.8 < 1.6 * (1 - module.JITTER) <= second <= 1.6
        reconciler._failures = 1_000
        assert reconciler._back_off() <= module.LONGEST_PAUSE_S


async def test_a_node_that_takes_long_to_get_there_is_looked_at_ever_more_rarely(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="m", healthy=False) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: "/api/v1/inference/status" in node.calls)
        pauses = [reconciler._pause() for _ in range(30)]
        assert pauses[0] < 2 * module.TRANSITION_POLL_S
        assert min(pauses[-5:]) >= (1 - module.JITTER) * module.POLL_S


@pytest.mark.parametrize(("mode", "path"), [(Mode.POW, "/api/v1/pow/status"), (Mode.TRAIN, "/api/v1/train/status")])
async def test_a_node_that_cannot_tell_how_its_old_work_stands_is_told_the_new(
    http: aiohttp.ClientSession, mode: Mode, path: str
) -> None:
    async with (
        FakeMlNode.running(mode=mode, refuses={path: 500}) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: reconciler.serves("m"))
        assert node.calls.count("/api/v1/stop") == 1
