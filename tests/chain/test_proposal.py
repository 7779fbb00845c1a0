"""Which transactions go into a proposal, and in which order."""

from dataclasses import replace

import pytest
from cosmos.bank.v1beta1.tx_pb2 import MsgSend
from hypothesis import given
from hypothesis import strategies as st
from tendermint.types.types_pb2 import Data

from pivot.chain.handlers import MessageHandler
from pivot.chain.proposal import choose, shares_out, size_in_block
from pivot.chain.transaction import Act, Call, Signer, Transaction

PLAIN = MessageHandler(MsgSend, lambda _, __: MsgSend(), gas=lambda _: 0, check=lambda _: None)
DUTY = replace(PLAIN, duty=True)
URGENT = replace(DUTY, urgent=True)


GAS = 10


class Shares:
    """Free space in which every sender of only urgent or only dutiful messages is a host with this share of gas."""

    def __init__(self, share: int = 10**9) -> None:
        self.share = share
        self.used: dict[str, int] = {}

    def hosts(self, transaction: Transaction) -> tuple[str, ...]:
        return (transaction.acts[0].owner,) if transaction.is_duty else ()

    def has_room(self, hosts: tuple[str, ...], gas: int) -> bool:
        return all(self.used.get(host, 0) + gas <= self.share for host in hosts)

    def is_first(self, hosts: tuple[str, ...]) -> bool:
        return self.used.keys().isdisjoint(hosts)

    def take(self, hosts: tuple[str, ...], gas: int) -> None:
        for host in hosts:
            self.used[host] = self.used.get(host, 0) + gas


def waiting(raw: bytes, *handlers: MessageHandler, who: str = "alice", unordered: bool = True) -> Transaction:
    calls = tuple(Call(handler, MsgSend(), (who,)) for handler in handlers)
    acts = tuple(Act(handler, MsgSend(), who, who) for handler in handlers)
    signers = (Signer(who, b"", 0, b""),)
    return Transaction(raw, b"", b"", calls, acts, signers, 0, who, "", GAS, 0, 0, 0, unordered)


def chosen_of(queue: list[Transaction], max_bytes: int = 10_000, share: int = 10**9) -> list[bytes]:
    return choose(queue, Shares(share), max_bytes)


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


def test_d3_free_duties_beyond_a_hosts_share_wait_while_others_go_on() -> None:
    queue = [
        *(waiting(b"a%d" % i, DUTY, who="alice") for i in range(4)),
        waiting(b"b", DUTY, who="bob"),
        waiting(b"c", PLAIN, who="carol"),
    ]
    assert chosen_of(queue, share=2 * GAS) == [b"a0", b"a1", b"b", b"c"]


def test_d3_a_hosts_only_duty_goes_last_if_it_is_beyond_the_share() -> None:
    queue = [waiting(b"a0", DUTY), waiting(b"a1", DUTY), waiting(b"c", PLAIN, who="carol")]
    assert chosen_of(queue, share=GAS - 1) == [b"c", b"a0"]


def test_what_comes_behind_a_duty_that_waits_waits_too_if_it_is_ordered() -> None:
    queue = [
        waiting(b"a0", DUTY, unordered=False),
        waiting(b"a1", DUTY, unordered=False),
        waiting(b"a2", PLAIN, unordered=False),
        waiting(b"a3", PLAIN),
    ]
    assert chosen_of(queue, share=GAS) == [b"a0", b"a3"]
    assert chosen_of(queue, share=GAS - 1) == [b"a3", b"a0"]


def test_d3_a_proposal_in_which_a_host_takes_more_than_its_share_is_refused() -> None:
    duties = [waiting(b"a%d" % i, DUTY) for i in range(3)]
    assert shares_out(duties[:2], Shares(2 * GAS))
    assert not shares_out(duties, Shares(2 * GAS))
    assert shares_out(duties[:1], Shares(0))
    assert shares_out([waiting(b"c", PLAIN)] * 9, Shares(0))


def test_what_does_not_fit_waits() -> None:
    queue = [waiting(b"a" * 10, PLAIN), waiting(b"b" * 10, PLAIN), waiting(b"c", PLAIN)]
    assert chosen_of(queue, 24) == [b"a" * 10, b"b" * 10]
    assert chosen_of(queue, 23) == [b"a" * 10]
    assert chosen_of(queue, 0) == []


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2**20])
def test_the_size_in_a_block_is_that_of_the_engine(length: int) -> None:
    assert size_in_block(length) == Data(txs=[bytes(length)]).ByteSize()


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from("abc")), max_size=20),
    st.integers(0, 5 * GAS),
)
def test_d3_what_one_chooses_all_others_take(rows: list[tuple[bool, bool, bool, str]], share: int) -> None:
    queue = [
        waiting(bytes([i]), URGENT if urgent else DUTY if duty else PLAIN, who=who, unordered=unordered)
        for i, (urgent, duty, unordered, who) in enumerate(rows)
    ]
    chosen = chosen_of(queue, share=share)
    assert shares_out([queue[raw[0]] for raw in chosen], Shares(share))
    for account in "abc":
        of_account = [raw[0] for raw in chosen if not queue[raw[0]].unordered and rows[raw[0]][3] == account]
        ordered = [i for i, each in enumerate(queue) if not each.unordered and rows[i][3] == account]
        assert of_account == ordered[: len(of_account)]


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
