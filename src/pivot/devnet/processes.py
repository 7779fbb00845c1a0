"""The processes of a devnet: which command, which settings, in which order."""

import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pivot.devnet.plan import LOOPBACK, MODEL, HostPlan, MlNodePlan, Plan, host_home, write_private
from pivot.node.engine_home import EngineHome, engine_config
from pivot.node.network_node import NodeSettings, application_socket, node_groups
from pivot.node.signer_home import SignerHome
from pivot.node.supervisor import ProcessSpec
from pivot.protocol.parameters import timeout_commit

ML_NODE_MAX_CONCURRENT = 16
ML_NODE_HARDWARE = {"type": "CPU", "count": 1}
HOME_VARIABLE = "PIVOT_DEVNET_HOME"
"""Tells in a process's environment which network it belongs to."""
ENGINE_PATIENCE_SECONDS = 15.0
"""An engine starts after this long even if a node of its host is not up: the network does without it."""
CONNECT_SECONDS = 0.2


def engine_home(home: Path, index: int) -> EngineHome:
    return EngineHome(host_home(home, index) / "engine")


def signer_home(home: Path, index: int) -> SignerHome:
    return SignerHome(host_home(home, index) / "signer")


def process_groups(plan: Plan, home: Path, engine: Path, tmkms: Path | None = None) -> list[list[ProcessSpec]]:
    """Groups for the supervisor: ML nodes first, as they take longest; engine and application are one group.

    Raises TwoConsensusKeys.
    """
    groups: list[list[ProcessSpec]] = []
    for index, host in enumerate(plan.hosts):
        groups += [[_ml_node(home, index, node)] for node in host.ml_nodes]
        settings = NodeSettings(
            home=host_home(home, index),
            engine=engine,
            rpc_url=host.rpc_url,
            grpc=f"{LOOPBACK}:{host.grpc_port}",
            rest=f"{LOOPBACK}:{host.rest_port}",
            logs=home / "logs",
            log_prefix=f"host{index}-",
            host=index,
            engine_waits_for=_all_listen(host),
        )
        if tmkms is not None:
            groups += [
                [ProcessSpec("signer", signer_home(home, index).command(tmkms), _log(home, index, "signer"), index)]
            ]
        groups += [*node_groups(settings), [_api(plan, home, index, host)]]
    return groups


def _all_listen(host: HostPlan) -> Callable[[], bool]:
    """Whether the host's API node and ML nodes are up: the first sprint begins two seconds after the first block."""
    ports = [host.callback_port, *(node.management_port for node in host.ml_nodes)]
    began: float | None = None

    def listen() -> bool:
        nonlocal began
        now = time.monotonic()
        began = now if began is None else began
        return now - began > ENGINE_PATIENCE_SECONDS or all(_listens(port) for port in ports)

    return listen


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def write_settings(plan: Plan, home: Path) -> None:
    """Everything that the processes read from files: engine configurations, keys, lists of ML nodes."""
    homes = [engine_home(home, index) for index in range(len(plan.hosts))]
    peers = [f"{engine.node_id()}@{LOOPBACK}:{host.p2p_port}" for engine, host in zip(homes, plan.hosts, strict=True)]
    for index, host in enumerate(plan.hosts):
        config = engine_config(
            moniker=f"host{index}",
            abci_socket=application_socket(host_home(home, index)),
            rpc=f"{LOOPBACK}:{host.rpc_port}",
            p2p=f"{LOOPBACK}:{host.p2p_port}",
            timeout_commit=timeout_commit(plan.preset),
            peers=[peer for other, peer in enumerate(peers) if other != index],
            on_one_machine=True,
            signer=host.signer_address,
        )
        homes[index].write_config(config)
        if host.signer_port:
            signer_home(home, index).write_config(plan.chain_id, host.signer_address)
        api_home = host_home(home, index) / "api"
        api_home.mkdir(parents=True, exist_ok=True)
        write_private(api_home / "account.key", host.account_key)
        write_private(api_home / "gateway.key", host.gateway_key)
        nodes = [_node_config(node) for node in host.ml_nodes]
        (api_home / "node-config.json").write_text(json.dumps(nodes, indent=2))


def _node_config(node: MlNodePlan) -> dict[str, object]:
    return {
        "id": node.id,
        "host": LOOPBACK,
        "inference_port": node.inference_port,
        "poc_port": node.management_port,
        "max_concurrent": ML_NODE_MAX_CONCURRENT,
        "models": {MODEL: {"args": []}},
        "hardware": [ML_NODE_HARDWARE],
    }


def _api(plan: Plan, home: Path, index: int, host: HostPlan) -> ProcessSpec:
    folder = host_home(home, index) / "api"
    environment = {
        "DAPI_HOME": str(folder),
        "KEY_NAME": "account",
        "DAPI_API__PUBLIC_URL": host.public_url,
        "DAPI_API__PUBLIC_SERVER_PORT": str(host.public_port),
        "DAPI_API__PUBLIC_SERVER_HOST": LOOPBACK,
        "DAPI_API__ML_SERVER_PORT": str(host.callback_port),
        "DAPI_API__ADMIN_SERVER_PORT": str(host.admin_port),
        "DAPI_API__POC_CALLBACK_URL": host.callback_url,
        "DAPI_API__ALLOW_PRIVATE_URLS": "true",
        "DAPI_CHAIN_NODE__URL": host.rpc_url,
        "DAPI_CHAIN_NODE__GRPC_URL": host.grpc_url,
        "DAPI_CHAIN_NODE__REST_URL": host.rest_url,
        "DAPI_TRAINING__ENABLED": "true",
        "DAPI_TRAINING__SERVER_PORT": str(host.store_port),
        "DAPI_TRAINING__STORE_URL": f"{LOOPBACK}:{host.store_port}",
        "DAPI_TRAINING__PEER_PORT": str(plan.peer_port),
        "NODE_CONFIG_PATH": str(folder / "node-config.json"),
        "DATABASE_URL": "",  # one that this shell has is not for every host of a devnet
    }
    return ProcessSpec("api", _python("pivot.api"), _log(home, index, "api"), index, environment)


def _ml_node(home: Path, index: int, node: MlNodePlan) -> ProcessSpec:
    environment = {
        "MLNODE_HOST": LOOPBACK,
        "MLNODE_MANAGEMENT_PORT": str(node.management_port),
        "MLNODE_INFERENCE_PORT": str(node.inference_port),
        "MLNODE_STATE_DIR": str(host_home(home, index) / node.id),
        "MLNODE_TRAIN_DIR": str(host_home(home, index) / node.id / "training"),
        HOME_VARIABLE: str(home),
        "OPENBLAS_NUM_THREADS": "1",
    }
    return ProcessSpec("mlnode", _python("pivot.mlnode"), _log(home, index, node.id), index, environment)


def _python(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", *arguments]


def _log(home: Path, index: int, name: str) -> Path:
    return home / "logs" / f"host{index}-{name}.log"
