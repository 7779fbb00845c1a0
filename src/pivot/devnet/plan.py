"""What a devnet is made of: hosts, ML nodes, keys, ports. Decided once, kept in `plan.json`, the same at every start."""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from pivot.primitives.keys import PrivateKey

PLAN_FILE = "plan.json"
CONTRACT_FILE = "devnet.json"
MODEL = "pivot/tiny-chat"
SIGNERS = ("local", "tmkms")
"""Who holds the consensus keys: each engine itself, or a tmkms beside it."""
LOOPBACK = "127.0.0.1"
MAX_HOSTS = 16
MAX_ML_NODES = 16
PRIVATE_FILE_MODE = 0o600


class DevnetError(Exception):
    """A sentence for the person at the terminal."""


class MlNodePlan(BaseModel):
    """One ML node."""

    id: str
    management_port: int
    inference_port: int

    @property
    def management_url(self) -> str:
        return f"http://{LOOPBACK}:{self.management_port}"

    @property
    def inference_url(self) -> str:
        return f"http://{LOOPBACK}:{self.inference_port}"


class HostPlan(BaseModel):
    """One host: its keys, the ports of its network node, its ML nodes."""

    account_key: str
    gateway_key: str
    p2p_port: int
    rpc_port: int
    signer_port: int = 0
    """Where the engine waits for its signer; 0 without one."""
    grpc_port: int
    rest_port: int
    public_port: int
    callback_port: int
    admin_port: int
    store_port: int
    """Of the trainings' store."""
    ml_nodes: list[MlNodePlan]

    @property
    def address(self) -> str:
        return PrivateKey.from_hex(self.account_key).address

    @property
    def public_url(self) -> str:
        return f"http://{LOOPBACK}:{self.public_port}"

    @property
    def callback_url(self) -> str:
        return f"http://{LOOPBACK}:{self.callback_port}"

    @property
    def admin_url(self) -> str:
        return f"http://{LOOPBACK}:{self.admin_port}"

    @property
    def rpc_url(self) -> str:
        return f"http://{LOOPBACK}:{self.rpc_port}"

    @property
    def rest_url(self) -> str:
        return f"http://{LOOPBACK}:{self.rest_port}"

    @property
    def grpc_url(self) -> str:
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def signer_address(self) -> str:
        """host:port at which the engine waits for its signer; empty without one."""
        return f"{LOOPBACK}:{self.signer_port}" if self.signer_port else ""


class Plan(BaseModel):
    """A devnet."""

    chain_id: str
    preset: str
    developer_key: str
    api_key: str
    peer_port: int
    """Where rank 0 of a training waits for the other nodes."""
    hosts: list[HostPlan]

    @property
    def developer_address(self) -> str:
        return PrivateKey.from_hex(self.developer_key).address

    @property
    def has_signers(self) -> bool:
        return any(host.signer_port for host in self.hosts)

    @classmethod
    def load(cls, home: Path) -> Self | None:
        """The plan kept in `home`; None if there is none. Raises DevnetError when it cannot be read."""
        path = home / PLAN_FILE
        if not path.exists():
            return None
        try:
            return cls.model_validate_json(path.read_text())
        except ValueError as error:
            raise DevnetError(f"{path} is damaged ({error}); remove {home} to start a new network") from error

    def save(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        write_private(home / PLAN_FILE, self.model_dump_json(indent=2))


def new_plan(*, hosts: int, ml_nodes: int, preset: str, public_port: int | None = None, signer: str = "local") -> Plan:
    """Fresh keys and free ports. `ml_nodes` per host; `public_port` is for the first host; `signer` is one of SIGNERS."""
    if not 1 <= hosts <= MAX_HOSTS or not 0 <= ml_nodes <= MAX_ML_NODES:
        raise DevnetError(f"a devnet has 1 to {MAX_HOSTS} hosts, each with 0 to {MAX_ML_NODES} ML nodes")
    ports = _free_ports(1 + hosts * (9 + 2 * ml_nodes))
    return Plan(
        chain_id=f"pivot-devnet-{secrets.token_hex(3)}",
        preset=preset,
        developer_key=secrets.token_hex(32),
        api_key=f"pk-{secrets.token_urlsafe(24)}",
        peer_port=next(ports),
        hosts=[
            HostPlan(
                account_key=secrets.token_hex(32),
                gateway_key=secrets.token_hex(32),
                p2p_port=next(ports),
                rpc_port=next(ports),
                signer_port=next(ports) if signer == "tmkms" else 0,
                grpc_port=next(ports),
                rest_port=next(ports),
                public_port=public_port if public_port is not None and host == 0 else next(ports),
                callback_port=next(ports),
                admin_port=next(ports),
                store_port=next(ports),
                ml_nodes=[
                    MlNodePlan(id=f"node{node + 1}", management_port=next(ports), inference_port=next(ports))
                    for node in range(ml_nodes)
                ],
            )
            for host in range(hosts)
        ],
    )


def contract(plan: Plan, home: Path) -> dict[str, object]:
    """What `devnet.json` tells tools and tests (design, section 5)."""
    return {
        "chain_id": plan.chain_id,
        "developer": {
            "address": plan.developer_address,
            "private_key_hex": plan.developer_key,
            "api_key": plan.api_key,
        },
        "hosts": [
            {
                "address": host.address,
                "public_url": host.public_url,
                "admin_url": host.admin_url,
                "callback_url": host.callback_url,
                "rpc_url": host.rpc_url,
                "rest_url": host.rest_url,
                "grpc_url": host.grpc_url,
                "home": str(host_home(home, index)),
                "ml_nodes": [
                    {"id": node.id, "management_url": node.management_url, "inference_url": node.inference_url}
                    for node in host.ml_nodes
                ],
            }
            for index, host in enumerate(plan.hosts)
        ],
        "model": MODEL,
    }


def host_home(home: Path, index: int) -> Path:
    """Folder of one host."""
    return home / f"host{index}"


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, in one step."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    partial.replace(path)


def load_plan(home: Path) -> Plan:
    """The plan kept in `home`. Raises DevnetError when there is none."""
    plan = Plan.load(home)
    if plan is None:
        raise DevnetError(f"there is no devnet in {home}: `pivot devnet up --home {home}` makes one")
    return plan


def read_contract(home: Path) -> dict[str, object]:
    """`devnet.json` of a network that has been up. Raises DevnetError."""
    path = home / CONTRACT_FILE
    if not path.exists():
        raise DevnetError(f"there is no devnet in {home}: `pivot devnet up --home {home}` makes one")
    document: dict[str, object] = json.loads(path.read_text())
    return document


def _free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return iter([each.getsockname()[1] for each in sockets])
