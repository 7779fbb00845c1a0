"""The first host of a network, as processes of this machine that listen on all its addresses, so that containers reach them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pivot.devnet.genesis import build_genesis
from pivot.devnet.plan import LOOPBACK, MODEL, HostPlan, Plan, new_plan, write_private
from pivot.node.engine import find_engine
from pivot.node.engine_home import EngineHome, engine_config
from pivot.node.genesis import genesis_sha256
from pivot.node.network_node import NodeSettings, application_socket, node_groups
from pivot.node.supervisor import ProcessSpec, Supervisor
from pivot.protocol.parameters import timeout_commit

PRESET = "devnet"
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True)
class GenesisHost:
    """Where the host is found at `address`, and who holds coins."""

    plan: Plan
    address: str
    genesis_sha256: str
    logs: Path

    @property
    def _host(self) -> HostPlan:
        return self.plan.hosts[0]

    @property
    def api_url(self) -> str:
        return f"http://{self.address}:{self._host.public_port}"

    @property
    def rpc_url(self) -> str:
        return f"http://{self.address}:{self._host.rpc_port}"

    @property
    def p2p_url(self) -> str:
        return f"tcp://{self.address}:{self._host.p2p_port}"


@asynccontextmanager
async def genesis_host(home: Path, address: str) -> AsyncIterator[GenesisHost]:
    """Run a host with one ML node from a genesis of its own; `address` is where others reach this machine."""
    plan = new_plan(hosts=1, ml_nodes=1, preset=PRESET)
    host = plan.hosts[0]
    engine_home = EngineHome(home / "engine")
    engine_home.make_keys()
    genesis = build_genesis(plan, [engine_home.consensus_key()])
    [listed] = genesis["app_state"]["inference"]["participants"]
    listed["participant"]["inference_url"] = f"http://{address}:{host.public_port}"
    engine_home.genesis_file.write_text(json.dumps(genesis))
    engine_home.write_config(
        engine_config(
            moniker="genesis",
            abci_socket=application_socket(home),
            rpc=f"{EVERYWHERE}:{host.rpc_port}",
            p2p=f"{EVERYWHERE}:{host.p2p_port}",
            timeout_commit=timeout_commit(PRESET),
            peers=[],
            on_one_machine=True,
        ),
        {},
    )
    supervisor = Supervisor(_groups(home, plan, address))
    supervisor.start()
    try:
        yield GenesisHost(plan, address, genesis_sha256(genesis), home / "logs")
    finally:
        await supervisor.stop()


def _groups(home: Path, plan: Plan, address: str) -> list[list[ProcessSpec]]:
    host = plan.hosts[0]
    [node] = host.ml_nodes
    api_home = home / "api"
    api_home.mkdir(parents=True)
    write_private(api_home / "account.key", host.account_key)
    write_private(api_home / "gateway.key", host.gateway_key)
    declared = {
        "id": node.id,
        "host": LOOPBACK,
        "inference_port": node.inference_port,
        "poc_port": node.management_port,
        "max_concurrent": 4,
        "models": {MODEL: {"args": []}},
    }
    (api_home / "node-config.json").write_text(json.dumps([declared]))
    settings = NodeSettings(
        home=home,
        engine=find_engine(),
        rpc_url=host.rpc_url,
        grpc=f"{LOOPBACK}:{host.grpc_port}",
        rest=f"{LOOPBACK}:{host.rest_port}",
        logs=home / "logs",
    )
    api = {
        "DAPI_HOME": str(api_home),
        "DAPI_API__PUBLIC_URL": f"http://{address}:{host.public_port}",
        "DAPI_API__PUBLIC_SERVER_PORT": str(host.public_port),
        "DAPI_API__ML_SERVER_PORT": str(host.callback_port),
        "DAPI_API__ADMIN_SERVER_PORT": str(host.admin_port),
        "DAPI_API__POC_CALLBACK_URL": host.callback_url,
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
        "DAPI_CHAIN_NODE__URL": host.rpc_url,
        "DAPI_CHAIN_NODE__GRPC_URL": host.grpc_url,
        "DAPI_CHAIN_NODE__REST_URL": host.rest_url,
        "NODE_CONFIG_PATH": str(api_home / "node-config.json"),
    }
    ml_node = {
        "MLNODE_MANAGEMENT_PORT": str(node.management_port),
        "MLNODE_INFERENCE_PORT": str(node.inference_port),
        "OPENBLAS_NUM_THREADS": "1",
    }
    return [
        [_process(home, "mlnode", ml_node)],
        *node_groups(settings),
        [_process(home, "api", api)],
    ]


def _process(home: Path, name: str, environment: dict[str, str]) -> ProcessSpec:
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(("DAPI_", "CONFIG_"))}
    return ProcessSpec(
        name, [sys.executable, "-m", f"pivot.{name}"], home / "logs" / f"{name}.log", 0, {**kept, **environment}
    )
