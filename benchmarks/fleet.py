"""What many ML nodes cost one API node, and how soon one that fails is out of rotation, and back.

Two processes: the ML nodes, each a real HTTP server at a port of its own, and the API node's fleet with the pauses and limits
of production and a real database; the chain is held in memory. Seconds are by the clock, from the moment at which a node is
told to fail; processor time is that of the API node's process alone.

    python benchmarks/fleet.py --nodes 100 --json
"""

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from report import machine, print_table, versions

sys.path.insert(0, str(Path(__file__).parent.parent))

from pivot.api.database import connect, database_url, migrate
from pivot.api.fleet.declaration import NodeDeclaration
from pivot.api.fleet.fleet import HostFleet
from pivot.api.fleet.interface import NodeFault, Serve
from pivot.api.identity import Identity
from pivot.api.settings import ApiSettings
from pivot.api.tls import session_to_ml_nodes
from tests.api.fleet.chain import MODEL, FakeChain, FakeOutbox, key
from tests.api.fleet.ml_node import FakeMlNode

LEASES = 20_000
TRIED = 5
"""One node of so many is made to fail."""
PATIENCE_S = 120.0

Figures = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--nodes", type=int, default=100, help="ML nodes")
    arguments.add_argument("--rest", type=float, default=30.0, help="seconds for which processor time is counted")
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    logging.disable()
    context = multiprocessing.get_context("spawn")
    machines, child = context.Pipe()
    context.Process(target=run_machines, args=(child, options.nodes), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        results = uvloop.run(measure(machines, Path(folder), options.rest))
    if options.json:
        known = versions("aiohttp", "uvloop")
        print(json.dumps({"benchmark": "fleet", "results": results, "machine": machine(), "versions": known}))
    else:
        print_table([{"what": name, "figure": value} for name, value in results.items()])


async def measure(machines: Connection, folder: Path, rest_s: float) -> Figures:
    declared = [NodeDeclaration.parse(document) for document in machines.recv()]
    names = [each.id for each in declared]
    chain = FakeChain()
    async with AsyncExitStack() as stack:
        database = connect(database_url("", folder))
        stack.push_async_callback(database.close)
        await migrate(database)
        settings, identity = ApiSettings(home=folder), Identity(account=key(1), gateway=key(2))
        http = await stack.enter_async_context(session_to_ml_nodes(settings.api))
        fleet = HostFleet(database, http, settings, identity, chain, FakeOutbox(on_put=chain.take_hardware))
        await fleet.start()
        stack.push_async_callback(fleet.close)
        fleet.assign(lambda _: Serve(MODEL))
        began = time.perf_counter()
        refusals = await fleet.put_all(declared)
        assert not any(refusals), refusals
        await seconds_until(lambda: in_rotation(fleet) == set(names))
        figures: Figures = {"nodes": len(names), "all registered and serving, s": since(began)}
        figures |= await processor("at rest", fleet, rest_s)
        figures["a lease and its return, µs"] = await lease_us(fleet)
        for fault, cure, what in (("die", "come back", "dead"), ("freeze", "thaw", "hanging")):
            machines.send((fault, names[::TRIED]))
            out = await seconds_of_each(fleet, names[::TRIED], serving=False)
            machines.send((cure, names[::TRIED]))
            back = await seconds_of_each(fleet, names[::TRIED], serving=True)
            figures |= {f"{what}: out of rotation, s, {of}": value for of, value in spread(out)}
            figures |= {f"{what}: back, s, {of}": value for of, value in spread(back)}
        figures["failing: out of rotation after, requests"] = await failing(fleet)
        machines.send(("freeze", names))
        await seconds_of_each(fleet, names, serving=False)
        figures |= await processor("while all hang", fleet, rest_s)
        machines.send(("thaw", names))
        figures["all hung: all back, s"] = max(await seconds_of_each(fleet, names, serving=True))
        machines.send(("end", []))
        return figures


async def processor(when: str, fleet: HostFleet, seconds: float) -> Figures:
    """Processor time of this process while nobody asks anything, and how late its loop comes at most."""
    latest = 0.0
    before, began = time.process_time(), time.perf_counter()
    while (at := time.perf_counter()) < began + seconds:
        await asyncio.sleep(0.05)
        latest = max(latest, time.perf_counter() - at - 0.05)
    share = (time.process_time() - before) / (time.perf_counter() - began)
    return {
        f"{when}: share of a core, %": round(100 * share, 2),
        f"{when}: of it each node, ‰": round(1_000 * share / len(fleet.nodes()), 3),
        f"{when}: loop late at most, ms": round(1_000 * latest, 1),
    }


async def lease_us(fleet: HostFleet) -> float:
    """Processor time of one choice among all nodes."""
    before = time.process_time()
    for _ in range(LEASES):
        async with fleet.lend(MODEL, wait_s=0):
            pass
    return round((time.process_time() - before) / LEASES * 1e6, 1)


async def failing(fleet: HostFleet) -> int:
    """Requests of which one node fails each that it gets, until it is left alone. How many it was given."""
    broken, given = fleet.nodes()[0].id, 0
    while not any(node.failing for node in fleet.nodes()):
        with contextlib.suppress(NodeFault):
            async with fleet.lend(MODEL, wait_s=1) as lease:
                given += lease.node_id == broken
                require_other(lease.node_id, broken)
        await asyncio.sleep(0.01)
    return given


def require_other(node_id: str, broken: str) -> None:
    if node_id == broken:
        raise NodeFault("it fails what it is asked")


def in_rotation(fleet: HostFleet) -> set[str]:
    return {node.id for node in fleet.nodes() if node.reachable and node.fulfils}


async def seconds_of_each(fleet: HostFleet, names: Sequence[str], *, serving: bool) -> list[float]:
    """How long it takes until each of these is, or is not, in rotation."""
    began = time.perf_counter()
    took: dict[str, float] = {}
    while len(took) < len(names):
        now = in_rotation(fleet)
        took |= {name: since(began) for name in names if name not in took and (name in now) == serving}
        if since(began) > PATIENCE_S:
            raise TimeoutError(f"{len(names) - len(took)} nodes are not there in {PATIENCE_S} s")
        await asyncio.sleep(0.01)
    return list(took.values())


async def seconds_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def spread(values: Sequence[float]) -> Iterable[tuple[str, float]]:
    return [("half", round(statistics.median(values), 2)), ("all", round(max(values), 2))]


def since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def run_machines(pipe: Connection, count: int) -> None:
    uvloop.run(be_machines(pipe, count))


async def be_machines(pipe: Connection, count: int) -> None:
    """The ML nodes: they do as they are told, until they are told to end."""
    async with AsyncExitStack() as stack:
        nodes = {
            f"node{number:03}": await stack.enter_async_context(FakeMlNode.running()) for number in range(1, count + 1)
        }
        pipe.send([node.declared(name, max_concurrent=16) for name, node in nodes.items()])
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.01)
            what, names = pipe.recv()
            if what == "end":
                return
            await asyncio.gather(*(told(nodes[name], what) for name in names))


async def told(node: FakeMlNode, what: str) -> None:
    match what:
        case "die":
            await node.die()
        case "come back":
            await node.come_back()
        case _:
            node.frozen = what == "freeze"


if __name__ == "__main__":
    main()
