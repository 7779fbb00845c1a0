"""The application as the engine drives it."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.primitives.keys import PrivateKey
from tests.chain.chain import Chain, events_of, key

ALICE, BOB = key("alice"), key("bob")


def send(source: PrivateKey, target: PrivateKey, amount: int) -> MsgSend:
    return MsgSend(
        from_address=source.address, to_address=target.address, amount=[Coin(denom="ngonka", amount=str(amount))]
    )


@pytest.fixture
def chain() -> Chain:
    return Chain({ALICE.address: 1_000})


def test_a_send_moves_coins_and_makes_the_receivers_account(chain: Chain) -> None:
    result = chain.deliver(ALICE, send(ALICE, BOB, 300))
    assert result.code == 0, result.log
    assert (chain.balance(ALICE.address), chain.balance(BOB.address)) == (700, 300)
    assert chain.account(BOB.address).number == 1
    assert events_of(result, "message") == [
        {"action": "/cosmos.bank.v1beta1.MsgSend", "sender": ALICE.address, "module": "bank", "msg_index": "0"}
    ]
