"""A host's part in runs: begun for what was promised, watched, left for the sprint, reported."""

from pathlib import Path
from typing import Any, cast

import pytest

from pivot.api.settings import ApiSettings
from pivot.api.training.executor import LOOK_BLOCKS, TrainingExecutor
from pivot.api.training.promises import Promises
from pivot.api.training.tokens import Place, read_token
from pivot.protocol.generated.inference.inference.training_pb2 import JoinTrainingRequest, TrainingTaskStatus
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishTrainingTask, MsgJoinTraining
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode
from tests.api.fleet.chain import FakeOutbox, FakePhases, epoch, key
from tests.api.training.fleet import FakeFleet
from tests.api.training.network import TrainingChain

HOST = key(1).address
FIRST, LAST = "gonka1aaa", "gonka1zzz"
CALM = 80
SECRET = "secret"


class Executing:
    """The executor of a host with two nodes, and what the test moves around it."""

    def __init__(self, home: Path, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases) -> None:
        self.settings = ApiSettings(home=home)
        self.settings.api.allow_private_urls = True
        self.chain, self.phases = chain, phases
        self.fleet = FakeFleet()
        for node_id in ("node1", "node2"):
            self.fleet.add(node_id)
        self.promises = Promises(home)
        self.executor = TrainingExecutor(
            self.settings, SECRET, HOST, chain, outbox, cast(Any, self.fleet), phases, self.promises
        )
        self.height = CALM

    async def look(self, height: int | None = None) -> None:
        """Go on to the next look, or to a block."""
        self.height = self.height + LOOK_BLOCKS if height is None else height
        await self.phases.at(self.height)
        assert self.phases.moment
        await self.executor.step(self.phases.moment)

    def join(self, *node_ids: str) -> None:
        for node_id in node_ids:
            self.chain.take("", MsgJoinTraining(req=JoinTrainingRequest(node_id=node_id, run_id=7)))

    @property
    def reports(self) -> list[Any]:
        return self.chain.of_kind(MsgFinishTrainingTask)


@pytest.fixture
def host(tmp_path: Path, chain: TrainingChain, outbox: FakeOutbox, phases: FakePhases) -> Executing:
    chain.hardware[FIRST] = [HardwareNode(local_id="gpu", host="10.0.0.7")]
    chain.hardware[LAST] = [HardwareNode(local_id="gpu", host="10.0.0.9")]
    chain.hardware[HOST] = [HardwareNode(local_id=node_id, host="http://10.0.0.1") for node_id in ("node1", "node2")]
    return Executing(tmp_path, chain, outbox, phases)


def assigned(host: Executing, **others: list[str]) -> None:
    """Task 7 goes to both nodes of this host, and to others."""
    task = host.chain.assign(7, **{HOST: ["node1", "node2"], **others})
    task.config.datasets.train = "text"
    task.config.num_uoc_estimation_steps = 3


async def test_promised_nodes_begin_when_their_task_is_assigned(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    await host.look()
    assert host.promises.training_of("node1") is None
    assigned(host, gonka1aaa=["gpu"])
    await host.look()
    trains = host.promises.training_of("node2")
    assert trains is not None
    variables = dict(trains.start.train_env)
    assert read_token(SECRET, variables.pop("STORE_TOKEN")) == Place(7, f"{HOST}/node2")
    assert variables == {
        "TASK_ID": "7",
        "NODE_ID": f"{HOST}/node2",
        "STORE_API_URL": "127.0.0.1:9300",
        "GLOBAL_ADDR": "10.0.0.7",
        "GLOBAL_PORT": "5565",
        "GLOBAL_RANK": "2",
        "GLOBAL_UNIQUE_ID": "2",
        "GLOBAL_WORLD_SIZE": "3",
        "BASE_PORT": "10001",
    }
    assert trains.start.train_config == {
        "project": "training-task-7",
        "datasets": {"train": "text", "test": ""},
        "num_uoc_estimation_steps": 3,
    }
    assert host.fleet.reconsidered == 1


async def test_w27_an_assignment_without_a_promise_binds_no_node(host: Executing) -> None:
    """Else any member could take every host's nodes out of service."""
    assigned(host)
    await host.look()
    assert host.promises.trainings() == set()


async def test_a_training_that_ends_is_reported_when_all_nodes_have_ended(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1zzz=["gpu"])
    await host.look()
    host.join(f"{HOST}/node1", f"{HOST}/node2", f"{LAST}/gpu")
    host.fleet.trains("node1", exit_code=0)
    host.fleet.trains("node2")
    await host.look()
    assert host.reports == []
    host.fleet.trains("node2", exit_code=1, last_line="out of memory")
    await host.look()
    [report] = host.reports
    assert (report.creator, report.task_id) == (HOST, 7)
    assert host.promises.nodes_of(7) == []
    await host.look()
    assert len(host.reports) == 1


async def test_the_end_of_another_training_is_not_that_of_this_one(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host)
    await host.look()
    for node_id in ("node1", "node2"):
        host.fleet.trains(node_id, task_id=6, exit_code=0)
    await host.look()
    assert host.promises.trainings() == {7}


async def test_who_has_assigned_a_task_does_not_end_it_while_others_work(host: Executing) -> None:
    """The assigner's word ends the run for all."""
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1zzz=["gpu"])
    host.chain.tasks[7].assigner = HOST
    await host.look()
    host.join(f"{HOST}/node1", f"{HOST}/node2", f"{LAST}/gpu")
    for node_id in ("node1", "node2"):
        host.fleet.trains(node_id, exit_code=0)
    host.chain.joined[7][f"{LAST}/gpu"].last_seen_block_height = host.height + 10
    await host.look()
    assert (host.reports, host.promises.nodes_of(7)) == ([], [])
    host.chain.joined[7][f"{LAST}/gpu"].finished = True
    await host.look()
    assert len(host.reports) == 1


async def test_two_hosts_whose_word_ends_a_run_do_not_wait_for_each_other(host: Executing) -> None:
    """One has asked for the task, the other has assigned it; neither says that it is done."""
    host.chain.effective.params.training_params.heartbeat_blocks = 40
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1zzz=["gpu"])
    host.chain.tasks[7].assigner, host.chain.tasks[7].requested_by = HOST, LAST
    await host.look()
    host.join(f"{HOST}/node1", f"{HOST}/node2", f"{LAST}/gpu")
    host.chain.joined[7][f"{LAST}/gpu"].last_seen_block_height = last_seen = host.height
    for node_id in ("node1", "node2"):
        host.fleet.trains(node_id, exit_code=0)
    await host.look(last_seen + 19)
    assert host.reports == []
    await host.look(last_seen + 19 + LOOK_BLOCKS)
    assert len(host.reports) == 1


async def test_nodes_leave_when_the_sprint_begins_and_do_not_come_back(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1zzz=["gpu"])
    await host.look()
    host.join(f"{HOST}/node1", f"{HOST}/node2", f"{LAST}/gpu")
    host.chain.latest = epoch(2, poc_start=130)
    await host.look(130)
    assert (host.promises.trainings(), len(host.reports)) == (set(), 1)
    await host.look(190)
    assert host.promises.trainings() == set()


async def test_a_training_that_the_chain_has_ended_ends_here(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host)
    await host.look()
    host.chain.tasks[7].status = TrainingTaskStatus.TRAINING_EXPIRED
    await host.look()
    assert (host.promises.trainings(), host.reports) == (set(), [])


async def test_what_never_ran_is_not_reported(host: Executing) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host)
    await host.look()
    for node_id in ("node1", "node2"):
        host.fleet.trains(node_id, exit_code=2)
    await host.look()
    assert (host.promises.trainings(), host.reports) == (set(), [])


async def test_a_promise_of_a_task_that_is_not_assigned_lapses(host: Executing) -> None:
    host.promises.make(7, ["node1"], until=100)
    await host.look(100)
    assert host.promises.nodes_of(7) == []


@pytest.mark.parametrize(
    ("address", "sentence"), [("10.0.0.7", "private network"), ("user@host", "not an http"), ("", "not an http")]
)
async def test_a18_a_first_rank_at_an_unsafe_address_is_not_connected_to(
    host: Executing, address: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.settings.api.allow_private_urls = False
    host.chain.hardware[FIRST] = [HardwareNode(local_id="gpu", host=address)]
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1aaa=["gpu"])
    await host.look()
    assert host.promises.nodes_of(7) == []
    assert sentence in caplog.text


@pytest.mark.parametrize("address", ["8.8.8.8 --no-python", "$(id)", "-x"])
async def test_a18_a_first_rank_by_no_name_of_a_machine_is_not_told_to_a_job(
    host: Executing, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.chain.hardware[FIRST] = [HardwareNode(local_id="gpu", host=address)]
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1aaa=["gpu"])
    await host.look()
    assert host.promises.nodes_of(7) == []
    assert "GLOBAL_ADDR must be the name or the address of a machine" in caplog.text


async def test_a_first_rank_of_this_host_may_lie_on_its_own_network(host: Executing) -> None:
    host.settings.api.allow_private_urls = False
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1zzz=["gpu"])
    await host.look()
    trains = host.promises.training_of("node1")
    assert trains is not None
    assert trains.start.train_env["GLOBAL_ADDR"] == "10.0.0.1"


async def test_a_first_rank_that_the_chain_does_not_know_is_named(
    host: Executing, caplog: pytest.LogCaptureFixture
) -> None:
    host.promises.make(7, ["node1", "node2"], until=100)
    assigned(host, gonka1aaa=["gone"])
    await host.look()
    assert "the chain knows no machine of rank 0, gonka1aaa/gone" in caplog.text


async def test_a_node_whose_name_no_variable_can_hold_takes_no_part(
    host: Executing, caplog: pytest.LogCaptureFixture
) -> None:
    host.fleet.add("nöde")
    host.promises.make(7, ["nöde"], until=100)
    host.chain.hardware[HOST].append(HardwareNode(local_id="nöde", host="10.0.0.1"))
    host.chain.assign(7, **{HOST: ["nöde"]})
    await host.look()
    assert "NODE_ID holds a character that is not printable ASCII" in caplog.text


async def test_the_chain_is_not_asked_at_every_block(host: Executing) -> None:
    await host.look(90)
    asked = len(host.chain.asked)
    for height in range(91, 90 + LOOK_BLOCKS):
        await host.look(height)
    assert len(host.chain.asked) == asked


async def test_it_follows_the_blocks(host: Executing) -> None:
    host.promises.make(7, ["node1"], until=80)
    await host.executor.start()
    await host.phases.at(CALM)
    await host.executor.close()
    assert host.promises.nodes_of(7) == []
