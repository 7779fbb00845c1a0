"""The gateways' benchmark runs, with Pivot's API node alone, and tells all that is asked of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gateway import processes
from benchmarks.gateway.answers import Pace, request_body
from benchmarks.gateway.measurements import quantile

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gateway", "--json", "--requests", "4", "--busy-requests", "40"]
    command += ["--open-seconds", "1", "--open-streams", "5"]
    printed = subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout
    return dict(json.loads(printed))


def test_what_the_node_adds_is_told_for_whole_answers_and_for_streams(figures: dict[str, Any]) -> None:
    lines = figures["latency"]
    assert [line["concurrency"] for line in lines] == [1, 4] * 4
    assert {(line["stream"], line["delay_ms"]) for line in lines} == {(False, 0), (False, 20), (True, 0), (True, 20)}
    assert all(line["added_p50_ms"] > -line["direct_p50_ms"] and line["failed"] == 0 for line in lines)


def test_what_one_core_carries_is_told(figures: dict[str, Any]) -> None:
    whole, streams, long_streams, long_whole = figures["throughput"]
    assert all(line["per_second"] > 0 and line["failed"] == 0 for line in (whole, streams, long_streams, long_whole))
    assert streams["chunks_per_second"] > streams["per_second"]
    assert long_streams["chunks_per_second"] > long_streams["per_second"]


def test_streams_at_a_readers_pace_are_all_delivered(figures: dict[str, Any]) -> None:
    (line,) = figures["open"]
    assert (line["streams"], line["stalled"], line["failed"]) == (5, 0, 0)
    assert line["chunks"] == 5 * (50 + 2)  # who speaks, 50 tokens, the end
    assert line["longest_gap_ms"] > 0


def test_a_pace_travels_in_the_question() -> None:
    body = json.loads(request_body(Pace(20, 16, 50), stream=True))
    assert Pace.of(body["messages"][0]["content"]) == Pace(20, 16, 50)


def test_a_process_is_seen_with_what_came_from_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in processes.family(os.getpid())
        assert processes.processor_seconds([os.getpid()]) > 0
        assert processes.private_bytes([os.getpid()]) > 2**20
    finally:
        child.communicate()


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert quantile([], 0.5) == 0
    assert (quantile([3, 1, 2], 0.5), quantile([3, 1, 2], 0.99)) == (2, 3)
