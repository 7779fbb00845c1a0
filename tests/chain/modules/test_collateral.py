"""Collateral: put down, counted, slashed, released; no coin is made or lost on the way."""

from typing import Any

import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import CollateralCode, Rejection, SdkCode
from pivot.chain.handlers import MessageTable
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import COLLATERAL, COMMUNITY_POOL, balance, put_genesis_balance, put_genesis_supply
from pivot.chain.modules.collateral import genesis, release
from pivot.chain.modules.collateral.invariants import check_collateral
from pivot.chain.modules.collateral.messages import MESSAGES
from pivot.chain.modules.collateral.queries import QUERIES
from pivot.chain.modules.collateral.slash import Reason, slash_downtime, slash_for, slash_invalid
from pivot.chain.modules.collateral.state import collateral, put_collateral, put_unbonding, unbondings
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.rewards.state import note_missed
from pivot.chain.types import Block, View
from pivot.primitives.fixed_point import ONE
from pivot.protocol.generated.inference.collateral import query_pb2
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral, MsgWithdrawCollateral
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.messages import type_url
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key, next_block, plain_block
from tests.chain.modules.network import Network, fast_params, node

HELD = 10**6
ALICE, BOB = key("alice").address, key("bob").address
_TABLE = MessageTable(MESSAGES)
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def started(epoch: int = 1) -> Block:
    """A block in an epoch; alice and bob hold coins."""
    block = plain_block(balances={ALICE: HELD, BOB: HELD})
    epochs.put(block.state, Epoch(index=epoch, params=preset_params("test")))
    epochs.switch(block, epoch)
    block.events.clear()
    return block


def switched(block: Block, epoch: int) -> Block:
    """The first block of an epoch, in which withdrawals are released."""
    later = next_block(block)
    epochs.put(later.state, Epoch(index=epoch, params=preset_params("test")))
    epochs.switch(later, epoch)
    release.release_some(later)
    check_books(later)
    return later


def check_books(block: Block) -> None:
    check_collateral(block.state)
    check_supply(block.state)


def run(block: Block, message: Message) -> Any:
    handler = _TABLE.find(type_url(message))
    assert handler is not None
    handler.check(message)
    assert handler.gas(message) > 0
    with block.frame():
        answer = handler.handle(block, message)
    check_books(block)
    return answer


def deposit(block: Block, amount: int | str, address: str = ALICE, denom: str = "ngonka") -> Any:
    return run(block, MsgDepositCollateral(participant=address, amount=Coin(denom=denom, amount=str(amount))))


def withdraw(block: Block, amount: int, address: str = ALICE) -> int:
    message = MsgWithdrawCollateral(participant=address, amount=Coin(denom="ngonka", amount=str(amount)))
    epoch: int = run(block, message).completion_epoch
    return epoch


def events(block: Block, kind: str) -> list[dict[str, str]]:
    return [dict(event.attributes) for event in block.events if event.type == kind]


def ask(block: Block, method: str, request: Any) -> Any:
    return _ANSWERS[method](View(block.state, block.chain_id, block.height, block.time), request)


# ---- Deposits and withdrawals ----


def test_a_deposit_moves_coins_behind_the_weight_and_says_so() -> None:
    block = started()
    deposit(block, 100)
    deposit(block, 50)
    assert collateral(block.state, ALICE) == balance(block.state, COLLATERAL) == 150
    assert events(block, "deposit_collateral")[0] == {"participant": ALICE, "amount": "100ngonka"}


@pytest.mark.parametrize(
    ("amount", "denom", "code", "codespace"),
    [
        (1, "uatom", CollateralCode.INVALID_DENOM, "collateral"),
        (0, "ngonka", SdkCode.INVALID_COINS, "sdk"),
        ("-5", "ngonka", SdkCode.INVALID_COINS, "sdk"),
        (HELD + 1, "ngonka", SdkCode.INSUFFICIENT_FUNDS, "sdk"),
    ],
)
def test_what_is_no_amount_or_not_there_is_refused(amount: int | str, denom: str, code: int, codespace: str) -> None:
    with pytest.raises(Rejection) as refused:
        deposit(started(), amount, denom=denom)
    assert (refused.value.code, refused.value.codespace) == (code, codespace)


def test_who_is_no_address_is_refused() -> None:
    with pytest.raises(Rejection) as refused:
        deposit(started(), 1, address="x")
    assert refused.value.code == SdkCode.INVALID_ADDRESS


def test_a_withdrawal_stops_to_count_at_once_and_is_paid_an_epoch_later() -> None:
    block = started()
    deposit(block, 100)
    assert withdraw(block, 30) == withdraw(block, 10) == 2
    assert collateral(block.state, ALICE) == 60
    assert list(unbondings(block.state, ALICE)) == [(2, 40)]
    assert balance(block.state, ALICE) == HELD - 100
    assert events(block, "withdraw_collateral")[0] == {
        "participant": ALICE,
        "amount": "30ngonka",
        "completion_epoch": "2",
    }
    later = switched(block, 2)
    assert balance(later.state, ALICE) == HELD - 60
    assert list(unbondings(later.state, ALICE)) == []
    assert events(later, "process_withdrawal") == [
        {"participant": ALICE, "amount": "40ngonka", "completion_epoch": "2"}
    ]


def test_more_than_is_there_is_not_withdrawn() -> None:
    block = started()
    deposit(block, 100)
    withdraw(block, 70)
    with pytest.raises(Rejection, match="has 30ngonka of collateral") as refused:
        withdraw(block, 31)
    assert refused.value.code == SdkCode.INSUFFICIENT_FUNDS


def test_what_is_withdrawn_during_a_sprint_stays_through_the_epoch_whose_weight_it_gave() -> None:
    """Between the forming of members and the switch a host could take away what its weight rests on."""
    block = started()
    deposit(block, 100)
    epochs.put(block.state, Epoch(index=2, params=preset_params("test")))
    assert withdraw(block, 100) == 3
    assert list(unbondings(switched(block, 2).state, ALICE)) == [(3, 100)]


def test_w1_many_withdrawals_are_released_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "RELEASES_PER_BLOCK", 2)
    block = started()
    hosts = [key(f"host {number}").address for number in range(5)]
    put_genesis_balance(block.state, COLLATERAL, 50)
    put_genesis_supply(block.state, 2 * HELD + 50)
    for host in hosts:
        put_collateral(block.state, host, 10)
    for host in hosts:
        withdraw(block, 10, host)
    later = switched(block, 2)
    paid = []
    for _ in range(3):
        paid.append(sum(balance(later.state, host) for host in hosts))
        later = next_block(later)
        release.release_some(later)
        check_books(later)
    assert paid == [20, 40, 50]


# ---- Slashing ----


def test_d17_slashed_coins_go_to_the_community_pool_also_those_that_are_being_withdrawn() -> None:
    block = started()
    deposit(block, 105)
    withdraw(block, 55)
    assert slash_for(block, ALICE, ONE // 5, Reason.INVALID) == 10 + 11
    assert collateral(block.state, ALICE) == 40
    assert list(unbondings(block.state, ALICE)) == [(2, 44)]
    assert balance(block.state, COMMUNITY_POOL) == 21
    assert events(block, "slash_collateral") == [
        {"participant": ALICE, "slash_amount": "21ngonka", "slash_fraction": "0.2", "reason": "invalid"}
    ]
    check_books(block)


def test_a_slash_takes_all_or_nothing_where_that_is_the_fraction() -> None:
    block = started()
    deposit(block, 100)
    withdraw(block, 40)
    assert slash_for(block, ALICE, 0, Reason.INVALID) == slash_for(block, BOB, ONE, Reason.INVALID) == 0
    assert events(block, "slash_collateral") == []
    assert slash_for(block, ALICE, ONE, Reason.DOUBLE_SIGN) == 100
    assert list(unbondings(block.state, ALICE)) == []
    check_books(block)
    assert events(switched(block, 2), "process_withdrawal") == []


def test_who_becomes_invalid_loses_a_fifth() -> None:
    block = started()
    deposit(block, 100)
    assert slash_invalid(block, ALICE) == 20


@pytest.mark.parametrize(
    ("missed", "total", "taken"), [(0, 0, 0), (1, 1, 0), (9, 9, 0), (5, 100, 0), (6, 100, 10), (10, 10, 10)]
)
def test_w20_missed_requests_cost_a_tenth_above_the_threshold_but_one_miss_is_no_epoch(
    missed: int, total: int, taken: int
) -> None:
    block = started()
    deposit(block, 100)
    assert slash_downtime(block, ALICE, missed, total, preset_params("test")) == taken


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("dwsr"), st.sampled_from([ALICE, BOB]), st.integers(1, 1000)), min_size=1, max_size=20
    )
)
def test_whatever_happens_the_books_stay_in_order(steps: list[tuple[str, str, int]]) -> None:
    block, epoch = started(), 1
    for step, address, number in steps:
        if step == "d":
            deposit(block, number, address)
        elif step == "w" and collateral(block.state, address):
            withdraw(block, min(number, collateral(block.state, address)), address)
        elif step == "s":
            slash_for(block, address, number * ONE // 1000, Reason.BLOCKS_MISSED)
        else:
            epoch += 1
            block = switched(block, epoch)
        check_books(block)


# ---- What it is good for ----


def test_weight_without_collateral_counts_a_fifth_once_the_grace_is_over() -> None:
    params = fast_params()
    params.collateral_params.grace_period_end_epoch = 1
    hosts = ("alice", "bob", "carol")
    network = Network(params=params, hardware={name: [node(0), node(1)] for name in hosts})
    work = {name: {0: 600, 1: 400} for name in hosts}
    network.sprint(work)
    assert network.weights(1) == dict.fromkeys(hosts, 1000)
    put_genesis_balance(network.state, COLLATERAL, 1680)
    put_collateral(network.state, ALICE, 1680)
    free = {
        name: next(n for n in (0, 1) if all(n != each.node_number for each in network.serving(name))) for name in hosts
    }
    network.sprint({name: {free[name]: 500} for name in hosts})
    served = {name: work[name][1 - free[name]] for name in hosts}
    assert network.weights(2) == {
        "alice": (500 + served["alice"]) // 5 + 400,
        "bob": (500 + served["bob"]) // 5,
        "carol": (500 + served["carol"]) // 5,
    }
    network.sprint({})
    for name in hosts[1:]:
        proven = 500 + served[name]
        assert network.weights(3)[name] in ((proven - proven // 2) // 5, served[name] // 5, 500 // 5)


def test_who_has_missed_requests_cannot_take_its_collateral_away_before_the_epoch_is_settled() -> None:
    """It knows that it will be slashed and withdraws; the withdrawal falls due at the very switch that settles the epoch."""
    network = Network(hardware={name: [node(0)] for name in ("alice", "bob", "carol")})
    put_genesis_balance(network.state, COLLATERAL, 1000)
    put_genesis_supply(network.state, 1000)
    put_collateral(network.state, ALICE, 1000)
    network.sprint({name: {0: 100} for name in ("alice", "bob", "carol")})
    for _ in range(10):
        note_missed(network.state, ALICE)
    assert withdraw(network.block, 1000) == 2
    network.sprint({name: {0: 100} for name in ("bob", "carol")})
    assert balance(network.state, ALICE) == 0
    network.to_sprint()
    assert balance(network.state, ALICE) == 900
    assert balance(network.state, COMMUNITY_POOL) == 100


# ---- Queries, invariant, genesis ----


def test_collateral_and_withdrawals_are_told() -> None:
    block = started()
    deposit(block, 100)
    deposit(block, 7, BOB)
    withdraw(block, 30)
    amount = ask(block, "Collateral", query_pb2.QueryCollateralRequest(participant=ALICE)).amount
    assert (amount.denom, amount.amount) == ("ngonka", "70")
    everybody = ask(block, "AllCollaterals", query_pb2.QueryAllCollateralsRequest())
    assert {each.participant: each.amount.amount for each in everybody.collaterals} == {ALICE: "70", BOB: "7"}
    assert everybody.pagination.total == 2
    one = query_pb2.QueryUnbondingCollateralRequest(participant=ALICE)
    assert [
        (each.completion_epoch, each.amount.amount) for each in ask(block, "UnbondingCollateral", one).unbondings
    ] == [(2, "30")]
    page = PageRequest(limit=1)
    listed = ask(block, "AllUnbondingCollaterals", query_pb2.QueryAllUnbondingCollateralsRequest(pagination=page))
    assert [each.participant for each in listed.unbondings] == [ALICE]
    params = ask(block, "Params", query_pb2.QueryParamsRequest()).params
    assert params == preset_params("test").collateral_params
    for method, request in (("Collateral", query_pb2.QueryCollateralRequest), ("UnbondingCollateral", type(one))):
        with pytest.raises(Rejection) as refused:
            ask(block, method, request(participant="x"))
        assert refused.value.code == SdkCode.INVALID_ADDRESS


def test_the_invariant_sees_coins_that_are_not_there_and_a_queue_that_is_wrong() -> None:
    block = started()
    deposit(block, 100)
    put_collateral(block.state, ALICE, 101)
    with pytest.raises(AssertionError, match="but 101 is owed"):
        check_collateral(block.state)
    put_collateral(block.state, ALICE, 90)
    put_unbonding(block.state, ALICE, 2, 10)
    check_collateral(block.state)
    block.state.delete("inference", b"CollateralRelease/value/" + (2).to_bytes(8) + b"/" + ALICE.encode() + b"/")
    with pytest.raises(AssertionError, match="wait for their release"):
        check_collateral(block.state)


def test_an_export_loads_into_the_same_rows() -> None:
    block = started()
    deposit(block, 100)
    deposit(block, 9, BOB)
    withdraw(block, 30)
    restored = plain_block()
    exported = genesis.export(block.state)
    genesis.load(restored, exported)
    for prefix in (b"Collateral/", b"UnbondingCollateral/", b"CollateralRelease/"):
        rows = [list(each.state.iterate("inference", prefix, prefix + b"\xff")) for each in (block, restored)]
        assert rows[0] == rows[1] != []
    for name in (genesis.HELD, genesis.WITHDRAWN):
        with pytest.raises(ValueError, match="the genesis has two"):
            genesis.load(plain_block(), {name: exported[name] * 2})
