"""A training under torchrun, as hosts with graphics cards run theirs: two workers on the CPU, in sessions of their own."""

import shutil
import socket
import sys
from pathlib import Path

import pytest

from pivot.mlnode.training.job import TrainingJob
from pivot.protocol.mlnode_api import TrainStart
from tests.mlnode.fakes import until
from tests.mlnode.training.test_job import alive

pytest.importorskip("torch", reason="torch is not installed: `uv sync --extra torch`")
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))

TRAIN = """
import os, sys, time, tomllib
import torch
import torch.distributed as group

group.init_process_group("gloo")
config = tomllib.load(open(sys.argv[1], "rb"))
torch.manual_seed(group.get_rank())
model, target = torch.zeros(4), torch.arange(4.0) + group.get_rank()
for _ in range(config["steps"]):
    gradient = model - target
    group.all_reduce(gradient)
    model -= 0.25 * gradient
print("task", os.environ["TASK_ID"], "rank", group.get_rank(), "model", model.round(decimals=2).tolist(), flush=True)
if config["stays"]:
    print("pid", os.getpid(), flush=True)
    time.sleep(600)
group.destroy_process_group()
"""


def job(folder: Path) -> TrainingJob:
    (folder / "train.py").write_text(TRAIN)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = str(bound.getsockname()[1])
    command = [TORCHRUN, "--nproc-per-node", "2", "--master-port", port, str(folder / "train.py"), "train_config.toml"]
    return TrainingJob(folder, command)


def start(*, stays: bool) -> TrainStart:
    return TrainStart(train_config={"steps": 40, "stays": stays}, train_env={"TASK_ID": "7"})


def workers(training: TrainingJob) -> list[int]:
    """Their process ids."""
    return [int(line.split()[1]) for line in training.status().lines or [] if line.startswith("pid")]


pytestmark = pytest.mark.skipif(shutil.which(TORCHRUN) is None, reason="there is no torchrun beside this interpreter")


async def test_workers_train_together_and_the_job_finishes(tmp_path: Path) -> None:
    training = job(tmp_path)
    await training.start(start(stays=False))
    assert await training.broken() == "", training.status().lines
    said = training.status().lines or []
    assert {line for line in said if line.startswith("task")} == {
        f"task 7 rank {rank} model [0.5, 1.5, 2.5, 3.5]" for rank in range(2)
    }


async def test_a_stop_ends_all_workers(tmp_path: Path) -> None:
    training = job(tmp_path)
    await training.start(start(stays=True))
    await until(lambda: len(workers(training)) == 2 or not training.running)
    running = workers(training)
    assert len(running) == 2, training.status().lines
    await training.stop()
    assert not any(alive(worker) for worker in running)
