"""What the API node adds to a request: latency over calling the ML node directly, and requests per second of one core.

Three processes: an ML node that answers at once or after 20 ms, the API node (transfer agent and executor in one, real
HTTP server and client, real database, all signatures made and checked), and the clients. Chain and outbox are held in memory.
Every request is signed by the developer, as gonka-openai does, and its signature is used once.

    python benchmarks/gateway.py --json
"""

import argparse
import asyncio
import cProfile
import itertools
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson
import uvloop

sys.path.insert(0, str(Path(__file__).parent.parent))

from pivot.api.http.openai import QuestionEndpoint
from pivot.api.listening import Listener, bind
from pivot.primitives.keys import PrivateKey
from pivot.protocol import signing
from tests.api.inference.engine import FakeEngine, entry
from tests.api.inference.network import BLOCK_TIME_NS, EPOCH, MODEL, FakeChain, running_host

TOKENS = 16
DELAYS_MS = (0, 20)
CONCURRENCIES = (1, 4, 16)
REQUESTS = 400
WARM_UP = 50
THROUGHPUT_CONCURRENCY = 32
THROUGHPUT_REQUESTS = 4_000
DEVELOPER = PrivateKey(b"\7" * 32)
"""Of the throughput run."""

Figures = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=REQUESTS, help="requests per line of the table")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    arguments.add_argument("--profile", type=Path, help="write a cProfile of the API node here")
    options = arguments.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        engine_port, node_port = _port_of(context, _run_engine), 0
        parent, child = context.Pipe()
        node = context.Process(target=_run_node, args=(child, engine_port, folder, options.profile), daemon=True)
        node.start()
        node_port, address = parent.recv()
        results = uvloop.run(_measure(engine_port, node_port, address, options.requests))
        parent.send("usage")
        results["throughput"] = uvloop.run(_throughput(node_port, address, parent))
        parent.send("stop")
        node.join()
    figures = {"benchmark": "gateway", **results, "machine": machine(), "versions": versions()}
    print(json.dumps(figures) if options.json else _table(results))


async def _measure(engine_port: int, node_port: int, address: str, requests: int) -> Figures:
    lines = []
    for stream in (False, True):
        for delay in DELAYS_MS:
            for concurrency in CONCURRENCIES:
                body = _body(stream, delay)
                direct = await _load(engine_port, [_request(body)] * (requests + WARM_UP), concurrency)
                signed = [_request(body, _signed(body, address)) for _ in range(requests + WARM_UP)]
                through = await _load(node_port, signed, concurrency)
                line = {"stream": stream, "delay_ms": delay, "concurrency": concurrency}
                for name, share in (("p50", 0.5), ("p99", 0.99)):
                    line[f"direct_{name}_ms"] = _quantile(direct, share)
                    line[f"added_{name}_ms"] = round(_quantile(through, share) - _quantile(direct, share), 3)
                lines.append(line)
    return {"latency": lines}


async def _throughput(node_port: int, address: str, node: Connection) -> Figures:
    """Requests per second, and the node's processor time for one."""
    body = _body(stream=False, delay=0)
    requests = [_request(body, _signed(body, address)) for _ in range(THROUGHPUT_REQUESTS)]
    before = node.recv()
    began = time.perf_counter()
    await _load(node_port, requests, THROUGHPUT_CONCURRENCY)
    wall = time.perf_counter() - began
    node.send("usage")
    processor = node.recv() - before
    return {
        "concurrency": THROUGHPUT_CONCURRENCY,
        "requests_per_second": round(THROUGHPUT_REQUESTS / wall),
        "requests_per_core_second": round(THROUGHPUT_REQUESTS / processor),
        "processor_us_per_request": round(processor / THROUGHPUT_REQUESTS * 1e6),
    }


async def _load(port: int, requests: list[bytes], concurrency: int) -> list[float]:
    """Milliseconds of each answer (a stream's: to its end), without those of the warm-up."""
    waiting = iter(requests)
    took: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            began = time.perf_counter()
            writer.write(request)
            await _read_answer(reader)
            took.append((time.perf_counter() - began) * 1e3)
        writer.close()

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return took[WARM_UP:]


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode() + (await reader.read(1000)).decode())
    length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    if length is not None:
        await reader.readexactly(int(length))
        return
    while int(await reader.readuntil(b"\r\n"), 16):
        await reader.readuntil(b"\r\n")
    await reader.readexactly(2)


def _body(stream: bool, delay: int) -> bytes:
    messages = [{"role": "user", "content": "What is an epoch? " * 8}]
    return orjson.dumps(
        {"model": MODEL, "messages": messages, "max_tokens": TOKENS, "stream": stream, "user": str(delay)}
    )


def _signed(body: bytes, address: str) -> dict[str, str]:
    stamp = next(_stamps)
    message = signing.developer_sign_bytes(signing.body_hash(body), stamp, address)
    return {
        "Authorization": DEVELOPER.sign_base64(message),
        "X-Requester-Address": DEVELOPER.address,
        "X-Timestamp": str(stamp),
    }


_stamps = itertools.count(BLOCK_TIME_NS)


def _request(body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _port_of(context: Any, target: Any) -> int:
    parent, child = context.Pipe()
    context.Process(target=target, args=(child,), daemon=True).start()
    port: int = parent.recv()
    return port


def _run_engine(pipe: Connection) -> None:
    uvloop.run(_engine(pipe))


async def _engine(pipe: Connection) -> None:
    """The cheapest server that answers as vLLM does: 16 tokens with five alternatives each, in one piece or in 16 events."""
    whole, events = _answers()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                request = orjson.loads(await reader.readexactly(length))
                await asyncio.sleep(int(request["user"]) / 1e3)
                if not request["stream"]:
                    writer.write(whole)
                    continue
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for event in events:
                    writer.write(event)
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _answers() -> tuple[bytes, list[bytes]]:
    usage = {"prompt_tokens": 40, "completion_tokens": TOKENS, "total_tokens": 40 + TOKENS}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    entries = [entry(f" word{number}", number) for number in range(TOKENS)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": " word" * TOKENS},
        "logprobs": {"content": entries},
        "finish_reason": "stop",
        "token_ids": list(range(TOKENS)),
    }
    body = orjson.dumps({**base, "choices": [choice], "usage": usage, "prompt_token_ids": list(range(40))})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    documents: list[Any] = [
        {
            **base,
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": " word"},
                    "logprobs": {"content": [entries[number]]},
                    "finish_reason": None,
                    "token_ids": [number],
                }
            ],
        }
        for number in range(TOKENS)
    ]
    documents.append({**base, "choices": [], "usage": usage})
    lines = [b"data: " + orjson.dumps(document) + b"\n\n" for document in documents] + [b"data: [DONE]\n\n"]
    chunks = [f"{len(line):x}\r\n".encode() + line + b"\r\n" for line in lines]
    return head + body, [*chunks, b"0\r\n\r\n"]


def _run_node(pipe: Connection, engine_port: int, folder: str, profile: Path | None) -> None:
    if profile is None:
        uvloop.run(_node(pipe, engine_port, folder))
        return
    recorder = cProfile.Profile(time.thread_time)
    recorder.runcall(uvloop.run, _node(pipe, engine_port, folder))
    recorder.dump_stats(profile)


async def _node(pipe: Connection, engine_port: int, folder: str) -> None:
    """One API node, its server and its client as in production."""
    chain = FakeChain()
    engine = FakeEngine(url=f"http://127.0.0.1:{engine_port}")
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(running_host(Path(folder) / "node", chain, [engine]))
        chain.form_group(EPOCH, {host.address: 10})
        chain.balances[DEVELOPER.address] = 10**15
        bound = bind("127.0.0.1", 0)
        listener = Listener(QuestionEndpoint(host.service), bound)
        await listener.start()
        pipe.send((bound.getsockname()[1], host.address))
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.01)
            if pipe.recv() == "stop":
                break
            await host.settled()
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(used.ru_utime + used.ru_stime)
        await listener.close()


def _quantile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 3)


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """What was measured."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("aiohttp", "uvicorn", "uvloop")},
    }


def _table(results: Figures) -> str:
    lines = ["stream  delay  clients  direct p50   added p50   added p99   (ms)"]
    lines += [
        f"{line['stream']!s:6}  {line['delay_ms']:5}  {line['concurrency']:7}  {line['direct_p50_ms']:10.2f}"
        f"  {line['added_p50_ms']:10.2f}  {line['added_p99_ms']:10.2f}"
        for line in results["latency"]
    ]
    lines.append(json.dumps(results["throughput"]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
