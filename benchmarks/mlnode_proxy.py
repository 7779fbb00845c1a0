"""What the ML node's inference port costs over calling an instance itself: tokens/s at saturation, time to the first token.

A real ML node serves the tiny chat model with vLLM (`--vllm`, or MLNODE_VLLM_PYTHON), else with the embedded engine. Rounds go to
the instance's own port and to the node's port by turns, so that both sides meet the same machine; differences are medians of pairs.
The node's CPU time per piece that it passes on is what the proxy takes from an engine that shares its cores.

    python benchmarks/mlnode_proxy.py --vllm ~/vllm/bin/python --json
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from report import machine, print_table, versions

LOOPBACK = "127.0.0.1"
MODEL = "pivot/tiny-chat"
QUESTION = [{"role": "user", "content": "What is an epoch, and who decides how long it takes?"}]

Figures = dict[str, int | float | str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--vllm", default=os.environ.get("MLNODE_VLLM_PYTHON", ""), help="interpreter with vLLM")
    arguments.add_argument("--concurrency", type=int, default=16, help="streams at a time, at saturation")
    arguments.add_argument("--tokens", type=int, default=200, help="tokens of each answer")
    arguments.add_argument("--rounds", type=int, default=9, help="rounds of each side; their median counts")
    arguments.add_argument(
        "--first-tokens", type=int, default=100, help="answers of one token, for the time to the first"
    )
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    with node(options.vllm) as (process, management, inference):
        results = asyncio.run(measure(process, management, inference, options))
    if options.json:
        engine = "vllm" if options.vllm else "embedded"
        known = versions("aiohttp", "uvloop", "httptools")
        print(
            json.dumps(
                {
                    "benchmark": "mlnode_proxy",
                    "engine": engine,
                    "results": results,
                    "machine": machine(),
                    "versions": known,
                }
            )
        )
    else:
        print_table(results)


@contextmanager
def node(vllm: str) -> Iterator[tuple[int, str, str]]:
    """An ML node. Yields its process and the addresses of its two ports."""
    management, inference = free_port(), free_port()
    settings = {
        "MLNODE_MANAGEMENT_PORT": str(management),
        "MLNODE_INFERENCE_PORT": str(inference),
        "MLNODE_ENGINE": "vllm" if vllm else "embedded",
        "MLNODE_VLLM_PYTHON": vllm,
        "MLNODE_LOG_LEVEL": "warning",
        "OPENBLAS_NUM_THREADS": "1",
    }
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ, **settings}
    process = subprocess.Popen([sys.executable, "-m", "pivot.mlnode"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process.pid, f"http://{LOOPBACK}:{management}", f"http://{LOOPBACK}:{inference}"
    finally:
        process.terminate()
        process.wait()


async def measure(process: int, management: str, inference: str, options: argparse.Namespace) -> list[Figures]:
    """Both sides, by turns."""
    async with aiohttp.ClientSession() as session:
        instance = await served(session, management, eager=bool(options.vllm))
        sides = {"instance": instance, "node": inference}
        rates: dict[str, list[float]] = {side: [] for side in sides}
        firsts: dict[str, list[float]] = {side: [] for side in sides}
        passed_on, cpu_s = 0, 0.0
        for url in sides.values():
            await one_round(session, url, options.concurrency, options.tokens)
        for n in range(options.rounds):
            for side in sorted(sides, reverse=bool(n % 2)):
                before = cpu_seconds(process)
                rate, pieces = await one_round(session, sides[side], options.concurrency, options.tokens)
                rates[side].append(rate)
                if side == "node":
                    passed_on, cpu_s = passed_on + pieces, cpu_s + cpu_seconds(process) - before
        for n in range(options.first_tokens):
            for side in sorted(sides, reverse=bool(n % 2)):
                firsts[side].append((await chat(session, sides[side], 1, n))[0])
    rate = {side: statistics.median(values) for side, values in rates.items()}
    first = {side: statistics.median(values) * 1e3 for side, values in firsts.items()}
    lost = statistics.median(node / bare - 1 for bare, node in zip(*rates.values(), strict=True))
    later = statistics.median(node - bare for bare, node in zip(*firsts.values(), strict=True))
    return [
        {
            "what": f"{options.concurrency} streams, tokens/s",
            "instance": round(rate["instance"]),
            "node": round(rate["node"]),
            "difference": f"{lost * 100:+.1f} %",
        },
        {
            "what": "first token, ms",
            "instance": round(first["instance"], 2),
            "node": round(first["node"], 2),
            "difference": f"{later * 1e3:+.2f} ms",
        },
        {
            "what": "CPU per piece, us",
            "instance": 0,
            "node": round(cpu_s / passed_on * 1e6, 1),
            "difference": f"{cpu_s / passed_on * rate['instance'] * 100:.1f} % of a core",
        },
    ]


async def served(session: aiohttp.ClientSession, management: str, *, eager: bool) -> str:
    """Have the model served. Returns the address of its one instance."""
    while True:
        try:
            async with session.get(f"{management}/health"):
                break
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    body = {"model": MODEL, "dtype": "float32", "additional_args": ["--enforce-eager"] if eager else []}
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.post(f"{management}/api/v1/inference/up", json=body, timeout=timeout) as response:
        if response.status != 200:
            raise SystemExit(await response.text())
    async with session.get(f"{management}/api/v1/inference/status") as response:
        [instance] = (await response.json())["instances"]
    return f"http://{LOOPBACK}:{instance['port']}"


async def one_round(session: aiohttp.ClientSession, url: str, concurrency: int, tokens: int) -> tuple[float, int]:
    """Tokens per second of all streams together, and the pieces in which they came."""
    start = time.perf_counter()
    told = await asyncio.gather(*(chat(session, url, tokens, seed) for seed in range(concurrency)))
    return concurrency * tokens / (time.perf_counter() - start), sum(pieces for _, pieces in told)


async def chat(session: aiohttp.ClientSession, url: str, tokens: int, seed: int) -> tuple[float, int]:
    """Seconds to the first piece that holds text, and the number of pieces."""
    body = {
        "model": MODEL,
        "messages": QUESTION,
        "max_tokens": tokens,
        "ignore_eos": True,
        "seed": seed,
        "stream": True,
    }
    start, first, pieces = time.perf_counter(), 0.0, 0
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        async for part in response.content.iter_any():
            pieces += part.count(b"data: ")
            if not first and (b'"content":""' not in part or part.count(b"data: ") > 1):
                first = time.perf_counter() - start
    return first, pieces


def cpu_seconds(process: int) -> float:
    """CPU time of a process's main thread, in which the proxy runs: as the scheduler counts it, not by the clock's ticks."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
