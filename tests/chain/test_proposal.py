"""Which transactions go into a proposal, and in which order."""

from dataclasses import replace

import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from hypothesis import given
from hypothesis import strategies as st
from tendermint.types.types_pb2 import Data

from pivot.chain.handlers import MessageHandler
from pivot.chain.proposal import choose, size_in_block
from pivot.chain.transaction import Act, Call, Signer, Transaction

PLAIN = MessageHandler(MsgSend, lambda _, __: MsgSend(), gas=lambda _: 0, check=lambda _: None)
URGENT = replace(PLAIN, urgent=True)


def waiting(raw: bytes, *handlers: MessageHandler, who: str = "alice", unordered: bool = True) -> Transaction:
    calls = tuple(Call(handler, MsgSend()) for handler in handlers)
    acts = tuple(Act(handler, MsgSend(), who, who) for handler in handlers)
    signers = (Signer(who, b"", 0, b""),)
    return Transaction(raw, b"", b"", calls, acts, signers, 0, 0, 0, 0, 0, unordered)


def chosen_of(queue: list[Transaction], max_bytes: int = 10_000) -> list[bytes]:
    return choose(queue, lambda each: each.is_urgent, max_bytes)


def test_what_is_urgent_goes_first_and_the_rest_by_arrival() -> None:
    queue = [waiting(b"a", PLAIN), waiting(b"b", URGENT), waiting(b"c", PLAIN), waiting(b"d", URGENT)]
    assert chosen_of(queue) == [b"b", b"d", b"a", b"c"]


def test_one_message_that_is_not_urgent_takes_the_urgency() -> None:
    assert chosen_of([waiting(b"a", PLAIN), waiting(b"b", URGENT, PLAIN)]) == [b"a", b"b"]


def test_an_ordered_transaction_does_not_pass_an_earlier_one_of_the_same_account() -> None:
    queue = [
        waiting(b"a", PLAIN, unordered=False),
        waiting(b"b", URGENT, unordered=False),
        waiting(b"c", URGENT, who="bob", unordered=False),
        waiting(b"d", URGENT, unordered=False),
    ]
    assert chosen_of(queue) == [b"c", b"a", b"b", b"d"]


def test_what_does_not_fit_waits() -> None:
    queue = [waiting(b"a" * 10, PLAIN), waiting(b"b" * 10, PLAIN), waiting(b"c", PLAIN)]
    assert chosen_of(queue, 24) == [b"a" * 10, b"b" * 10]
    assert chosen_of(queue, 23) == [b"a" * 10]
    assert chosen_of(queue, 0) == []


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2**20])
def test_the_size_in_a_block_is_that_of_the_engine(length: int) -> None:
    assert size_in_block(length) == Data(txs=[bytes(length)]).ByteSize()


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans(), st.booleans(), st.sampled_from("abc")), max_size=20))
def test_everything_that_fits_is_in_once_and_accounts_keep_their_order(rows: list[tuple[int, bool, bool, str]]) -> None:
    queue = [
        waiting(bytes([i]) * length, URGENT if urgent else PLAIN, who=who, unordered=unordered)
        for i, (length, urgent, unordered, who) in enumerate(rows)
    ]
    chosen = chosen_of(queue)
    assert sorted(chosen) == sorted(each.raw for each in queue)
    for account in "abc":
        of_account = [each.raw for each in queue if each.signers[0].address == account and not each.unordered]
        assert [raw for raw in chosen if raw in of_account] == of_account
