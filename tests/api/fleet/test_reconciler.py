import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from pivot.api.fleet import client as client_module
from pivot.api.fleet import reconciler as module
from pivot.api.fleet.client import MlNodeClient
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.interface import Duty, FleetNode, Generate, Serve, Stop, Train, Validate
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.api.fleet.registry import RegisteredNode
from pivot.protocol.mlnode_api import Mode, PowInit, PowState, TrainStart
from tests.api.fleet.chain import until
from tests.api.fleet.ml_node import FakeMlNode


def init(epoch: int = 1, first_index: int = 0) -> PowInit:
    return PowInit(
        node_id=1,
        preset="devnet",
        sprint_seed="ab" * 32,
        epoch=epoch,
        host_address="gonka1host",
        block_height=10,
        url="http://127.0.0.1:1/v1/poc",
        first_index=first_index,
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.05)
    monkeypatch.setattr(module, "TRANSITION_POLL_S", 0.02)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)


class Desk:
    """Says what the node should do."""

    def __init__(self, duty: Duty | Callable[[], Duty] | None) -> None:
        self.duty = duty
        self.changes = 0

    def of(self, _: FleetNode) -> Duty | None:
        return self.duty() if callable(self.duty) else self.duty

    def changed(self) -> None:
        self.changes += 1


@asynccontextmanager
async def care(
    http: aiohttp.ClientSession, node: FakeMlNode, desk: Desk, *, must_be_told: bool = False
) -> AsyncIterator[NodeReconciler]:
    declaration = NodeDeclaration.parse(node.declared())
    client = MlNodeClient(http, node.url, node.url)
    registered = RegisteredNode(declaration, 1, enabled=True, changed_in_epoch=0)
    reconciler = NodeReconciler(registered, client, duty_of=desk.of, changed=desk.changed, must_be_told=must_be_told)
    reconciler.start()
    try:
        yield reconciler
    finally:
        await reconciler.close()


async def test_a_node_goes_through_all_duties_of_an_epoch(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node:
        desk = Desk(Serve("m", ("--x",)))
        async with care(http, node, desk) as reconciler:
            await until(lambda: reconciler.serves("m"))
            assert (node.model, node.arguments) == ("m", ["--x"])
            desk.duty = Generate(init())
            reconciler.wake()
            await until(lambda: reconciler.view().fulfils and node.pow == PowState.GENERATING)
            assert node.calls.count("/api/v1/stop") == 1
            desk.duty = Validate(init())
            reconciler.wake()
            await until(reconciler.validates)
            assert node.calls.count("/api/v1/stop") == 1  # the worker of the sprint is kept
            desk.duty = Serve("m")
            reconciler.wake()
            await until(lambda: reconciler.serves("m"))
            desk.duty = Stop()
            reconciler.wake()
            await until(lambda: node.mode == Mode.STOPPED and reconciler.view().fulfils)


def training(task_id: str = "7") -> Train:
    return Train(TrainStart(train_config={}, train_env={"TASK_ID": task_id}))


async def test_a_node_trains_until_its_job_ends_and_is_not_told_twice(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(mode=Mode.INFERENCE, model="m") as node:
        desk = Desk(training())
        async with care(http, node, desk) as reconciler:
            await until(lambda: reconciler.view().fulfils)
            assert not reconciler.serves("m")
            running = reconciler.view().training
            assert running is not None
            assert (node.mode, running.status, running.task_id) == (Mode.TRAIN, True, "7")
            node.end_training(0)
            await until(lambda: (seen := reconciler.view().training) is not None and seen.exit_code == 0)
            assert reconciler.view().fulfils
            desk.duty = training("8")
            reconciler.wake()
            await until(lambda: node.mode == Mode.TRAIN and node.training == training("8").start)
            desk.duty = Serve("m")
            reconciler.wake()
            await until(lambda: reconciler.serves("m"))
            assert node.calls.count("/api/v1/train/start") == 2


async def test_a_node_that_trains_already_is_left_alone(http: aiohttp.ClientSession) -> None:
    running = {"mode": Mode.TRAIN, "training": training().start}
    async with FakeMlNode.running(**running) as node, care(http, node, Desk(training())) as reconciler:
        await until(lambda: reconciler.view().fulfils)
        assert "/api/v1/train/start" not in node.calls


async def test_a_node_that_serves_already_is_left_alone(http: aiohttp.ClientSession) -> None:
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="m") as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: reconciler.serves("m"))
        assert "/api/v1/inference/up" not in node.calls


async def test_a11_a_node_that_serves_another_model_is_told(http: aiohttp.ClientSession) -> None:
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="other") as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: reconciler.serves("m"))
        assert node.model == "m"


async def test_a_replaced_node_is_told_its_new_arguments(http: aiohttp.ClientSession) -> None:
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="m") as node,
        care(http, node, Desk(Serve("m", ("--new",))), must_be_told=True) as reconciler,
    ):
        await until(lambda: reconciler.serves("m"))
        assert node.arguments == ["--new"]


async def test_a_item16_failures_are_repeated_after_growing_pauses(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(up_fails="no memory") as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.failure_reason)
        assert "no memory" in reconciler.failure_reason
        await asyncio.sleep(0.3)
        attempts = node.calls.count("/api/v1/inference/up")
        assert 2 <= attempts <= 4  # after 0.05, 0.1, 0.2 s
        node.up_fails = ""
        await until(lambda: reconciler.serves("m"))
        assert reconciler.failure_reason == ""


async def test_a6_a_new_duty_ends_the_command_of_the_old_one(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(hangs={"/api/v1/inference/up"}) as node:
        desk = Desk(Serve("m"))
        async with care(http, node, desk) as reconciler:
            await until(lambda: "/api/v1/inference/up" in node.calls)
            desk.duty = Generate(init())
            reconciler.wake()
            await until(lambda: node.pow == PowState.GENERATING)


async def test_a9_an_unreachable_node_is_set_aside_at_once(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LOOK_TIMEOUT_S", 0.1)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.hangs.add("/api/v1/state")
        await until(lambda: not reconciler.reachable)
        assert not reconciler.serves("m")
        assert "cannot be reached" in reconciler.failure_reason
        node.hangs.clear()
        await until(lambda: reconciler.serves("m"))


async def test_a_node_whose_request_failed_is_lent_again_when_it_is_seen_healthy(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.healthy = False
        reconciler.set_aside("connection reset")
        assert not reconciler.serves("m")
        await until(lambda: reconciler.reachable)
        assert not reconciler.serves("m")
        node.healthy = True
        await until(lambda: reconciler.serves("m"))


async def test_a_node_that_restarted_goes_on_where_its_leaves_end(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node:
        leaves = 0
        async with care(http, node, Desk(lambda: Generate(init(first_index=leaves)))) as reconciler:
            await until(lambda: reconciler.view().fulfils)
            leaves, node.next_index = 500, 500
            await asyncio.sleep(0.1)
            assert node.calls.count("/api/v1/pow/init/generate") == 1
            node.mode, node.pow, node.init = Mode.STOPPED, PowState.NOT_LOADED, None
            await until(lambda: node.init is not None)
            assert node.init is not None
            assert node.init.first_index == 500


async def test_leaves_that_were_lost_here_are_asked_for_again(http: aiohttp.ClientSession) -> None:
    lost = FakeMlNode.running(mode=Mode.POW, pow=PowState.GENERATING, init=init(), next_index=700)
    async with lost as node, care(http, node, Desk(Generate(init(first_index=300)))) as reconciler:
        await until(lambda: reconciler.view().fulfils)
        assert node.next_index == 300


async def test_a_loading_node_is_not_thrown_back(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Generate(init()))) as reconciler:
        await until(lambda: reconciler.view().fulfils)
        node.pow = PowState.LOADING
        await until(lambda: not reconciler.view().fulfils)
        await asyncio.sleep(0.2)
        assert node.calls.count("/api/v1/pow/init/generate") == 1


async def test_the_sprint_of_another_epoch_is_ended_first(http: aiohttp.ClientSession) -> None:
    running = FakeMlNode.running(mode=Mode.POW, pow=PowState.GENERATING, init=init(1))
    async with running as node, care(http, node, Desk(Generate(init(2)))) as reconciler:
        await until(lambda: reconciler.view().fulfils)
        assert "/api/v1/stop" in node.calls


async def test_what_a_node_says_of_its_failure_is_shown(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running(error="out of memory") as node, care(http, node, Desk(Serve("m"))) as reconciler:
        node.refuses["/api/v1/inference/up"] = 500
        await until(lambda: reconciler.failure_reason)


async def test_a_fault_in_finding_the_duty_does_not_end_the_care(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeMlNode.running() as node:
        desk = Desk(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
        async with care(http, node, desk) as reconciler:
            await until(lambda: "ZeroDivisionError" in caplog.text)
            desk.duty = Serve("m")
            await until(lambda: reconciler.serves("m"))


async def test_what_a_node_has_to_say_is_kept_and_logged_once(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    lost, late = "GPU 1 is lost.", "The sprint of epoch 1 is late."
    async with FakeMlNode.running(warnings=[lost]) as node, care(http, node, Desk(Stop())) as reconciler:
        await until(lambda: reconciler.warnings == (lost,))
        node.warnings = [lost, late]
        await until(lambda: reconciler.warnings == (lost, late))
        looks = node.calls.count("/api/v1/state")
        await until(lambda: node.calls.count("/api/v1/state") > looks + 1)
        node.warnings = []
        await until(lambda: not reconciler.warnings)
    said = [record.getMessage() for record in caplog.records if "lost" in record.getMessage()]
    assert said == [f"ML node node1: {lost}"]


async def test_a_node_whose_engine_lost_its_device_is_lent_to_nobody(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.healthy, node.warnings = False, ["GPU 0 is lost."]
        await until(lambda: not reconciler.serves("m"))
        assert reconciler.warnings == ("GPU 0 is lost.",)
        node.healthy, node.warnings = True, []
        await until(lambda: reconciler.serves("m"))


async def test_a_sprint_is_told_with_the_blocks_that_have_passed_when_the_command_is_given(
    http: aiohttp.ClientSession,
) -> None:
    passed = 0

    def duty() -> Generate:
        return Generate(init().model_copy(update={"blocks": 25, "blocks_late": passed}))

    async with FakeMlNode.running(mode=Mode.INFERENCE, model="m") as node:
        desk = Desk(Serve("m"))
        async with care(http, node, desk) as reconciler:
            await until(lambda: reconciler.serves("m"))
            reconciler.load.leases = 1  # an answer is under way
            desk.duty = duty
            reconciler.wake()
            await asyncio.sleep(0.1)
            passed = 7
            reconciler.load.leases = 0
            await until(lambda: node.init)
            assert node.init is not None
            assert (node.init.blocks, node.init.blocks_late) == (25, 7)
            passed = 9
            await until(lambda: reconciler.view().fulfils)
    assert node.calls.count("/api/v1/pow/init/generate") == 1  # blocks that pass are no new duty


async def test_how_far_a_start_of_serving_has_come_is_seen_while_the_command_waits(http: aiohttp.ClientSession) -> None:
    loading = {"state": "starting", "stage": "loading weights", "progress": 0.43}
    async with FakeMlNode.running(hangs={"/api/v1/inference/up"}, starting=loading) as node:
        desk = Desk(Serve("m"))
        async with care(http, node, desk) as reconciler:
            await until(lambda: reconciler.starting)
            assert reconciler.starting is not None
            assert (reconciler.starting.stage, reconciler.starting.progress) == ("loading weights", 0.43)
            desk.duty = Stop()
            reconciler.wake()
            await until(lambda: reconciler.starting is None and reconciler.view().fulfils)


async def test_a_node_that_does_not_tell_how_its_start_goes_on_is_not_at_fault(http: aiohttp.ClientSession) -> None:
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="m", healthy=False) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: node.calls.count("/api/v1/inference/status") > 1)
        assert (reconciler.starting, reconciler.reachable, reconciler.failure_reason) == (None, True, "")
        node.healthy = True
        await until(lambda: reconciler.serves("m"))


async def test_a_node_that_loads_its_model_already_is_not_thrown_back_by_a_restart_of_its_api_node(
    http: aiohttp.ClientSession,
) -> None:
    async with (
        FakeMlNode.running(mode=Mode.INFERENCE, model="m", healthy=False) as node,
        care(http, node, Desk(Serve("m"))) as reconciler,
    ):
        await until(lambda: node.calls.count("/health") > 3)
        node.healthy = True
        await until(lambda: reconciler.serves("m"))
        assert not {"/api/v1/stop", "/api/v1/inference/up"} & set(node.calls)


async def test_a_health_check_that_fails_now_and_then_ends_no_streams(http: aiohttp.ClientSession) -> None:
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        for _ in range(3):
            node.healthy = True
            await until(lambda: reconciler.serves("m"))
            assert reconciler._under_way_since is None  # what failed hours ago is forgotten
            node.healthy = False
            await until(lambda: not reconciler.serves("m") and reconciler._under_way_since)
        assert node.calls.count("/api/v1/inference/up") == 1


async def test_an_engine_that_does_not_recover_is_started_again(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECOVERY_S", 0.2)
    async with FakeMlNode.running() as node, care(http, node, Desk(Serve("m"))) as reconciler:
        await until(lambda: reconciler.serves("m"))
        node.healthy = False
        await until(lambda: node.calls.count("/api/v1/inference/up") == 2)
        looks = node.calls.count("/health")
        await until(lambda: node.calls.count("/health") > looks + 5)
        assert node.calls.count("/api/v1/inference/up") == 2  # now it loads, which takes its time
        node.healthy = True
        await until(lambda: reconciler.serves("m"))
