"""The application behind a real CometBFT, which is killed again and again."""

import base64
import random
import time
from collections.abc import Iterator
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest, QueryBalanceResponse
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.primitives.keys import PrivateKey
from pivot.protocol.transactions import ordered
from tests.chain.chain import CHAIN_ID, key
from tests.chain.server.engine import Node, wait_until

ALICE, BOB = key("alice"), key("bob")
COINS = 10**12
KILLS = 20


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, {ALICE.address: COINS})
    node.start()
    yield node
    node.kill()


def transfer(source: PrivateKey, sequence: int, amount: int) -> bytes:
    message = MsgSend(
        from_address=source.address, to_address=BOB.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )
    return ordered(source, [message], chain_id=CHAIN_ID, account_number=0, sequence=sequence)


def balance(node: Node, address: str) -> int:
    request = QueryBalanceRequest(address=address, denom="ngonka").SerializeToString()
    response = node.query("/cosmos.bank.v1beta1.Query/Balance", request)
    return int(QueryBalanceResponse.FromString(base64.b64decode(response["value"])).balance.amount)


def test_no_answered_commit_is_lost_when_application_or_both_are_killed(node: Node) -> None:
    source = random.Random(4)
    sent = 0
    seen: dict[int, str] = {}
    for _ in range(KILLS):
        wait_until(lambda: node.height() > max(seen, default=0))
        end = time.monotonic() + source.uniform(0.05, 0.6)
        while time.monotonic() < end:
            answer = node.broadcast(transfer(ALICE, sent, sent + 1))
            if answer is not None and answer["code"] == 0:
                sent += 1
        committed = node.ask("abci_info")["response"]
        seen[int(committed["last_block_height"])] = committed["last_block_app_hash"]
        paid = balance(node, BOB.address)
        node.kill() if source.random() < 0.5 else node.kill_application()
        node.start()
        again = balance(node, BOB.address)
        assert again >= paid
        count = count_of(again)
        assert again == count * (count + 1) // 2
        sent = count
    wait_until(lambda: node.height() > max(seen))
    for height, app_hash in seen.items():
        header = node.ask("block", height=str(height + 1))["block"]["header"]
        assert header["app_hash"] == base64.b64decode(app_hash).hex().upper()
    assert balance(node, ALICE.address) + balance(node, BOB.address) == COINS


def count_of(total: int) -> int:
    """How many of the transfers of 1, 2, 3, … add up to `total`."""
    count = 0
    while total > 0:
        count += 1
        total -= count
    return count
