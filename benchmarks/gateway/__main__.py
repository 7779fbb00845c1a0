"""Starts all, measures all, prints all (`python -m benchmarks.gateway --help`)."""

import argparse
import json
import multiprocessing
import os
import tempfile
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import uvloop

from benchmarks.gateway import __doc__ as described
from benchmarks.gateway import measurements, upstream
from benchmarks.gateway.answers import Pace
from benchmarks.gateway.gateways import Direct, Gateway, crabllm, litellm, pivot
from benchmarks.gateway.measurements import Figures
from benchmarks.report import machine, print_table, versions

REQUESTS = 400
BUSY_REQUESTS = 6_000
SLOW_SHARE = 10
"""LiteLLM is given so many times fewer requests: its figures are as steady, and the run ends."""
OPEN_SECONDS = 10.0
PARTS = ("latency", "throughput", "open")


def main() -> None:
    """The command."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway", description=described, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--requests", type=int, default=REQUESTS, help="requests per line of the table of latencies")
    arguments.add_argument("--busy-requests", type=int, default=BUSY_REQUESTS, help="requests that fill a core")
    arguments.add_argument(
        "--open-seconds", type=float, default=OPEN_SECONDS, help="length of the streams at a reader's pace"
    )
    arguments.add_argument("--open-streams", type=int, default=measurements.OPEN_STREAMS, help="how many of them")
    arguments.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="what to measure")
    arguments.add_argument("--litellm", type=Path, help="the `litellm` of a virtual environment with litellm[proxy]")
    arguments.add_argument("--crabllm", type=Path, help="the `crabllm` of `cargo install crabllm --root DIR`")
    arguments.add_argument("--profile", type=Path, help="write a cProfile of Pivot's API node here")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    context = multiprocessing.get_context("spawn")
    with ExitStack() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parent, child = context.Pipe()
        engine = context.Process(target=upstream.run, args=(child,), daemon=True, name="upstream")
        engine.start()
        port: int = parent.recv()
        gateways: list[Gateway] = [
            running.enter_context(pivot(context, port, folder, metadata.version("pivot"), options.profile))
        ]
        if options.litellm:
            gateways.append(running.enter_context(litellm(options.litellm, port, folder)))
        if options.crabllm:
            gateways.append(running.enter_context(crabllm(options.crabllm, port, folder)))
        direct = Direct("direct", "", port, engine.pid or 0)
        results = uvloop.run(_measure(options, direct, gateways))
    figures = {
        "benchmark": "gateway",
        **results,
        "machine": machine(),
        "versions": versions("aiohttp", "uvicorn", "uvloop") | {each.name: each.version for each in gateways},
    }
    if options.json:
        print(json.dumps(figures))
        return
    for part in PARTS:
        if results.get(part):
            print(f"\n{part}")
            print_table(results[part])


async def _measure(options: argparse.Namespace, direct: Gateway, gateways: list[Gateway]) -> Figures:
    results: Figures = {}
    others = [direct.pid, os.getpid()]
    if "latency" in options.only:
        results["latency"] = [
            line
            for stream in (False, True)
            for delay in measurements.DELAYS_MS
            for concurrency in measurements.CONCURRENCIES
            if concurrency <= options.requests
            for line in await _latencies(options.requests, direct, gateways, Pace(delay), concurrency, stream=stream)
        ]
    if "throughput" in options.only:
        results["throughput"] = [
            {"gateway": gateway.name, "what": what}
            | await measurements.throughput(
                gateway, pace, _count(options.busy_requests // fewer, gateway), others, stream=stream
            )
            for what, pace, stream, fewer in (
                ("whole answers", Pace(), False, 1),
                (f"streams of {measurements.STREAMS_PER_SECOND_CHUNKS} chunks", Pace(), True, 2),
                ("long streams", Pace(chunks=measurements.LONG_STREAM_CHUNKS), True, 20),
                ("long whole answers", Pace(chunks=measurements.LONG_STREAM_CHUNKS), False, 20),
            )
            for gateway in gateways
        ]
        _compare(results["throughput"])
    if "open" in options.only:
        results["open"] = [
            {"gateway": gateway.name}
            | await measurements.open_streams(gateway, others, options.open_seconds, options.open_streams)
            for gateway in gateways
        ]
    return results


async def _latencies(
    requests: int, direct: Gateway, gateways: list[Gateway], pace: Pace, concurrency: int, *, stream: bool
) -> list[Figures]:
    straight = await measurements.latency(direct, pace, concurrency, requests, stream=stream)
    lines = []
    for gateway in gateways:
        count = max(_count(requests, gateway), 2 * concurrency)
        through = await measurements.latency(gateway, pace, concurrency, count, stream=stream)
        lines.append(
            {
                "gateway": gateway.name,
                "stream": stream,
                "delay_ms": pace.delay_ms,
                "concurrency": concurrency,
                "direct_p50_ms": straight["p50_ms"],
                "added_p50_ms": round(through["p50_ms"] - straight["p50_ms"], 3),
                "added_p99_ms": round(through["p99_ms"] - straight["p99_ms"], 3),
                "failed": through["failed"],
            }
        )
    return lines


def _compare(lines: list[Figures]) -> None:
    """How many times as much as LiteLLM each line's gateway carries, on one core and for a second of processor time."""
    for what in {line["what"] for line in lines}:
        of_all = {line["gateway"]: line for line in lines if line["what"] == what}
        if slow := of_all.get("litellm"):
            for line in of_all.values():
                line["times_litellm"] = round(line["per_second"] / slow["per_second"], 1)
                line["times_litellm_by_processor"] = round(slow["processor_us_each"] / line["processor_us_each"], 1)


def _count(requests: int, gateway: Gateway) -> int:
    return max(requests // SLOW_SHARE, 1) if gateway.name == "litellm" else requests


if __name__ == "__main__":
    main()
