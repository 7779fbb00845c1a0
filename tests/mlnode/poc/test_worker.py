"""The worker process: right answers, in order, through crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.poc import worker as worker_module
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.worker import Worker, WorkerFailed
from pivot.protocol.sprint import SPRINT_PRESETS, host_seed

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(range(32))
HOST = "gonka1host"


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker(PRESET, SEED, first_pause_s=0.001)
    worker.start()
    yield worker
    await worker.stop()


def expected(nonces: list[int], host: str = HOST) -> np.ndarray:
    return fingerprints(SprintModel.build(PRESET, SEED), host_stream(host_seed(SEED, host)), np.array(nonces))


def is_close(answer: bytes, nonces: list[int], host: str = HOST) -> bool:
    return bool(np.abs(np.frombuffer(answer, "<i2").reshape(-1, 16) - expected(nonces, host)).max() <= 1)


async def test_jobs_are_answered_in_order_for_any_host(worker: Worker) -> None:
    jobs = [(HOST, [0, 1, 2]), ("gonka1other", [5]), (HOST, [2**40 + 7, 3])]
    answers = await asyncio.gather(*(worker.compute(host, nonces) for host, nonces in jobs))
    assert all(is_close(a, nonces, host) for a, (host, nonces) in zip(answers, jobs, strict=True))
    assert worker.ready


async def test_what_a_crash_interrupted_is_done_again(worker: Worker) -> None:
    await worker.compute(HOST, [0])
    jobs = [[i, i + 1] for i in range(100, 140)]
    answers = [asyncio.create_task(worker.compute(HOST, nonces)) for nonces in jobs]
    await asyncio.sleep(0)
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    for answer, nonces in zip(await asyncio.gather(*answers), jobs, strict=True):
        assert is_close(answer, nonces)
    assert worker.restarts == 1
    assert worker.error == "the worker process ended with exit code -9"


async def test_a_worker_that_cannot_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "WORKER_MODULE", "pivot.mlnode.poc.no_such_module")
    worker = Worker(PRESET, SEED, first_pause_s=0.001)
    worker.start()
    with pytest.raises(WorkerFailed, match="exit code 1"):
        await worker.compute(HOST, [0])
    assert worker.failed.is_set()
    with pytest.raises(WorkerFailed):
        await worker.compute(HOST, [0])
    await worker.stop()


async def test_stopping_ends_the_process_and_cancels_its_jobs() -> None:
    worker = Worker(PRESET, SEED)
    worker.start()
    await worker.compute(HOST, [0])
    pid = worker.pid
    assert pid
    job = asyncio.create_task(worker.compute(HOST, list(range(2_000))))
    await asyncio.sleep(0)
    await worker.stop()
    assert (await asyncio.gather(job, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_runs_at_low_priority_with_one_thread(worker: Worker) -> None:
    await worker.compute(HOST, list(range(64)))
    assert worker.pid
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) - os.getpriority(os.PRIO_PROCESS, 0) == 10
    assert len(threads(worker.pid)) == 1


def threads(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())
