"""A second host joins a running network: from nothing, over the interfaces that hosts have, until it signs blocks."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.conftest import pivot, tails
from tests.e2e.network import Network, get, has_signed, until
from tests.e2e.newcomer import Newcomer, same_state

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One host with one ML node, epochs of 120 blocks."""
    home = tmp_path_factory.mktemp("network")
    up = pivot("devnet", "up", "--home", str(home), "--preset", "test", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def newcomer(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(network, tmp_path_factory.mktemp("newcomer"))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.mark.parametrize(
    ("variables", "named", "code"),
    [
        ({"SEED_NODE_RPC_URL": "http://127.0.0.1:1"}, "SEED_NODE_RPC_URL", 1),
        ({"SEED_NODE_RPC_URL": "127.0.0.1:26657"}, "SEED_NODE_RPC_URL", 2),
        ({"SEED_NODE_P2P_URL": "tcp://127.0.0.1"}, "SEED_NODE_P2P_URL", 2),
        ({"SEED_NODE_P2P_URL": ""}, "SEED_NODE_P2P_URL", 2),
        ({"P2P_EXTERNAL_ADDRESS": "tcp://host:port"}, "P2P_EXTERNAL_ADDRESS", 2),
        ({"GENESIS_SHA256": "00" * 32}, "GENESIS_SHA256", 1),
        ({"TRUSTED_BLOCK_PERIOD": "long"}, "TRUSTED_BLOCK_PERIOD", 2),
        ({"SYNC_WITH_SNAPSHOTS": "true"}, "RPC_SERVER_URL_1", 2),
        ({"CONFIG_consensus__timeout_commit": "soon"}, "CONFIG_section__key", 1),
        ({"KEY_NAME": "a b"}, "KEY_NAME", 2),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it_and_leaves_no_home(
    variables: dict[str, str], named: str, code: int, newcomer: Newcomer
) -> None:
    told = newcomer.pivot("node", "join", **variables)
    assert told.returncode == code
    assert told.stdout == ""
    [sentence] = told.stderr.splitlines()
    assert named in sentence
    assert not newcomer.home.exists()


def test_a_taken_port_is_named_and_leaves_no_home(newcomer: Newcomer) -> None:
    host, _, port = newcomer.p2p.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        told = newcomer.pivot("node", "join")
    assert told.returncode == 1
    assert told.stderr.startswith("CONFIG_p2p__laddr (--p2p): ")
    assert not newcomer.home.exists()


async def test_a_host_joins_without_gpu_and_earns_its_place_with_an_ml_node(
    network: Network, newcomer: Newcomer, session: aiohttp.ClientSession
) -> None:
    joined = await asyncio.to_thread(newcomer.pivot, "node", "join", "--json")
    assert joined.returncode == 0, joined.stderr
    told: dict[str, Any] = json.loads(joined.stdout)
    assert told["chain_id"] == network.contract["chain_id"]
    wrong = await asyncio.to_thread(newcomer.pivot, "node", "join", GENESIS_SHA256="11" * 32)
    assert wrong.returncode == 1
    with newcomer.running():
        try:
            await lives(network, newcomer, session, told)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"{error!r}\n{tails(newcomer.logs.parent)}\n{tails(newcomer.home)}")


async def lives(network: Network, newcomer: Newcomer, session: aiohttp.ClientSession, told: dict[str, Any]) -> None:
    """What becomes of the newcomer, in the order in which a host sees it."""
    status = await until(lambda: synced(newcomer))
    assert status["genesis_sha256"] == told["genesis_sha256"]
    assert status["moniker"] == "newcomer"
    assert status["voting_power"] == 0

    address = await until(lambda: registered(network, session, newcomer))
    epoch = await network.epoch(session)
    assert address not in await network.members(session)

    async def next_epoch() -> bool:
        return await network.epoch(session) > epoch

    await until(next_epoch)
    assert address not in await network.members(session), "a host without ML nodes is no participant of an epoch"

    async with network.extra_ml_node() as node:
        async with session.post(newcomer.nodes_url, json=node) as added:
            assert added.status == 200, await added.text()

        async def member() -> bool:
            return (await network.members(session)).get(address, 0) > 0

        await until(member)

        async def validator() -> bool:
            found = await get(session, f"{network.hosts[0]['rpc_url']}/validators")
            powers = {each["pub_key"]["value"]: int(each["voting_power"]) for each in found["result"]["validators"]}
            return powers.get(status["consensus_key"], 0) > 0

        await until(validator)
        await until(lambda: signs(network, session, status["consensus_key"]))
    await same_state(network, newcomer, session)


async def synced(newcomer: Newcomer) -> dict[str, Any] | None:
    """The newcomer's status, once it has caught up."""
    answer = await asyncio.to_thread(newcomer.pivot, "node", "status", "--json")
    if answer.returncode:
        return None
    status: dict[str, Any] = json.loads(answer.stdout)
    return status if not status["catching_up"] and status["height"] > 1 else None


async def registered(network: Network, session: aiohttp.ClientSession, newcomer: Newcomer) -> str | None:
    """The newcomer's address, once the seed's chain knows its URL."""
    document = await get(session, f"{network.hosts[0]['public_url']}/v1/participants")
    found = [each["id"] for each in document["participants"] if each["url"] == newcomer.public_url]
    return str(found[0]) if found else None


async def signs(network: Network, session: aiohttp.ClientSession, consensus_key: str) -> bool:
    """Whether the last complete commit holds a signature of this key."""
    rpc = network.hosts[0]["rpc_url"]
    validators = await get(session, f"{rpc}/validators")
    [address] = [
        each["address"] for each in validators["result"]["validators"] if each["pub_key"]["value"] == consensus_key
    ]
    return await has_signed(session, rpc, address)
