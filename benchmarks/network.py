"""What real engines and applications commit, all on this machine with their client, and where the time goes.

- `one`: one validator, signed sends of 300 bytes, as many as it takes: a client keeps the engine's queue filled.
- `four`: four validators, transactions of 1 KB (five sends) at a fixed rate, to all four in turn.

Transactions are signed beforehand, by accounts of their own, and sent over HTTP (broadcast_tx_async). Every committed one is
found again in its block. Time to commit: from the sending to the moment at which the client sees the block.

    python benchmarks/network.py --json
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import aiohttp
import cosmpy.protos  # noqa: F401
import uvloop
from chain import app_state
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin
from report import machine, print_table, versions

from pivot.node.engine import ENGINE_VERSION, find_engine
from pivot.node.engine_home import EngineHome, engine_config, genesis_document
from pivot.node.supervisor import ProcessSpec, Supervisor
from pivot.primitives.keys import PrivateKey
from pivot.protocol.transactions import ordered, transaction_hash

CHAIN_ID = "pivot-benchmark-1"
LOOPBACK = "127.0.0.1"
TIMEOUT_COMMIT = "200ms"
"""As on a devnet: a pause of mainnet's length would be what is measured."""
BATCH = 10
"""Requests of one POST: as many as the engine takes."""
CONNECTIONS = 8
WINDOW = 4_800
"""Transactions under way at most; the engine's queue holds 5,000."""
POLL_SECONDS = 0.05
WARM_UP_SECONDS = 3.0
START_SECONDS = 60.0
DRAIN_SECONDS = 60.0
MEMO_CHARACTERS = 250
TICKS = os.sysconf("SC_CLK_TCK")
KINDS = ("check_tx", "prepare_proposal", "process_proposal", "finalize_block", "commit")
HERE = Path(__file__).parent

Figures = dict[str, int | float | str]


@dataclass(frozen=True)
class Load:
    """What the client sends."""

    name: str
    validators: int
    bytes: int
    """Of one transaction, about."""
    accounts: int
    rate: int | None
    """Transactions per second; None: as many as go."""
    most_per_s: int
    """So many are signed beforehand for each second."""


LOADS = (
    Load("one", validators=1, bytes=300, accounts=4_000, rate=None, most_per_s=5_000),
    Load("four", validators=4, bytes=1_000, accounts=1_000, rate=260, most_per_s=260),
)
SECONDS = {"one": 30, "four": 60}


@dataclass
class Course:
    """What has happened so far."""

    sent: dict[str, float] = field(default_factory=dict)
    """When each transaction was sent, by hash."""
    blocks: list[tuple[int, float, int]] = field(default_factory=list)
    """Height, when it was seen, number of transactions."""
    committed: int = 0
    refused: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a block has been seen."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--load", choices=[load.name for load in LOADS], help="only this one")
    arguments.add_argument("--seconds", type=int, help="how long to send (default: 30 for one validator, 60 for four)")
    arguments.add_argument("--folder", type=Path, help="where to put the nodes for the time being")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results, costs = [], []
    for load in LOADS:
        if options.load in (None, load.name):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                seconds = options.seconds or SECONDS[load.name]
                measured = uvloop.run(measure(load, Path(folder), seconds))
            results.append(measured[0])
            costs.append(measured[1])
    if options.json:
        document = {"benchmark": "network", "loads": results, "costs": costs, "machine": machine()}
        print(json.dumps(document | {"versions": {**versions(), "cometbft": ENGINE_VERSION}}))
    else:
        print_table(results)
        print_table(costs)


async def measure(load: Load, folder: Path, seconds: int) -> tuple[Figures, Figures]:
    """Make the nodes, send, stop. Returns what was committed, and what a transaction cost whom."""
    keys = [PrivateKey(hashlib.sha256(b"%d" % i).digest()) for i in range(load.accounts)]
    transactions = signed(load, keys, load.most_per_s * seconds)
    urls, supervisor = prepare(folder, load.validators, keys)
    supervisor.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        try:
            await until_ready(http, urls)
            course = Course()
            before, began = cpu_seconds(supervisor), time.perf_counter()
            async with asyncio.timeout(seconds + DRAIN_SECONDS), asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follow(http, urls[0], course))
                await send_all(http, urls, transactions, load, course, began + seconds)
                ended, after = time.perf_counter(), cpu_seconds(supervisor)
                await drained(course)
                following.cancel()
            latencies = await times_to_commit(http, urls[0], course, began + WARM_UP_SECONDS)
        finally:
            await supervisor.stop()
    figures = committed_figures(load, course, latencies, began, ended)
    used = {name: (after[name] - before[name]) / (ended - began) for name in after}
    return figures, costs_of(load, folder, course, used)


def signed(load: Load, keys: Sequence[PrivateKey], count: int) -> list[bytes]:
    """Sends of every account to the next one, round after round; as many messages as make the size."""
    made = []
    for number in range(count):
        sequence, place = divmod(number, len(keys))
        made.append(one_signed(load.bytes, keys[place], keys[place - 1], place, sequence))
    return made


def one_signed(size: int, source: PrivateKey, target: PrivateKey, account: int, sequence: int) -> bytes:
    """One transaction of about so many bytes: one send and a memo, or more sends where the memo is too short."""
    send = MsgSend(from_address=source.address, to_address=target.address, amount=[Coin(denom="ngonka", amount="1")])
    sends, memo = 1, ""
    while True:
        raw = ordered(source, [send] * sends, chain_id=CHAIN_ID, account_number=account, sequence=sequence, memo=memo)
        lacking = size - len(raw)
        if memo or lacking <= 0:
            return raw
        if lacking > MEMO_CHARACTERS:
            sends += 1
        else:
            memo = "x" * max(1, lacking - 3)


def prepare(folder: Path, validators: int, keys: Sequence[PrivateKey]) -> tuple[list[str], Supervisor]:
    """Homes of so many nodes that know each other. Returns their RPC addresses and what runs them."""
    engine = find_engine()
    homes = [EngineHome(folder / f"node{i}") for i in range(validators)]
    ports = free_ports(2 * validators)
    places = [(f"{LOOPBACK}:{next(ports)}", f"{LOOPBACK}:{next(ports)}") for _ in homes]
    for home in homes:
        home.make_keys()
    consensus_keys = [home.consensus_key() for home in homes]
    hosts = dict(zip(keys, consensus_keys, strict=False))
    state = app_state([key.address for key in keys], hosts)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    genesis = json.dumps(genesis_document(CHAIN_ID, now, dict.fromkeys(consensus_keys, 10), state))
    peers = [f"{home.node_id()}@{p2p}" for home, (_, p2p) in zip(homes, places, strict=True)]
    groups = []
    for i, (home, (rpc, p2p)) in enumerate(zip(homes, places, strict=True)):
        application = home.path / "application.sock"
        home.genesis_file.write_text(genesis)
        home.write_config(
            engine_config(
                moniker=f"node{i}",
                abci_socket=application,
                rpc=rpc,
                p2p=p2p,
                timeout_commit=TIMEOUT_COMMIT,
                peers=[peer for j, peer in enumerate(peers) if j != i],
                on_one_machine=True,
            )
        )
        command = [sys.executable, str(HERE / "timed_application.py"), "--home", str(home.path / "chain")]
        command += ["--socket", str(application), "--report", str(home.path / "times.json")]
        groups.append(
            [
                ProcessSpec("application", command, home.path / "application.log"),
                ProcessSpec(
                    "engine",
                    [str(engine), "start", "--home", str(home.path)],
                    home.path / "engine.log",
                    waits_for=application.exists,
                ),
            ]
        )
    return [f"http://{rpc}" for rpc, _ in places], Supervisor(groups)


def free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return iter([each.getsockname()[1] for each in sockets])


async def until_ready(http: aiohttp.ClientSession, urls: Sequence[str]) -> None:
    """Every node has seen a block."""
    async with asyncio.timeout(START_SECONDS):
        for url in urls:
            while await height(http, url) < 1:
                await asyncio.sleep(POLL_SECONDS)


async def height(http: aiohttp.ClientSession, url: str) -> int:
    """The last block that the node's application has committed; 0 while it does not answer."""
    try:
        told = await ask(http, url, "abci_info")
    except (aiohttp.ClientError, KeyError):
        return 0
    return int(told["response"].get("last_block_height", 0))


async def ask(http: aiohttp.ClientSession, url: str, method: str, **parameters: int) -> Any:
    async with http.get(f"{url}/{method}", params=parameters) as answer:
        return json.loads(await answer.read())["result"]


async def send_all(
    http: aiohttp.ClientSession,
    urls: Sequence[str],
    transactions: Sequence[bytes],
    load: Load,
    course: Course,
    end: float,
) -> None:
    """Send until `end`. An account's transactions all go over one connection, so they come in their order."""
    own: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for number, raw in enumerate(transactions):
        own[number % load.accounts % CONNECTIONS].append(raw)
    senders = [send_own(http, urls[place % len(urls)], queue, load, course, end) for place, queue in enumerate(own)]
    await asyncio.gather(*senders)


async def send_own(
    http: aiohttp.ClientSession, url: str, queue: Sequence[bytes], load: Load, course: Course, end: float
) -> None:
    """One connection's transactions, in batches: at their rate, or while there is room in the window."""
    began = time.perf_counter()
    size = BATCH if load.rate is None else 1
    for first in range(0, len(queue), size):
        if load.rate is None:
            while len(course.sent) - course.committed > WINDOW and time.perf_counter() < end:
                course.moved.clear()
                await course.moved.wait()
        else:
            await asyncio.sleep(began + first * CONNECTIONS / load.rate - time.perf_counter())
        if time.perf_counter() >= end:
            return
        left = queue[first : first + size]
        while left := await post(http, url, left, course):
            await asyncio.sleep(POLL_SECONDS)


async def post(http: aiohttp.ClientSession, url: str, batch: Sequence[bytes], course: Course) -> list[bytes]:
    """Hand over transactions; note when. Returns those for which the engine's queue had no room."""
    now = time.perf_counter()
    course.sent.update({transaction_hash(raw): now for raw in batch})
    calls = [
        {
            "jsonrpc": "2.0",
            "id": i,
            "method": "broadcast_tx_async",
            "params": {"tx": base64.b64encode(raw).decode()},
        }
        for i, raw in enumerate(batch)
    ]
    async with http.post(url, data=json.dumps(calls)) as answer:
        answers = json.loads(await answer.read())
    refused = [batch[each["id"]] for each in (answers if isinstance(answers, list) else [answers]) if "error" in each]
    course.refused += len(refused)
    for raw in refused:
        del course.sent[transaction_hash(raw)]
    return refused


async def follow(http: aiohttp.ClientSession, url: str, course: Course) -> None:
    """See the blocks as they come."""
    last = await height(http, url)
    while True:
        newest = await height(http, url)
        now = time.perf_counter()
        if newest == last:
            await asyncio.sleep(POLL_SECONDS)
            continue
        found = await ask(http, url, "blockchain", minHeight=last + 1, maxHeight=min(newest, last + 20))
        for meta in reversed(found["block_metas"]):
            last = int(meta["header"]["height"])
            course.blocks.append((last, now, int(meta["num_txs"])))
            course.committed += int(meta["num_txs"])
        course.moved.set()


async def drained(course: Course) -> None:
    """All that was sent has been committed."""
    while course.committed < len(course.sent):
        await asyncio.sleep(POLL_SECONDS)


async def times_to_commit(http: aiohttp.ClientSession, url: str, course: Course, since: float) -> list[float]:
    """Seconds from sending to commit of the transactions sent since then. Every one must have been executed well."""
    found = []
    for block_height, seen, count in course.blocks:
        if not count:
            continue
        block = await ask(http, url, "block", height=block_height)
        results = await ask(http, url, "block_results", height=block_height)
        if failed := [each for each in results["txs_results"] if each["code"]]:
            raise SystemExit(f"{len(failed)} transactions of block {block_height} failed: {failed[0]['log']}")
        for text in block["block"]["data"]["txs"]:
            sent = course.sent[transaction_hash(base64.b64decode(text))]
            if sent >= since:
                found.append(seen - sent)
    return sorted(found)


def committed_figures(load: Load, course: Course, latencies: Sequence[float], began: float, ended: float) -> Figures:
    steady = [(seen, count) for _, seen, count in course.blocks if began + WARM_UP_SECONDS <= seen <= ended]
    span = steady[-1][0] - steady[0][0]
    return {
        "load": load.name,
        "validators": load.validators,
        "tx_bytes": load.bytes,
        "committed": course.committed,
        "refused": course.refused,
        "tx_per_s": round(sum(count for _, count in steady[1:]) / span),
        "block_s": round(span / (len(steady) - 1), 2),
        "p50_s": round(statistics.median(latencies), 2),
        "p95_s": round(latencies[len(latencies) * 95 // 100], 2),
    }


def costs_of(load: Load, folder: Path, course: Course, used: dict[str, float]) -> Figures:
    """Cores in use while sending, and CPU microseconds of an application for each committed transaction."""
    reports = [json.loads((folder / f"node{i}" / "times.json").read_text()) for i in range(load.validators)]
    microseconds = 1e6 / load.validators / course.committed
    spent = {kind: sum(each["answers"][kind][1] for each in reports) * microseconds for kind in KINDS}
    in_all = sum(each["cpu_s"] for each in reports) * microseconds
    return {
        "load": load.name,
        "engine_cores": round(used["engine"], 2),
        "application_cores": round(used["application"], 2),
        "client_cores": round(used["client"], 2),
        **{f"{kind}_us": round(each) for kind, each in spent.items()},
        "socket_us": round(in_all - sum(spent.values())),
        "checks_per_tx": round(sum(each["answers"]["check_tx"][0] for each in reports) * microseconds / 1e6, 2),
    }


def cpu_seconds(supervisor: Supervisor) -> dict[str, float]:
    """CPU seconds so far of all engines, of all applications, and of this client."""
    spent = {"engine": 0.0, "application": 0.0, "client": time.process_time()}
    for state in supervisor.processes:
        fields = Path(f"/proc/{state.pid}/stat").read_text().rpartition(")")[2].split()
        spent[state.spec.name] += (int(fields[11]) + int(fields[12])) / TICKS
    return spent


if __name__ == "__main__":
    sys.exit(main())
