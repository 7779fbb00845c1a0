"""A new node begins with a snapshot of the state, from peers of which one sends a damaged chunk."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.chain.store.snapshot_taker import snapshot_folder
from pivot.chain.store.snapshots import SnapshotFolder
from pivot.node.engine import find_engine
from pivot.node.network_node import application_socket
from tests.conftest import pivot, tails
from tests.e2e.network import Network, get, until
from tests.e2e.newcomer import Newcomer, same_state

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
INTERVAL = 40
SNAPSHOTS = {"SNAPSHOT_INTERVAL": str(INTERVAL), "SNAPSHOT_KEEP_RECENT": "100"}
END_SECONDS = 60
DAMAGE_THE_FIRST_CHUNK = """
import sys
from pivot.chain.__main__ import main
from pivot.chain.server.state_sync import StateSync

take, chunks = StateSync.apply_snapshot_chunk, []

def damaged(self, request):
    chunks.append(request.chunk)
    if len(chunks) == 1:
        request.chunk = request.chunk[:-1] + bytes([request.chunk[-1] ^ 1])
    return take(self, request)

StateSync.apply_snapshot_chunk = damaged
sys.exit(main())
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One host that takes snapshots."""
    home = tmp_path_factory.mktemp("network")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SNAPSHOTS.items():
            environment.setenv(name, value)
        up = pivot("devnet", "up", "--home", str(home), "--preset", "test", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


def newcomer(network: Network, folder: Path) -> Newcomer:
    made = Newcomer(network, folder)
    rpc = network.hosts[0]["rpc_url"]
    made.environment |= SNAPSHOTS | {
        "SYNC_WITH_SNAPSHOTS": "true",
        "RPC_SERVER_URL_1": rpc,
        "RPC_SERVER_URL_2": rpc,
        "TRUSTED_BLOCK_PERIOD": str(INTERVAL // 2),
    }
    made.logs.mkdir()
    return made


def join(node: Newcomer, **variables: str) -> dict[str, Any]:
    told = node.pivot("node", "join", "--json", **variables)
    assert told.returncode == 0, told.stderr
    document: dict[str, Any] = json.loads(told.stdout)
    assert document["state_sync"]
    return document


@contextlib.contextmanager
def running(node: Newcomer, name: str, command: list[str]) -> Iterator[None]:
    with (node.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=node.environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(END_SECONDS)


async def begun_above_1(node: Newcomer, session: aiohttp.ClientSession) -> bool:
    """Whether it has caught up. Raises AssertionError if it began with block 1."""
    try:
        sync = (await get(session, f"http://{node.rpc}/status"))["result"]["sync_info"]
    except aiohttp.ClientError:
        return False
    if sync["catching_up"] or int(sync["latest_block_height"]) == 0:
        return False
    assert int(sync["earliest_block_height"]) > 1
    return True


def events(log: Path) -> list[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line["event"] for line in lines]


def host_snapshots(network: Network) -> SnapshotFolder:
    return snapshot_folder(Path(network.hosts[0]["home"]) / "chain")


async def test_new_nodes_begin_with_snapshots_and_a_damaged_chunk_comes_from_another_peer(
    network: Network, tmp_path_factory: pytest.TempPathFactory, session: aiohttp.ClientSession
) -> None:
    first, second = (newcomer(network, tmp_path_factory.mktemp(name)) for name in ("first", "second"))
    theirs, its = host_snapshots(network), snapshot_folder(first.home / "chain")

    async def a_snapshot() -> bool:
        return bool(theirs.heights())

    await until(a_snapshot)
    told = await asyncio.to_thread(join, first)
    run = [sys.executable, "-m", "pivot.cli", "node", "run", "--grpc", first.grpc, "--rest", first.rest]
    with running(first, "node", run):
        try:
            await until(lambda: begun_above_1(first, session))
            await same_state(network, first, session)
            await take_one_from_two_peers(network, first, second, session, told["node_id"], theirs, its)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"{error!r}\n{tails(first.home)}\n{tails(second.logs.parent)}")


async def take_one_from_two_peers(
    network: Network,
    first: Newcomer,
    second: Newcomer,
    session: aiohttp.ClientSession,
    first_id: str,
    theirs: SnapshotFolder,
    its: SnapshotFolder,
) -> None:
    """The second newcomer's peers are the host and the first newcomer, which both have the same snapshots."""
    document = await asyncio.to_thread(join, second)
    both = f"{document['peers']},{first_id}@{first.p2p}"
    await asyncio.to_thread(join, second, CONFIG_p2p__persistent_peers=both)
    latest = theirs.heights()[0]

    async def both_have_the_next() -> int | None:
        common = [height for height in its.heights() if height > latest and height in theirs.heights()]
        return max(common, default=None)

    height = await until(both_have_the_next)
    assert its.manifest(height) == theirs.manifest(height)
    application = [
        *(sys.executable, "-c", DAMAGE_THE_FIRST_CHUNK),
        *("--home", str(second.home / "chain"), "--socket", str(application_socket(second.home))),
    ]
    with running(second, "application", application):
        await until(lambda: asyncio.to_thread(application_socket(second.home).exists))
        engine = [str(find_engine()), "start", "--home", str(second.home / "engine")]
        with running(second, "engine", engine):
            await until(lambda: begun_above_1(second, session))
            await same_state(network, second, session)
    told = events(second.logs / "application.log")
    assert told.index("a chunk is refused") < told.index("a snapshot is restored")
