"""What is measured of a gateway."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from benchmarks.gateway import processes
from benchmarks.gateway.answers import Pace, request_body
from benchmarks.gateway.client import Answers, load
from benchmarks.gateway.gateways import Gateway

CONCURRENCIES = (1, 4, 16, 64)
DELAYS_MS = (0, 20)
WARM_UP_SHARE = 8
BUSY = 64
"""Requests at a time when as many as possible shall be answered."""
LONG_STREAM_CHUNKS = 256
STREAMS_PER_SECOND_CHUNKS = 16
OPEN_STREAMS = 300
OPEN_STREAMS_PER_SECOND = 50
STALL_MS = 1_000.0
SETTLE_SECONDS = 1.0

Figures = dict[str, Any]


def requests_of(gateway: Gateway, pace: Pace, count: int, *, stream: bool) -> list[bytes]:
    """So many requests, made before the clock runs."""
    body = request_body(pace, stream=stream)
    return [gateway.request(body) for _ in range(count)]


async def latency(gateway: Gateway, pace: Pace, concurrency: int, count: int, *, stream: bool) -> Figures:
    """Milliseconds from the request's first byte to the answer's last."""
    warm_up = max(count // WARM_UP_SHARE, concurrency)
    await load(gateway.port, requests_of(gateway, pace, warm_up, stream=stream), concurrency)
    answers = await load(gateway.port, requests_of(gateway, pace, count, stream=stream), concurrency)
    return {"p50_ms": quantile(answers.took_ms, 0.5), "p99_ms": quantile(answers.took_ms, 0.99), **_faults(answers)}


async def throughput(
    gateway: Gateway, pace: Pace, count: int, others: Sequence[int], *, stream: bool, concurrency: int = BUSY
) -> Figures:
    """Answers per second on one core: the gateway has the first core, and all others have the rest.

    others: processes beside the gateway (upstream and client), whose share of their cores is told: near 1, it is they that
    are measured.
    """
    cores = sorted(os.sched_getaffinity(0))
    rest = cores[1:] or cores
    await load(gateway.port, requests_of(gateway, pace, concurrency * 2, stream=stream), concurrency)
    processes.pin(others, rest)
    processes.pin(gateway.pids, cores[:1])
    requests = requests_of(gateway, pace, count, stream=stream)
    watch = _Watch(gateway.pids, others)
    answers = await load(gateway.port, requests, concurrency)
    used, beside = watch.used()
    processes.pin([*gateway.pids, *others], cores)
    figures: Figures = {
        "concurrency": concurrency,
        "per_second": round(len(answers.took_ms) / answers.seconds, 1),
        "processor_us_each": round(used / max(len(answers.took_ms), 1) * 1e6),
        "share_of_its_core": round(used / answers.seconds, 2),
        "share_of_client_and_upstream": round(beside / answers.seconds / len(rest), 2),
        **_faults(answers),
    }
    if stream:
        figures["chunks_per_second"] = round(answers.chunks / answers.seconds)
        figures["processor_us_per_chunk"] = round(used / max(answers.chunks, 1) * 1e6, 1)
    return figures


async def open_streams(gateway: Gateway, others: Sequence[int], seconds: float, streams: int = OPEN_STREAMS) -> Figures:
    """Many streams at a time, each at a reader's pace, with client and upstream on the same cores."""
    pace = Pace(0, int(OPEN_STREAMS_PER_SECOND * seconds), OPEN_STREAMS_PER_SECOND)
    short = Pace(0, OPEN_STREAMS_PER_SECOND, OPEN_STREAMS_PER_SECOND)
    await load(gateway.port, requests_of(gateway, short, streams, stream=True), streams, limit_s=2 * seconds + 30)
    requests = requests_of(gateway, pace, streams, stream=True)
    before = processes.private_bytes(gateway.pids)
    held: list[tuple[float, int]] = []
    began = asyncio.get_running_loop().time()

    async def watch_memory() -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS / 2)
            now = asyncio.get_running_loop().time() - began
            held.append((now, processes.private_bytes(gateway.pids) - before))

    watching = asyncio.ensure_future(watch_memory())
    watch = _Watch(gateway.pids, others)
    answers = await load(gateway.port, requests, streams, limit_s=3 * seconds + 10)
    await asyncio.sleep(SETTLE_SECONDS)  # what is written behind the answers belongs to them
    used, beside = watch.used()
    watching.cancel()
    return {
        "streams": streams,
        "chunks_per_second_each": OPEN_STREAMS_PER_SECOND,
        "seconds": round(answers.seconds, 2),
        "seconds_upstream": seconds,
        "chunks": answers.chunks,
        "longest_gap_ms": round(max(answers.gaps_ms, default=0.0), 1),
        "stalled": sum(gap > STALL_MS for gap in answers.gaps_ms) + answers.failed,
        "processor_us_per_chunk": round(used / max(answers.chunks, 1) * 1e6, 1),
        "processor_us_per_chunk_of_client_and_upstream": round(beside / max(answers.chunks, 1) * 1e6, 1),
        "memory_kb_per_stream": _most(held, seconds, streams),
        "memory_kb_per_stream_with_settlement": _most(held, float("inf"), streams),
        **_faults(answers),
    }


class _Watch:
    """Processor time from now on."""

    def __init__(self, gateway: Sequence[int], others: Sequence[int]) -> None:
        self._groups = (gateway, others)
        self._before = [processes.processor_seconds(pids) for pids in self._groups]

    def used(self) -> tuple[float, float]:
        """Seconds of the gateway, and of the others together."""
        gateway, others = (
            processes.processor_seconds(pids) - before for pids, before in zip(self._groups, self._before, strict=True)
        )
        return gateway, others


def _most(held: Sequence[tuple[float, int]], until_s: float, streams: int) -> float:
    """Kilobytes a stream, of what was held at some time up to then."""
    return round(max((memory for at_s, memory in held if at_s <= until_s), default=0) / streams / 1_000, 1)


def quantile(values: Sequence[float], share: float) -> float:
    """0 of no values."""
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 3) if values else 0.0


def _faults(answers: Answers) -> Figures:
    return {"failed": answers.failed, "first_failure": answers.first_failure} if answers.failed else {"failed": 0}
