"""Each transaction is decoded once."""

import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain import decoded
from pivot.chain.decoded import Decoded
from pivot.chain.errors import SdkError
from pivot.chain.registry import MESSAGES
from pivot.chain.transaction import decode_transaction
from pivot.protocol.transactions import ordered
from tests.chain.chain import CHAIN_ID, key

ALICE, BOB = key("alice"), key("bob")


def raw(sequence: int) -> bytes:
    send = MsgSend(from_address=ALICE.address, to_address=BOB.address, amount=[Coin(denom="ngonka", amount="1")])
    return ordered(ALICE, [send], chain_id=CHAIN_ID, account_number=0, sequence=sequence)


def test_what_is_known_is_not_decoded_again() -> None:
    found = Decoded()
    first = found.transaction(raw(0))
    assert first == decode_transaction(raw(0), MESSAGES)
    assert found.transaction(raw(0)) is first
    assert found.transaction(raw(1)) is not first


def test_what_cannot_be_decoded_is_refused_every_time() -> None:
    found = Decoded()
    for _ in range(2):
        with pytest.raises(SdkError):
            found.transaction(b"no transaction")


@pytest.mark.parametrize(("bound", "room"), [("KEPT", 2), ("KEPT_BYTES", 2 * len(raw(0)) + 9)])
def test_old_ones_are_forgotten_but_not_what_is_asked_for_again(
    bound: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, bound, room)
    found = Decoded()
    first, second = found.transaction(raw(0)), found.transaction(raw(1))
    for sequence in (2, 3):
        found.transaction(raw(sequence))
        assert found.transaction(raw(0)) is first
    found.transaction(raw(4))
    assert found.transaction(raw(0)) is first
    assert found.transaction(raw(1)) is not second
