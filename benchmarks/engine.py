"""How fast the embedded engine answers: the model alone, and over HTTP with several requests at a time.

The engine process is pinned to one core with one BLAS thread; the client runs on another one where there is one.

    python benchmarks/engine.py --concurrency 1 8 --json
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

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported

import aiohttp
from report import machine, print_table, versions

from pivot.mlnode.engines.embedded.batch import Batch, Sequence
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.served import ServedModel

MODEL = Path(__file__).parents[1] / "models" / "tiny-chat"
LOOPBACK = "127.0.0.1"
QUESTION = [{"role": "user", "content": "What is an epoch, and who decides how long it takes?"}]

Figures = dict[str, int | float | str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", type=Path, default=MODEL, help="folder of the model's files")
    arguments.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    arguments.add_argument("--tokens", type=int, default=200, help="tokens of each answer")
    arguments.add_argument("--rounds", type=int, default=3, help="the best of so many rounds counts")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = [decoder_alone(options.model, n, options.tokens, options.rounds) for n in options.concurrency]
    with engine_process(options.model) as url:
        results += asyncio.run(over_http(url, options.concurrency, options.tokens, options.rounds))
    if options.json:
        print(
            json.dumps({"benchmark": "engine", "results": results, "machine": machine(), "versions": versions("numpy")})
        )
    else:
        print_table(results)


def decoder_alone(folder: Path, batch_size: int, tokens: int, rounds: int) -> Figures:
    """Steps of the batch, without HTTP."""
    model = ServedModel.load(folder, "model")
    rates, prefill = [], []
    for _ in range(rounds):
        batch = Batch(model.decoder, batch_size)
        for seed in range(batch_size):
            batch.add(Sequence(list(range(5, 37)), tokens, Sampling(seed=seed)))
        start = time.perf_counter()
        for _ in range(batch_size):  # each step reads one prompt
            batch.step()
        prefill.append((time.perf_counter() - start) / batch_size)
        steps, start = tokens - batch_size - 1, time.perf_counter()
        for _ in range(steps):
            batch.step()
        rates.append(steps * batch_size / (time.perf_counter() - start))
    return figures("decoder", batch_size, max(rates), min(prefill))


@contextmanager
def engine_process(folder: Path) -> Iterator[str]:
    """An engine that serves the model, on one core; this process goes to another. Yields its address."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pivot.mlnode.engines.embedded", "--model", str(folder), "--served-name", "model"]
    engine = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(engine.pid, {min(cores)})
        os.sched_setaffinity(0, {max(cores)})
        yield f"http://{LOOPBACK}:{port}"
    finally:
        engine.terminate()
        engine.wait()


async def over_http(url: str, concurrencies: list[int], tokens: int, rounds: int) -> list[Figures]:
    """Chats with an engine process, streamed and not."""
    results = []
    async with aiohttp.ClientSession(url) as session:
        await until_healthy(session)
        for concurrency in concurrencies:
            for stream in (False, True):
                measured = [await one_round(session, concurrency, tokens, stream=stream) for _ in range(rounds)]
                rate, first = max(measured)
                results.append(figures("http, streamed" if stream else "http", concurrency, rate, first))
    return results


async def until_healthy(session: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with session.get("/health"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


async def one_round(
    session: aiohttp.ClientSession, concurrency: int, tokens: int, *, stream: bool
) -> tuple[float, float]:
    """Tokens per second of all requests together, and the median time to the first byte of an answer."""
    start = time.perf_counter()
    firsts = await asyncio.gather(*(chat(session, seed, tokens, stream=stream) for seed in range(concurrency)))
    return concurrency * tokens / (time.perf_counter() - start), statistics.median(firsts)


async def chat(session: aiohttp.ClientSession, seed: int, tokens: int, *, stream: bool) -> float:
    body = {"messages": QUESTION, "max_tokens": tokens, "ignore_eos": True, "seed": seed, "stream": stream}
    start, first = time.perf_counter(), 0.0
    async with session.post("/v1/chat/completions", json=body) as response:
        async for part in response.content.iter_any():
            if not first and (not stream or b'"content":""' not in part):
                first = time.perf_counter() - start
    return first


def figures(what: str, concurrency: int, rate: float, first: float) -> Figures:
    return {
        "what": what,
        "concurrency": concurrency,
        "tokens_per_s": round(rate),
        "first_ms": round(first * 1e3, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
