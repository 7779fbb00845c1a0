"""The supervised process of a training: what it finds, how it ends, what is left of it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from pivot.mlnode.training import job as job_module
from pivot.mlnode.training.job import AlreadyTraining, NotTraining, TrainingFailed, TrainingJob
from pivot.protocol.mlnode_api import TRAIN_VARIABLES, TrainStart
from tests.mlnode.fakes import until

Jobs = Callable[[str], TrainingJob]
SLEEP = "import time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    """Makes jobs that run a Python script; ends them afterwards."""
    made: list[TrainingJob] = []

    def make(script: str) -> TrainingJob:
        made.append(TrainingJob(tmp_path, [sys.executable, "-c", script]))
        return made[-1]

    yield make
    for job in made:
        await job.stop()


def request(**variables: str) -> TrainStart:
    return TrainStart(train_config={"steps": 3}, train_env={"TASK_ID": "7", **variables})


async def has_written(job: TrainingJob, line: str) -> None:
    await until(lambda: line in (job.status().lines or []))


async def test_a_job_that_finishes_its_work_has_not_broken(jobs: Jobs) -> None:
    job = jobs("print('loss 3.2'); print('loss 2.9')")
    await job.start(request())
    assert await job.broken() == ""
    status = job.status()
    assert (status.status, status.task_id, status.exit_code, status.last_line) == (False, "7", 0, "loss 2.9")
    assert status.lines == ["loss 3.2", "loss 2.9"]


async def test_a_job_that_fails_says_how(jobs: Jobs) -> None:
    job = jobs("import sys; print('out of memory'); sys.exit(3)")
    await job.start(request())
    assert await job.broken() == "the training ended with exit code 3: out of memory"
    assert job.status().exit_code == 3


async def test_a_job_that_is_killed_says_so(jobs: Jobs) -> None:
    job = jobs("import os; os.kill(os.getpid(), 9)")
    await job.start(request())
    assert await job.broken() == "the training ended with exit code 137"


async def test_nothing_is_said_of_a_job_before_the_first(jobs: Jobs) -> None:
    job = jobs("")
    assert job.status().model_dump(exclude_none=True) == {"status": False}
    assert await job.broken() == "no training was started"
    await job.stop()
    with pytest.raises(NotTraining, match=r"^Training is not running$"):
        job.require_running()


async def test_a_second_job_beside_the_first_is_refused(jobs: Jobs) -> None:
    job = jobs(SLEEP)
    await job.start(request())
    with pytest.raises(AlreadyTraining, match=r"^Training is already running$"):
        await job.start(request())
    job.require_running()
    assert job.status().status


async def test_a_job_finds_its_configuration_and_its_variables(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs("import os; print(open('train_config.toml').read().strip(), os.environ['NODE_ID'], os.getcwd())")
    await job.start(request(NODE_ID="gonka1host/node-1", GLOBAL_RANK="2"))
    await job.broken()
    assert job.status().last_line == f'"steps" = 3 gonka1host/node-1 {tmp_path}/task-7-rank-2'


async def test_a_task_that_is_started_again_finds_what_it_left(jobs: Jobs) -> None:
    job = jobs("import os; print(os.path.exists('checkpoint')); open('checkpoint', 'w')")
    for found in ("False", "True"):
        await job.start(request())
        await job.broken()
        assert job.status().last_line == found


async def test_a_job_that_heeds_sigterm_ends_at_once(jobs: Jobs) -> None:
    job = jobs(SLEEP)
    await job.start(request())
    await has_written(job, "begun")
    await job.stop()
    assert not job.running
    assert job.status().exit_code == 128 + signal.SIGTERM


async def test_a_job_that_does_not_heed_sigterm_is_killed_with_all_it_started(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "STOP_TIMEOUT_S", 0.2)
    job = jobs(
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    await job.start(request())
    await until(lambda: job.status().last_line)
    child = int(job.status().last_line or "")
    await job.stop()
    await until(lambda: not alive(child))


async def test_a_stop_while_the_process_is_being_started_leaves_nothing(jobs: Jobs) -> None:
    job = jobs(SLEEP)
    starting = asyncio.create_task(job.start(request()))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not job.running


async def test_only_the_last_lines_are_kept_and_each_is_bounded(jobs: Jobs) -> None:
    job = jobs("print('x' * 3_000_000); [print(i) for i in range(100)]; print('y' * 5000)")
    await job.start(request())
    await job.broken()
    lines = job.status().lines or []
    assert lines[:2] == ["51", "52"]
    assert lines[-1] == "y" * 1_000


async def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    job = TrainingJob(tmp_path, ["torchrun-of-another-machine"])
    with pytest.raises(TrainingFailed, match="MLNODE_TRAIN_COMMAND: there is no command 'torchrun-of-another-machine'"):
        await job.start(request())


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    job = TrainingJob(tmp_path / "taken")
    with pytest.raises(TrainingFailed, match="taken"):
        await job.start(request())


NODE = """
import asyncio, sys
from pathlib import Path
from pivot.mlnode.training.job import TrainingJob
from pivot.protocol.mlnode_api import TrainStart

async def main():
    job = TrainingJob(Path(sys.argv[1]), [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"])
    await job.start(TrainStart(train_config={}))
    while not job.status().last_line:
        await asyncio.sleep(0.01)
    print(job.status().last_line, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_job_ends_with_the_node_however_that_ends(tmp_path: Path) -> None:
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert node.stdout
    job = int(await node.stdout.readline())
    node.kill()
    await node.communicate()
    await until(lambda: not alive(job))


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "MLNODE_TOKEN", "task_id", ""])
def test_m_item29_a_variable_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name!r} may not be set"):
        TrainStart(train_config={}, train_env={name: "x"})


def test_m_item29_the_published_variables_are_taken() -> None:
    variables = dict.fromkeys(TRAIN_VARIABLES, "1")
    assert TrainStart(train_config={}, train_env=variables).train_env == variables
    for address in ("host-1.example", "10.0.0.1", "::1", "2606:4700::1111"):
        assert TrainStart(train_config={}, train_env={"GLOBAL_ADDR": address}).train_env["GLOBAL_ADDR"] == address


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TASK_ID": 7}, "valid string"),
        ({"TASK_ID": "../../etc"}, "TASK_ID must be a whole number"),
        ({"GLOBAL_RANK": "-1"}, "GLOBAL_RANK must be a whole number"),
        ({"GLOBAL_PORT": "٣"}, "GLOBAL_PORT holds a character that is not printable ASCII"),
        ({"NODE_ID": "a\x00b"}, "NODE_ID holds a character that is not printable ASCII"),
        ({"NODE_ID": "x" * 4_001}, "at most 4000 characters"),
        ({"GLOBAL_ADDR": ""}, "GLOBAL_ADDR must be the name or the address of a machine"),
        ({"GLOBAL_ADDR": "10.0.0.1 --no-python"}, "GLOBAL_ADDR must be the name or the address of a machine"),
        ({"GLOBAL_ADDR": "$(id)"}, "GLOBAL_ADDR must be the name or the address of a machine"),
        ({"GLOBAL_ADDR": "-x"}, "GLOBAL_ADDR must be the name or the address of a machine"),
    ],
)
def test_m_item29_a_variable_of_a_wrong_kind_is_refused(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainStart(train_config={}, train_env=variables)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"steps": None}, "holds a null"),
        ({"lr": float("nan")}, "not finite"),
        ({"lr": [float("inf")]}, "not finite"),
        ({"steps": 2**63}, "beyond 64 bits"),
        ({"text": "x" * 70_000}, "larger than 65536 bytes"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}, "nested deeper than 8 levels"),
        ({"text": "\ud800"}, "surrogates"),
    ],
)
def test_a_configuration_that_toml_cannot_hold_is_refused(config: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainStart.model_validate({"train_config": config})


async def test_m_item29_a_job_sees_nothing_of_the_nodes_own_settings(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLNODE_TOKEN", "secret")
    monkeypatch.setenv("WANDB_API_KEY", "the host's own")
    job = jobs("import json, os; print(json.dumps(sorted(os.environ)))")
    await job.start(request())
    await job.broken()
    seen = json.loads(job.status().last_line or "")
    assert "WANDB_API_KEY" in seen
    assert not [name for name in seen if name.startswith("MLNODE_")]


async def test_m_item33_no_key_that_others_know_reaches_a_job(jobs: Jobs) -> None:
    """The published node sets GLOO's TLS variables to certificates whose private key is in its repository."""
    job = jobs("import os; print([name for name in os.environ if 'TLS' in name])")
    await job.start(request())
    await job.broken()
    assert job.status().last_line == "[]"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
