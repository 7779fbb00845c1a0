"""Several machines: a second host without GPU joins the first over the public network, its ML nodes stand on two further
machines of its private network, one of them behind a path; what the page "A host on several machines" says of ports holds."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.devnet.genesis import build_genesis
from pivot.devnet.plan import MODEL, Plan, new_plan, write_private
from pivot.node.engine import find_engine
from pivot.node.engine_home import EngineHome, engine_config
from pivot.node.network_node import application_socket
from pivot.protocol.parameters import timeout_commit
from tests.conftest import tails
from tests.deploy.machines import Machine, Machines, why_none
from tests.e2e.network import Network, get, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PRESET = "test"
FIRST, SECOND, DEVELOPER = "10.77.0.1", "10.77.0.2", "10.77.0.9"
SECOND_PRIVATE, GPU_A, GPU_B = "10.78.0.2", "10.78.0.11", "10.78.0.12"
P2P, RPC, API, CALLBACK, ADMIN = 26656, 26657, 9000, 9100, 9200
MANAGEMENT, INFERENCE = 8000, 5000
PROXY_PORT = 8443
ADMIN_TOKEN, CALLBACK_TOKEN, ML_NODE_TOKEN = "admin-word", "callback-word", "ml-node-word"
CUT_SECONDS = 30
BLOCKS_AFTER_THE_CUT = 10
MOST_REQUESTS = 30
OWN_RPC = f"http://127.0.0.1:{RPC}"


@dataclass
class Site:
    """Every machine of the test."""

    machines: Machines
    first: Machine
    second: Machine
    gpu_a: Machine
    gpu_b: Machine
    developer: Machine
    plan: Plan

    def report(self) -> str:
        """What the processes said last."""
        all_of_them = (self.first, self.second, self.gpu_a, self.gpu_b)
        folders = [folder for machine in all_of_them for folder in (machine.folder, machine.folder / "home")]
        return "\n".join(f"{folder}\n{tails(folder)}" for folder in folders)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if reason := why_none():
        pytest.skip(reason)
    find_engine()
    with Machines(tmp_path) as machines:
        yield Site(
            machines,
            first=machines.add("first", public=FIRST),
            second=machines.add("second", public=SECOND, private=SECOND_PRIVATE),
            gpu_a=machines.add("gpu-a", private=GPU_A),
            gpu_b=machines.add("gpu-b", private=GPU_B),
            developer=machines.add("developer", public=DEVELOPER),
            plan=new_plan(hosts=1, ml_nodes=0, preset=PRESET),
        )


def first_host(site: Site) -> dict[str, str]:
    """Make the genesis host's home; what its processes are told."""
    home = site.first.folder / "home"
    engine = EngineHome(home / "engine")
    engine.make_keys()
    engine.genesis_file.write_text(json.dumps(build_genesis(site.plan, [engine.consensus_key()])))
    config = engine_config(
        moniker="first",
        abci_socket=application_socket(home),
        rpc=f"0.0.0.0:{RPC}",
        p2p=f"0.0.0.0:{P2P}",
        timeout_commit=timeout_commit(PRESET),
        peers=[],
        on_one_machine=False,
    )
    engine.write_config(config, {})
    (home / "api").mkdir()
    write_private(home / "api/account.key", site.plan.hosts[0].account_key)
    write_private(home / "api/gateway.key", site.plan.hosts[0].gateway_key)
    node_config = home / "node-config.json"
    node_config.write_text(json.dumps([ml_node("own", "127.0.0.1")]))
    return {
        "PIVOT_HOME": str(home),
        "PUBLIC_URL": f"http://{FIRST}:{API}",
        "NODE_CONFIG_PATH": str(node_config),
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
    }


def second_host(site: Site) -> dict[str, str]:
    """What the second host's processes are told, as in its `config.env`."""
    return {
        "PIVOT_HOME": str(site.second.folder / "home"),
        "KEY_NAME": "second",
        "PUBLIC_URL": f"http://{SECOND}:{API}",
        "P2P_EXTERNAL_ADDRESS": f"tcp://{SECOND}:{P2P}",
        "SEED_NODE_RPC_URL": f"http://{FIRST}:{RPC}",
        "SEED_NODE_P2P_URL": f"tcp://{FIRST}:{P2P}",
        "SEED_API_URL": f"http://{FIRST}:{API}",
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
        "DAPI_API__POC_CALLBACK_URL": f"http://{SECOND_PRIVATE}:{CALLBACK}",
        "DAPI_API__ML_SERVER_HOST": SECOND_PRIVATE,
        "DAPI_API__CALLBACK_TOKEN": CALLBACK_TOKEN,
        "DAPI_API__ADMIN_SERVER_HOST": SECOND_PRIVATE,
        "DAPI_API__ADMIN_TOKEN": ADMIN_TOKEN,
        "ADMIN_URL": f"http://{SECOND_PRIVATE}:{ADMIN}",
    }


def ml_node(node_id: str, host: str, **others: Any) -> dict[str, Any]:
    """How a host declares an ML node."""
    ports = {"inference_port": INFERENCE, "poc_port": MANAGEMENT, "max_concurrent": 8}
    return {"id": node_id, "host": host, **ports, "models": {MODEL: {"args": []}}, **others}


def start_ml_node(machine: Machine, host: str, **variables: str) -> None:
    environment = {"MLNODE_HOST": host, "MLNODE_MANAGEMENT_PORT": str(MANAGEMENT), **variables}
    machine.start("mlnode", "mlnode", "run", environment=environment)


async def listens(machine: Machine, host: str, port: int) -> None:
    """Returns once the port is open."""
    await until(lambda: asyncio.to_thread(machine.reaches, host, port))


async def test_a_host_on_several_machines(site: Site) -> None:
    try:
        await lives(site)
    except (AssertionError, TimeoutError, aiohttp.ClientError) as error:
        pytest.fail(f"{error!r}\n{site.report()}")


async def lives(site: Site) -> None:
    """What happens, in the order in which the hosts see it."""
    await first_host_starts(site)
    environment = second_host(site)
    async with site.developer.session() as session, site.second.session() as at_second:
        await until(lambda: answers(session, f"http://{FIRST}:{RPC}/health"))
        network = await second_host_joins(site, environment, session)
        address = network.hosts[1]["address"]
        first, second = f"http://{FIRST}:{API}", f"http://{SECOND}:{API}"

        await until(lambda: answers(session, f"{first}/v1/epochs/current/participants"))
        assert address not in await network.members(session), "a host without ML nodes is no participant of an epoch"

        start_ml_node(site.gpu_a, GPU_A, MLNODE_TOKEN=ML_NODE_TOKEN)
        start_ml_node(site.gpu_b, "127.0.0.1")
        await listens(site.gpu_a, GPU_A, MANAGEMENT)
        await listens(site.gpu_b, "127.0.0.1", MANAGEMENT)
        upstreams = {
            "gpu-b/management": f"http://127.0.0.1:{MANAGEMENT}",
            "gpu-b/inference": f"http://127.0.0.1:{INFERENCE}",
        }
        async with site.gpu_b.proxy(GPU_B, PROXY_PORT, upstreams):
            await ml_nodes_are_registered(site, environment, at_second)
            both = await until(lambda: has_nodes(session, first, address, {"a", "b"}))
            await only_what_is_public_is_reached(site)
            await nothing_is_wrong_and_ml_nodes_reach_the_callback_url(site, environment)
            await requests_are_answered(network, session)

            removed = await asyncio.to_thread(
                site.second.pivot, "admin", "nodes", "remove", "b", environment=environment
            )
            assert removed.returncode == 0, removed.stderr
            one = await until(lambda: has_nodes(session, second, address, {"a"}))
            assert one < both

            await a_cut_heals(site, session, at_second)
            await is_answered(network, session, 1)


async def first_host_starts(site: Site) -> None:
    """Its first proof of compute begins two seconds after its first block: the node starts last."""
    environment = first_host(site)
    start_ml_node(site.first, "127.0.0.1")
    await listens(site.first, "127.0.0.1", MANAGEMENT)
    site.first.start("api", "api", "run", environment=environment)
    await listens(site.first, "127.0.0.1", CALLBACK)
    site.first.start("node", "node", "run", environment=environment)


async def second_host_joins(site: Site, environment: dict[str, str], session: aiohttp.ClientSession) -> Network:
    """The network of both hosts, once the first one's chain knows the second."""
    joined = await asyncio.to_thread(site.second.pivot, "node", "join", "--json", environment=environment)
    assert joined.returncode == 0, joined.stderr
    assert json.loads(joined.stdout)["chain_id"] == site.plan.chain_id
    site.second.start("node", "node", "run", environment=environment)
    site.second.start("api", "api", "run", environment=environment)

    async def participants() -> dict[str, str]:
        listed = (await get(session, f"http://{FIRST}:{API}/v1/participants"))["participants"]
        found = {each["url"]: str(each["id"]) for each in listed}
        return found if {f"http://{FIRST}:{API}", f"http://{SECOND}:{API}"} <= found.keys() else {}

    await until(lambda: answers(session, f"http://{FIRST}:{API}/v1/participants"))
    addresses = await until(participants)
    developer = {"private_key_hex": site.plan.developer_key, "address": site.plan.developer_address}
    hosts = [{"address": addresses[url], "public_url": url} for url in (f"http://{ip}:{API}" for ip in (FIRST, SECOND))]
    return Network(site.first.folder, {"hosts": hosts, "developer": developer, "model": MODEL})


async def ml_nodes_are_registered(site: Site, environment: dict[str, str], at_second: aiohttp.ClientSession) -> None:
    """One from the terminal, one as `curl` does it, both at the private address."""
    added = await asyncio.to_thread(
        site.second.pivot,
        *("admin", "nodes", "add", "a", "--host", GPU_A, "--model", MODEL, "--node-token", ML_NODE_TOKEN),
        environment=environment,
    )
    assert added.returncode == 0, added.stderr
    behind_paths = {
        "inference_port": PROXY_PORT,
        "inference_segment": "gpu-b/inference",
        "poc_port": PROXY_PORT,
        "poc_segment": "/gpu-b/management/",
    }
    nodes = f"http://{SECOND_PRIVATE}:{ADMIN}/admin/v1/nodes"
    declared = ml_node("b", GPU_B, **behind_paths)
    async with at_second.post(nodes, json=declared) as refused:
        assert refused.status == 401
    async with at_second.post(nodes, json=declared, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as taken:
        assert taken.status == 200, await taken.text()


async def has_nodes(session: aiohttp.ClientSession, url: str, address: str, ids: set[str]) -> int:
    """The host's weight in the current epoch, if just these ML nodes of it have earned it."""
    document = await get(session, f"{url}/v1/epochs/current/participants")
    for member in document["active_participants"]["participants"]:
        if member["index"] == address:
            earned = {
                node["node_id"]: int(node["poc_weight"]) for group in member["ml_nodes"] for node in group["ml_nodes"]
            }
            if earned.keys() == ids:
                assert min(earned.values()) > 0
                assert int(member["weight"]) == sum(earned.values())
                return int(member["weight"])
    return 0


async def only_what_is_public_is_reached(site: Site) -> None:
    """The second host's ports, from the first host and from the machines that may reach them."""
    places = [(SECOND, port) for port in (P2P, API, CALLBACK, ADMIN, RPC, MANAGEMENT, INFERENCE)]
    places += [(SECOND_PRIVATE, CALLBACK), (SECOND_PRIVATE, ADMIN)]
    places += [(gpu, port) for gpu in (GPU_A, GPU_B) for port in (MANAGEMENT, INFERENCE, PROXY_PORT)]
    for outside in (site.first, site.developer):
        assert await reached(outside, places) == {(SECOND, P2P), (SECOND, API)}
    await listens(site.gpu_a, SECOND_PRIVATE, CALLBACK)
    for gpu, port in ((GPU_A, MANAGEMENT), (GPU_A, INFERENCE), (GPU_B, PROXY_PORT)):
        await listens(
            site.second, gpu, port
        )  # the inference port only once its engine is up after the proof of compute


async def nothing_is_wrong_and_ml_nodes_reach_the_callback_url(site: Site, environment: dict[str, str]) -> None:
    """`pivot doctor` on the second host has both ML nodes try the private address, one of them by way of its proxy."""
    told = await asyncio.to_thread(site.second.pivot, "doctor", "--json", environment=environment)
    found = {finding["check"]: finding for finding in json.loads(told.stdout)}
    assert [finding for finding in found.values() if finding["state"] == "wrong"] == []
    assert {found[f"callback url from {node}"]["state"] for node in ("a", "b")} == {"ok"}


async def reached(machine: Machine, places: list[tuple[str, int]]) -> set[tuple[str, int]]:
    answers = await asyncio.gather(*(asyncio.to_thread(machine.reaches, *place) for place in places))
    return {place for place, answer in zip(places, answers, strict=True) if answer}


async def requests_are_answered(network: Network, session: aiohttp.ClientSession) -> None:
    """The second host answers, and it executes what the first one is asked."""
    second = network.hosts[1]["address"]
    await is_answered(network, session, 1)
    for _ in range(MOST_REQUESTS):
        inference = await is_answered(network, session, 0)
        if (await network.record(session, 0, inference))["executed_by"] == second:
            return
    pytest.fail(f"none of {MOST_REQUESTS} requests to the first host was executed by the second")


async def is_answered(network: Network, session: aiohttp.ClientSession, host: int) -> str:
    """Asks a host, signed by the developer; the inference's id."""
    body = network.chat_body(max_tokens=4)
    answer = await network.post(session, host, body, network.signed_headers(body, network.hosts[host]["address"]))
    assert answer.status == 200, answer.raw
    return str(answer.json["id"])


async def a_cut_heals(site: Site, session: aiohttp.ClientSession, at_second: aiohttp.ClientSession) -> None:
    """The second host's public cable is out for half a minute; then both go on, with one state."""
    site.machines.unplug(site.second, "public")
    try:
        assert not await reached(site.first, [(SECOND, API)])
        await asyncio.sleep(CUT_SECONDS)
    finally:
        site.machines.plug(site.second, "public")
    nodes = [(session, f"http://{FIRST}:{RPC}"), (at_second, OWN_RPC)]
    enough = max([await height(*node) for node in nodes]) + BLOCKS_AFTER_THE_CUT

    async def both_went_on() -> bool:
        return all([await height(*node) >= enough for node in nodes])

    await until(both_went_on)
    commits = [await get(client, f"{url}/commit?height={enough}") for client, url in nodes]
    assert len({commit["result"]["signed_header"]["header"]["app_hash"] for commit in commits}) == 1


async def height(session: aiohttp.ClientSession, rpc: str) -> int:
    status = await get(session, f"{rpc}/status")
    return int(status["result"]["sync_info"]["latest_block_height"])


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a GET is answered with 200 by now."""
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
