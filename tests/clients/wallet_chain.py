"""A chain for wallets: one real engine with its application and gateway, and people with coins."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from pivot.protocol.governance import gov_params
from tests.chain.chain import CHAIN_ID, key
from tests.chain.server.engine import Node, free_port, wait_until
from tests.e2e.lone_node import command

COINS = 10**12
PEOPLE = ("alice", "bob", "carol", "host")
"""`host` is the only member of the network: its votes decide."""


@dataclass(frozen=True)
class WalletChain:
    """Where the chain is."""

    rpc_url: str
    grpc_url: str
    rest_url: str
    chain_id: str = CHAIN_ID


@contextmanager
def running_chain(home: Path) -> Iterator[WalletChain]:
    """The chain, from its first block until the block ends."""
    balances = {key(name).address: COINS for name in PEOPLE}
    governance = json_format.MessageToDict(gov_params("test"), preserving_proto_field_name=True)
    node = Node(home, balances, timeout_commit="200ms", sections={"gov": {"params": governance}})
    grpc, rest = (f"127.0.0.1:{free_port()}" for _ in range(2))
    chain = WalletChain(f"http://{node.rpc}", grpc, f"http://{rest}")
    with command(home / "node.log", "node", "run", "--home", str(home), "--grpc", grpc, "--rest", rest):
        wait_until(lambda: node.height() > 0)
        wait_until(lambda: _answers(f"{chain.rest_url}/cosmos/base/node/v1beta1/config"))
        yield chain


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
