"""The worker process: right answers, in order, through crashes, hangs and want of memory."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.poc import worker as worker_module
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.work import Work
from pivot.mlnode.poc.worker import MAX_FAILURES_IN_A_ROW, Worker
from pivot.protocol.sprint import SPRINT_PRESETS, host_seed
from tests.mlnode.fakes import until

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(range(32))
HOST = "gonka1host"
STOP_S = 2.0
"""The longest that a stop may take."""


@pytest.fixture
async def work() -> Work:
    return Work()


@pytest.fixture
async def worker(work: Work) -> AsyncIterator[Worker]:
    worker = Worker(work, PRESET, SEED, first_pause_s=0.001)
    worker.start()
    yield worker
    await worker.stop()


@pytest.fixture
async def odd_worker(work: Work, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """One that a test starts when it has said how it misbehaves."""
    monkeypatch.setattr(worker_module, "WORKER_MODULE", "tests.mlnode.poc.odd_worker")
    worker = Worker(work, PRESET, SEED, first_pause_s=0.001)
    yield worker
    await worker.stop()


def expected(nonces: list[int], host: str = HOST) -> np.ndarray:
    return fingerprints(SprintModel.build(PRESET, SEED), host_stream(host_seed(SEED, host)), np.array(nonces))


def is_close(answer: bytes, nonces: list[int], host: str = HOST) -> bool:
    return bool(np.abs(np.frombuffer(answer, "<i2").reshape(-1, 16) - expected(nonces, host)).max() <= 1)


def numbers(answer: bytes) -> list[int]:
    return [int.from_bytes(answer[i : i + 32], "little") for i in range(0, len(answer), 32)]


async def test_jobs_are_answered_in_order_for_any_host(work: Work, worker: Worker) -> None:
    jobs = [(HOST, [0, 1, 2]), ("gonka1other", [5]), (HOST, [2**40 + 7, 3])]
    answers = await asyncio.gather(*(work.add(host, nonces) for host, nonces in jobs))
    assert all(is_close(a, nonces, host) for a, (host, nonces) in zip(answers, jobs, strict=True))
    assert worker.ready
    assert worker.running_on
    assert worker.batch == worker.running_on.batch
    later = work.add(HOST, range(100))
    assert is_close(await later, list(range(100)))


async def test_what_a_crash_interrupted_is_done_again(work: Work, worker: Worker) -> None:
    await work.add(HOST, [0])
    jobs = [[i, i + 1] for i in range(100, 140)]
    answers = [work.add(HOST, nonces) for nonces in jobs]
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    for answer, nonces in zip(await asyncio.gather(*answers), jobs, strict=True):
        assert is_close(answer, nonces)
    assert worker.restarts == 1
    assert worker.error == "the worker process ended with exit code -9"


async def test_a_worker_that_dies_without_work_is_started_again_at_once(work: Work, worker: Worker) -> None:
    await work.add(HOST, [0])
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: worker.restarts)
    await until(lambda: worker.ready)


async def test_one_that_hangs_is_killed_and_its_leaves_are_done_by_the_next(
    work: Work, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LEAST_ANSWER_TIMEOUT_S", 0.3)
    monkeypatch.setattr(worker_module, "HANG_FACTOR", 2)
    await work.add(HOST, range(64))
    assert worker.pid
    os.kill(worker.pid, signal.SIGSTOP)
    assert is_close(await work.add(HOST, [7, 8]), [7, 8])
    assert worker.restarts >= 1
    assert "the worker process hangs: no answer in 0.3 s" in str(worker.error)


async def test_the_time_for_an_answer_follows_from_the_workers_own_rate(
    work: Work, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LEAST_ANSWER_TIMEOUT_S", 0)
    monkeypatch.setattr(worker_module, "HANG_FACTOR", 1_000)
    await work.add(HOST, [0])
    work.add(HOST, range(20))
    await until(lambda: worker._in_hand)
    assert worker._leaf_s
    assert worker._patience() == pytest.approx(1_000 * 20 * worker._leaf_s)
    worker._leaf_s = None
    assert worker._patience() == worker_module.FIRST_ANSWER_TIMEOUT_S


async def test_a_model_that_never_stands_is_a_failure(odd_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_WORKER", "mute")
    monkeypatch.setattr(worker_module, "MODEL_TIMEOUT_S", 0.05)
    odd_worker.start()
    await odd_worker.failed.wait()
    assert odd_worker.error == "the worker process has not built its model in 0.05 s"


async def test_a_worker_that_cannot_start_is_given_up(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr(worker_module, "WORKER_MODULE", "pivot.mlnode.poc.no_such_module")
    worker = Worker(work, PRESET, SEED, first_pause_s=0.001)
    worker.start()
    await worker.failed.wait()
    assert worker.error == "the worker process ended with exit code 1"
    assert worker.restarts == MAX_FAILURES_IN_A_ROW - 1
    await worker.stop()


async def test_without_memory_for_a_batch_batches_become_smaller(
    work: Work, odd_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_WORKER", "room=10")
    odd_worker.start()
    assert numbers(await work.add(HOST, range(1_000))) == list(range(1_000))
    assert (odd_worker.batch, odd_worker.restarts) == (8, 0)
    assert odd_worker.error == "no memory for 16 leaves; batches are of 8 now"


async def test_without_memory_for_one_leaf_the_worker_is_given_up(
    work: Work, odd_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_WORKER", "room=0")
    odd_worker.start()
    answer = work.add(HOST, range(100))
    await odd_worker.failed.wait()
    assert odd_worker.error == "no memory for 1 leaves"
    assert not answer.done()


async def test_one_that_dies_of_its_batches_gets_smaller_ones(
    work: Work, odd_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_WORKER", "dies=10")
    odd_worker.start()
    assert numbers(await work.add(HOST, range(100))) == list(range(100))
    assert (odd_worker.batch, odd_worker.restarts) == (8, 4)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("lies", "the worker process answered with something that was not asked for"),
        ("closes", "the worker process ended its answers, and lives on"),
    ],
)
async def test_one_that_misbehaves_is_given_up(
    work: Work, odd_worker: Worker, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    monkeypatch.setenv("ODD_WORKER", fault)
    monkeypatch.setattr(worker_module, "EXIT_TIMEOUT_S", 0.01)
    odd_worker.start()
    answer = work.add(HOST, [1])
    await odd_worker.failed.wait()
    assert odd_worker.error == reason
    assert not answer.done()


async def test_an_answer_without_a_question_is_refused(work: Work) -> None:
    with pytest.raises(ValueError, match="not asked for"):
        Worker(work, PRESET, SEED)._take_answer(b"", 0.0)


async def test_leaves_that_trickle_in_are_gathered_into_full_batches(
    work: Work, odd_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []

    class Pipe:
        write = staticmethod(sent.append)

    for nonce in range(100):
        work.add(f"host{nonce}", [nonce])
        odd_worker._supply(Pipe(), 0.0)  # type: ignore[arg-type]
    assert [batch.leaves for batch in odd_worker._in_hand] == [1, 1, odd_worker.batch]
    assert len(sent) == 3


async def test_stopping_ends_the_process_whatever_it_computes(work: Work, worker: Worker) -> None:
    await work.add(HOST, [0])
    pid = worker.pid
    assert pid
    job = work.add(HOST, range(20_000))
    await asyncio.sleep(0.01)
    begin = time.monotonic()
    await worker.stop()
    assert time.monotonic() - begin < STOP_S
    assert not job.done()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_process_that_does_not_die_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Immortal:
        pid, stdin = 1, None

        def kill(self) -> None:
            raise ProcessLookupError

        async def wait(self) -> int:
            await asyncio.sleep(60)
            return 0

    monkeypatch.setattr(worker_module, "KILL_TIMEOUT_S", 0.01)
    await worker_module._end(Immortal())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_computes_at_low_priority_in_one_thread(work: Work, worker: Worker) -> None:
    await work.add(HOST, list(range(64)))
    assert worker.pid
    lowest = 19
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, lowest)
    assert len(threads(worker.pid)) == 2  # the other one answers


def threads(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())
