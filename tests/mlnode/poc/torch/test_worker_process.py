"""The worker process with torch, over its pipes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.frames import Job, Ready, Sprint, decode_ready, encode, read_frame
from pivot.mlnode.poc.model import SprintModel
from pivot.mlnode.poc.worker import WORKER_MODULE
from pivot.protocol.sprint import SPRINT_PRESETS, distance, host_seed

PRESET = SPRINT_PRESETS["devnet"]
SEED = bytes(range(32))
JOBS = [(("gonka1host", tuple(range(i, i + 30))), ("gonka1other", (2**40 + i,))) for i in range(6)]


@pytest.fixture
def process(device: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", WORKER_MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(encode(Sprint("devnet", SEED.hex(), "torch", (device, device))))
        process.stdin.flush()
        yield process


def test_jobs_sent_ahead_are_answered_in_order(process: subprocess.Popen[bytes], device: str) -> None:
    assert process.stdin
    assert process.stdout
    for job in JOBS:
        process.stdin.write(encode(Job(job)))
    process.stdin.flush()
    ready = decode_ready(read_frame(process.stdout) or b"")
    batch, bytes_each = (1_024, 2) if device == "cuda" else (64, 4)
    assert ready == Ready(2 * batch, "torch", (device, device), bytes_each * PRESET.parameter_count())
    model = SprintModel.build(PRESET, SEED)
    for job in JOBS:
        answer = read_frame(process.stdout) or b""
        own = b"".join(
            fingerprints(model, host_stream(host_seed(SEED, host)), np.array(nonces)).tobytes() for host, nonces in job
        )
        assert len(answer) == len(own)
        assert all(distance(answer[i : i + 32], own[i : i + 32]) < PRESET.tolerance for i in range(0, len(own), 32))
    process.stdin.close()
    assert process.wait(timeout=60) == 0
