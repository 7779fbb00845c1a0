"""Pay that is released epoch by epoch, and that no coin is made, lost or released twice on the way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import Rejection, SdkCode
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import COMMUNITY_POOL, ESCROW, STREAMVESTING, balance, put_genesis_balance
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.streamvesting import genesis, release
from pivot.chain.modules.streamvesting.invariants import check_schedules
from pivot.chain.modules.streamvesting.queries import QUERIES
from pivot.chain.modules.streamvesting.state import put_schedule, schedule, vest
from pivot.chain.modules.streamvesting.state import release as under_way
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.streamvesting import query_pb2
from tests.chain.chain import key, next_block, plain_block
from tests.chain.modules.network import Network

HELD = 10**9
ALICE, BOB = key("alice").address, key("bob").address
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def paying(epoch: int = 1) -> Block:
    """A block in this epoch, in which the escrow account holds coins."""
    block = plain_block(balances={ESCROW: HELD})
    epochs.switch(block, epoch)
    block.events.clear()
    return block


def switch(block: Block, epoch: int) -> Block:
    """The first block of an epoch, in which slots are released."""
    later = next_block(block)
    epochs.switch(later, epoch)
    release.begin(later, epoch)
    release.release_some(later)
    check_books(later)
    return later


def check_books(block: Block) -> None:
    check_schedules(block.state)
    check_supply(block.state)


def amounts(block: Block, address: str) -> list[int]:
    found = schedule(block.state, address)
    return list(found.amounts) if found else []


def events(block: Block, kind: str) -> list[dict[str, str]]:
    return [dict(event.attributes) for event in block.events if event.type == kind]


def ask(block: Block, method: str, request: Any) -> Any:
    return _ANSWERS[method](View(block.state, block.chain_id, block.height, block.time), request)


# ---- Schedules ----


def test_pay_is_split_over_the_next_epochs_and_the_first_takes_the_rest() -> None:
    block = paying()
    vest(block, ESCROW, ALICE, 1_003, 5)
    assert amounts(block, ALICE) == [203, 200, 200, 200, 200]
    assert (balance(block.state, ALICE), balance(block.state, STREAMVESTING)) == (0, 1_003)
    assert events(block, "vest_reward") == [{"participant": ALICE, "amount": "1003ngonka", "vesting_epochs": "5"}]
    check_books(block)


def test_w18_vested_pay_comes_from_the_account_that_holds_it_and_from_no_other() -> None:
    """The published network drew it from another account, so that one had too much and the other too little."""
    block = paying()
    vest(block, ESCROW, ALICE, 1_000, 4)
    assert balance(block.state, ESCROW) == HELD - 1_000
    with pytest.raises(Rejection) as refused:
        vest(block, COMMUNITY_POOL, ALICE, 1, 4)
    assert refused.value.code == SdkCode.INSUFFICIENT_FUNDS
    check_books(block)


def test_schedules_of_one_host_are_summed_slot_by_slot() -> None:
    block = paying()
    vest(block, ESCROW, ALICE, 300, 3)
    vest(block, ESCROW, ALICE, 50, 5)
    assert amounts(block, ALICE) == [110, 110, 110, 10, 10]
    later = switch(block, 2)
    vest(later, ESCROW, ALICE, 5, 5)
    assert amounts(later, ALICE) == [111, 111, 11, 11, 1]
    check_books(later)


def test_d17_pay_of_many_epochs_comes_out_whole() -> None:
    block = paying()
    paid = 0
    for epoch in range(2, 10):
        vest(block, ESCROW, ALICE, 1_000 + epoch, 7)
        paid += 1_000 + epoch
        block = switch(block, epoch)
    for epoch in range(10, 17):
        block = switch(block, epoch)
    assert balance(block.state, ALICE) == paid
    assert schedule(block.state, ALICE) is None
    assert balance(block.state, STREAMVESTING) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 9)), min_size=1, max_size=6))
def test_every_schedule_pays_out_exactly_what_was_put_in(payments: list[tuple[int, int]]) -> None:
    block = paying()
    for epoch, (amount, slots) in enumerate(payments, 2):
        vest(block, ESCROW, ALICE, amount, slots)
        block = switch(block, epoch)
    for epoch in range(len(payments) + 2, len(payments) + 11):
        block = switch(block, epoch)
    assert balance(block.state, ALICE) == sum(amount for amount, _ in payments)
    assert schedule(block.state, ALICE) is None


# ---- The release ----


def test_a_switch_releases_one_slot_of_each_schedule() -> None:
    block = paying()
    vest(block, ESCROW, ALICE, 300, 3)
    vest(block, ESCROW, BOB, 20, 1)
    later = switch(block, 2)
    assert (balance(later.state, ALICE), balance(later.state, BOB)) == (100, 20)
    assert (amounts(later, ALICE), amounts(later, BOB)) == ([100, 100], [])
    assert events(later, "unlock_tokens") == [
        {"unlocked_amount": "120ngonka", "participants_unlocked": "2", "participants_processed": "2"}
    ]
    assert under_way(later.state) is None


def test_a_switch_without_schedules_says_nothing() -> None:
    later = switch(paying(), 2)
    assert events(later, "unlock_tokens") == []
    release.release_some(later)


def test_many_schedules_are_released_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "SCHEDULES_PER_BLOCK", 2)
    block = paying()
    hosts = sorted(key(f"host {number}").address for number in range(5))
    for host in hosts:
        vest(block, ESCROW, host, 10, 2)
    later = switch(block, 2)
    seen = []
    while under_way(later.state) is not None:
        seen.append([balance(later.state, host) for host in hosts])
        later = next_block(later)
        release.release_some(later)
        check_books(later)
    assert seen == [[5, 5, 0, 0, 0], [5, 5, 5, 5, 0]]
    assert events(later, "unlock_tokens")[0]["participants_processed"] == "5"


def test_pay_that_comes_during_a_release_waits_for_the_next_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "SCHEDULES_PER_BLOCK", 1)
    first, second = sorted((ALICE, BOB))
    block = paying()
    vest(block, ESCROW, first, 10, 2)
    vest(block, ESCROW, second, 10, 2)
    later = switch(block, 2)
    vest(later, ESCROW, first, 200, 2)
    vest(later, ESCROW, second, 200, 2)
    while under_way(later.state) is not None:
        later = next_block(later)
        release.release_some(later)
        check_books(later)
    assert [balance(later.state, each) for each in (first, second)] == [5, 5]
    assert amounts(later, first) == amounts(later, second) == [105, 100]


def test_a_release_that_lasts_until_the_next_switch_pays_nobody_twice_or_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "SCHEDULES_PER_BLOCK", 1)
    block = paying()
    hosts = [key(f"host {number}").address for number in range(4)]
    for host in hosts:
        vest(block, ESCROW, host, 30, 3)
    later = switch(switch(block, 2), 3)
    while under_way(later.state) is not None:
        later = next_block(later)
        release.release_some(later)
        check_books(later)
    assert [balance(later.state, host) for host in hosts] == [20] * 4
    assert events(later, "unlock_tokens")[0]["unlocked_amount"] == "80ngonka"


def test_what_is_due_later_stays() -> None:
    block = paying(epoch=5)
    vest(block, ESCROW, ALICE, 30, 3)
    later = next_block(block)
    release.begin(later, 5)
    release.release_some(later)
    assert amounts(later, ALICE) == [10, 10, 10]
    assert events(later, "unlock_tokens")[0]["participants_unlocked"] == "0"


def test_the_block_of_a_switch_releases_a_slot() -> None:
    network = Network()
    put_genesis_balance(network.state, ESCROW, HELD)
    vest(network.block, ESCROW, ALICE, 1_000, 4)
    network.sprint({})
    assert epochs.effective_index(network.state) == 1
    assert (balance(network.state, ALICE), amounts(network.block, ALICE)) == (250, [250] * 3)


# ---- Queries, invariant, genesis ----


def test_schedule_and_total_are_told() -> None:
    block = paying()
    vest(block, ESCROW, ALICE, 1, 2)
    found = ask(block, "VestingSchedule", query_pb2.QueryVestingScheduleRequest(participant_address=ALICE))
    listed = [[coin.amount for coin in slot.coins] for slot in found.vesting_schedule.epoch_amounts]
    assert listed == [["1"], []]
    total = ask(block, "TotalVestingAmount", query_pb2.QueryTotalVestingAmountRequest(participant_address=ALICE))
    assert [coin.amount for coin in total.total_amount] == ["1"]
    params = ask(block, "Params", query_pb2.QueryParamsRequest()).params
    assert params.reward_vesting_period == 0


def test_who_has_no_schedule_is_told_so_and_what_is_no_address_is_refused() -> None:
    block = paying()
    found = ask(block, "VestingSchedule", query_pb2.QueryVestingScheduleRequest(participant_address=BOB))
    assert not found.vesting_schedule.epoch_amounts
    total = ask(block, "TotalVestingAmount", query_pb2.QueryTotalVestingAmountRequest(participant_address=BOB))
    assert not total.total_amount
    with pytest.raises(Rejection) as refused:
        ask(block, "VestingSchedule", query_pb2.QueryVestingScheduleRequest(participant_address="x"))
    assert refused.value.code == SdkCode.INVALID_ADDRESS


def test_the_invariant_sees_a_schedule_without_coins() -> None:
    block = paying()
    vest(block, ESCROW, ALICE, 30, 3)
    found = schedule(block.state, ALICE)
    assert found is not None
    put_schedule(block.state, ALICE, found._replace(amounts=(*found.amounts, 1)))
    with pytest.raises(AssertionError, match="promise 31"):
        check_schedules(block.state)


def test_an_export_loads_into_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "SCHEDULES_PER_BLOCK", 1)
    block = paying()
    vest(block, ESCROW, ALICE, 31, 3)
    vest(block, ESCROW, BOB, 7, 9)
    later = switch(block, 2)
    restored = plain_block()
    genesis.load(restored, genesis.export(later.state))
    for prefix in (b"VestingSchedule/", b"VestingRelease/"):
        end = prefix + b"\xff"
        assert list(restored.state.iterate("inference", prefix, end)) == list(
            later.state.iterate("inference", prefix, end)
        )


def test_a_new_networks_schedules_begin_at_its_first_switch() -> None:
    block = paying(epoch=0)
    slots = [{"coins": [{"denom": "ngonka", "amount": "5"}]}, {"coins": []}]
    listed = [{"participant_address": ALICE, "epoch_amounts": slots}]
    genesis.load(block, {"vesting_schedule_list": listed})
    found = schedule(block.state, ALICE)
    assert found is not None
    assert (found.first, found.amounts) == (1, (5, 0))
    with pytest.raises(ValueError, match="two vesting schedules"):
        genesis.load(block, {"vesting_schedule_list": listed * 2})
