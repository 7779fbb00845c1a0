"""What a devnet is doing now, asked of its public interfaces."""

import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from pivot.devnet.network import get_json, running
from pivot.devnet.plan import DevnetError, Plan, host_home
from pivot.node.network_node import halt_sentence


@dataclass(frozen=True)
class HostStatus:
    """One host, as the first host's API node sees it."""

    address: str
    public_url: str
    weight: int
    ml_nodes: list[dict[str, str]]


@dataclass(frozen=True)
class NetworkStatus:
    """The answer of `pivot devnet status`."""

    chain_id: str
    height: int = 0
    epoch: int = 0
    phase: str = "starting"
    blocks_to_next_sprint: int = 0
    app_hash: str = ""
    hosts: list[HostStatus] = field(default_factory=list)
    processes: list[dict[str, Any]] = field(default_factory=list)
    last_requests: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def ask(home: Path, plan: Plan) -> NetworkStatus:
    """The state of the network in `home`. Raises DevnetError when none is up."""
    found = running(home)
    if found is None:
        halt = halt_sentence(host_home(home, 0))
        raise DevnetError(f"no network is up in {home}{halt and f': {halt}'}")
    first = plan.hosts[0]
    async with aiohttp.ClientSession() as session:
        chain, epoch, members, inferences, *nodes = await asyncio.gather(
            get_json(session, f"{first.rpc_url}/status"),
            get_json(session, f"{first.public_url}/v1/epochs/latest"),
            get_json(session, f"{first.public_url}/v1/epochs/current/participants"),
            get_json(
                session,
                f"{first.rest_url}/productscience/inference/inference/inference?pagination.limit=5&pagination.reverse=true",
            ),
            *(_ml_nodes(session, host.admin_url) for host in plan.hosts),
        )
    weights = {
        member["index"]: int(member["weight"])
        for member in (members or {}).get("active_participants", {}).get("participants", [])
    }
    sync = chain["result"]["sync_info"] if chain else {}
    height = int(sync.get("latest_block_height", 0))
    return NetworkStatus(
        chain_id=plan.chain_id,
        height=height,
        epoch=int(epoch["latest_epoch"]["index"]) if epoch else 0,
        phase=str(epoch["phase"]) if epoch else "starting",
        blocks_to_next_sprint=max(0, int(epoch["next_epoch_stages"]["poc_start"]) - height) if epoch else 0,
        app_hash=str(sync.get("latest_app_hash", "")),
        hosts=[
            HostStatus(host.address, host.public_url, weights.get(host.address, 0), known)
            for host, known in zip(plan.hosts, nodes, strict=True)
        ],
        processes=found.processes,
        last_requests=(inferences or {}).get("inference", []),
    )


async def _ml_nodes(session: aiohttp.ClientSession, admin_url: str) -> list[dict[str, str]]:
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with session.get(f"{admin_url}/admin/v1/nodes", timeout=timeout) as answer:
            listed = await answer.json() if answer.status == 200 else []
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return []
    return [{"id": item["node"]["id"], "status": item["state"]["current_status"]} for item in listed]
