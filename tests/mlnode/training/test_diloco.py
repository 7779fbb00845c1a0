"""The bundled trainer: alone, and two of them as jobs of two ML nodes."""

import asyncio
import math
import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.training import diloco
from pivot.mlnode.training.diloco import DilocoConfig, InvalidJob, Outer, Place
from pivot.mlnode.training.job import TrainingJob
from pivot.mlnode.training.peers import PeersLost
from pivot.mlnode.training.store import Store
from pivot.protocol.generated.inference.inference.training_pb2 import MLNodeTrainStatus, TrainingNodeStatus
from pivot.protocol.mlnode_api import TrainStart
from tests.mlnode.training.fake_store import TOKENS, FakeStore

NODES = ["gonka1first/node-1", "gonka1second/node-1"]
VARIABLES = {
    "TASK_ID": "7",
    "NODE_ID": NODES[0],
    "STORE_API_URL": "127.0.0.1:9300",
    "GLOBAL_ADDR": "127.0.0.1",
    "GLOBAL_PORT": "5565",
    "GLOBAL_RANK": "0",
    "GLOBAL_UNIQUE_ID": "0",
    "GLOBAL_WORLD_SIZE": "2",
    "BASE_PORT": "10001",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def job_of(rank: int, store: FakeStore, port: int, **config: int) -> TrainStart:
    place = {
        "NODE_ID": NODES[rank],
        "GLOBAL_RANK": str(rank),
        "GLOBAL_PORT": str(port),
        "STORE_API_URL": store.url,
        "STORE_TOKEN": TOKENS + NODES[rank],
    }
    return TrainStart(train_config={"project": "tiny", "diloco": config}, train_env={**VARIABLES, **place})


def losses(job: TrainingJob) -> dict[str, float]:
    said = re.findall(r"(initial|final) loss ([0-9.]+)", "\n".join(job.status().lines or []))
    return {name: float(value) for name, value in said}


def parameters_of(job: TrainingJob) -> str:
    return re.findall(r"parameters ([0-9a-f]{64})", "\n".join(job.status().lines or []))[0]


async def test_two_nodes_train_one_model(tmp_path: Path) -> None:
    with FakeStore(expected=2).serving() as store:
        jobs, port = [TrainingJob(tmp_path / f"machine-{rank}") for rank in range(2)], free_port()
        for rank, job in enumerate(jobs):
            await job.start(job_of(rank, store, port))
        assert await asyncio.gather(*(job.broken() for job in jobs)) == ["", ""]
    for job in jobs:
        assert losses(job)["initial"] == pytest.approx(math.log(32), abs=0.1)
        assert losses(job)["final"] < losses(job)["initial"] - 1.0
    assert parameters_of(jobs[0]) == parameters_of(jobs[1])
    assert store.arrived["trained"] == set(NODES)


async def test_a_node_that_dies_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    with FakeStore(expected=2).serving() as store:
        jobs, port = [TrainingJob(tmp_path / f"machine-{rank}") for rank in range(2)], free_port()
        for rank, job in enumerate(jobs):
            await job.start(job_of(rank, store, port, outer_steps=10_000, inner_steps=5))
        while not any("outer step 3" in line for line in jobs[0].status().lines or []):
            await asyncio.sleep(0.01)
        await jobs[1].stop()
        assert "exit code 1: all other nodes are gone" in await jobs[0].broken()


def test_a_node_that_joins_and_does_nothing_more_ends_nobodys_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diloco, "CERTIFICATES_S", 0.0)
    nodes = [*NODES, "gonka1third/node-1"]
    with FakeStore(expected=3).serving() as fake:
        idle = Store(fake.url, TOKENS + nodes[1], nodes[1], 7)
        first, third = (Store(fake.url, TOKENS + each, each, 7) for each in (nodes[0], nodes[2]))
        idle.set("gonka1third/certificate-2", "another host's word for it")
        with pytest.raises(PeersLost, match="no other node has shown"):
            diloco.certificates(nodes, first)
        third.set("gonka1third/certificate-2", "its own")
        assert diloco.certificates(nodes, first) == {2: "its own"}
        for store in (idle, first, third):
            store.close()
    assert (
        "rank 1 is left out: a record 'gonka1second/certificate-1' of gonka1second did not come"
        in capsys.readouterr().out
    )


async def test_without_the_node_that_all_connect_to_a_run_does_not_begin(tmp_path: Path) -> None:
    with FakeStore(expected=1).serving() as store:
        job = TrainingJob(tmp_path)
        await job.start(job_of(1, store, free_port()))
        reason = await job.broken()
    assert reason == f"the training ended with exit code 2: the node at 127.0.0.1 is not among {NODES[1]}"


def test_a_run_that_has_gone_on_without_a_node_is_over_for_it() -> None:
    class LateStore(Store):
        def join(self) -> None:
            pass

        def status(self) -> MLNodeTrainStatus:
            return MLNodeTrainStatus(status=TrainingNodeStatus.TRAINING_NODE_RUNNING, rank=1, active_nodes=[NODES[1]])

    store = LateStore("127.0.0.1:1", "", NODES[1], 7)
    with pytest.raises(InvalidJob, match="the run has gone on without it"):
        diloco.meet(Place.of({**VARIABLES, "NODE_ID": NODES[1], "GLOBAL_RANK": "1"}), store)
    store.close()


def test_the_outer_step_is_nesterovs() -> None:
    outer, parameters = Outer(0.5, 0.9), np.zeros(1, np.float32)
    first = outer.step(parameters, np.ones(1, np.float32))
    second = outer.step(first, np.ones(1, np.float32))
    assert first[0] == pytest.approx(-0.5 * (1 + 0.9))
    assert second[0] == pytest.approx(first[0] - 0.5 * (1 + 0.9 * 1.9))
    assert second.dtype == np.float32


def test_a_configuration_without_the_table_is_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('project = "1B-ft-xlam"\n')
    assert DilocoConfig.load(tmp_path / "config.toml") == DilocoConfig()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[diloco]\nouter_steps = 0", "greater than or equal to 1"),
        ("[diloco", "config.toml"),
        ("diloco = 3", "valid dictionary"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidJob, match=sentence):
        DilocoConfig.load(tmp_path / "config.toml")


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(InvalidJob, match="the variable NODE_ID is missing"):
        Place.of({name: value for name, value in VARIABLES.items() if name != "NODE_ID"})
    with pytest.raises(InvalidJob, match="no whole number"):
        Place.of({**VARIABLES, "GLOBAL_RANK": "first"})


def test_a_job_that_cannot_begin_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["diloco", str(tmp_path / "none.toml")])
    assert diloco.main() == diloco.EXIT_USAGE
    assert "none.toml" in capsys.readouterr().out
