"""What hosts earn, epoch by epoch, and that no coin is made or lost on the way."""

from decimal import Decimal, localcontext

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.errors import NetworkCode, Rejection, SdkCode
from pivot.chain.modules.auth.state import set_public_key
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import (
    COLLATERAL,
    COMMUNITY_POOL,
    ESCROW,
    REWARDS,
    STREAMVESTING,
    balance,
    balances,
    move,
    put_genesis_balance,
)
from pivot.chain.modules.collateral.state import collateral, put_collateral
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.invariants import check_escrow
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.rewards import genesis, settlement
from pivot.chain.modules.rewards.invariants import check_rewards
from pivot.chain.modules.rewards.messages import MESSAGES
from pivot.chain.modules.rewards.queries import QUERIES
from pivot.chain.modules.rewards.settlement import SUMMARY_EPOCHS
from pivot.chain.modules.rewards.state import (
    note_finished,
    note_missed,
    owed,
    put_settlement,
    put_summary,
    settle_amount,
    settle_amounts,
    stats,
    stats_of,
    summaries,
    summary,
)
from pivot.chain.modules.rewards.state import settlement as under_way
from pivot.chain.modules.rewards.totals import note_spent, tokenomics
from pivot.chain.modules.streamvesting.invariants import check_schedules
from pivot.chain.modules.streamvesting.state import schedule
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import RewardParams
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards, MsgClaimRewardsResponse
from pivot.protocol.generated.inference.inference.types_pb2 import (
    EpochPerformanceSummary,
    ParticipantStatus,
    Settlement,
)
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key, next_block, plain_block
from tests.chain.requests import DEVELOPER, HOSTS, add_epoch, gateway, network, register

INITIAL = 323_000_000_000_000
PUBLISHED = RewardParams(initial_epoch_reward=INITIAL, decay_rate_e18=-475 * 10**12, genesis_epoch=1)
SUPPLY_OF_REWARDS = 10**18
CLAIM = MESSAGES[0]
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def rewarding(hosts: dict[str, int] | None = None) -> Block:
    """The network in epoch 1, with a supply of rewards."""
    block = network(hosts)
    put_genesis_balance(block.state, REWARDS, SUPPLY_OF_REWARDS)
    total = sum(balance(block.state, address) for address in [REWARDS, *payers(hosts or HOSTS)])
    block.state.set("bank", b"\x00ngonka", str(total).encode())
    return block


def payers(hosts: dict[str, int]) -> list[str]:
    return [DEVELOPER.address, *(gateway(name).address for name in hosts)]


def earn(block: Block, name: str, cost: int) -> None:
    """What a finished inference does: the developer's coins lie with the module, the host has earned them."""
    move(block.state, DEVELOPER.address, ESCROW, cost)
    note_finished(block.state, key(name).address, cost)


def switch(block: Block, hosts: dict[str, int] | None = None, **fields: object) -> Block:
    """The next epoch's first block; the epoch before is being settled."""
    ended = epochs.effective(block.state)
    later = next_block(block)
    settlement.settle(later, ended)
    add_epoch(later, ended.index + 1, ended.boundaries.next_poc_start, HOSTS if hosts is None else hosts, **fields)
    epochs.switch(later, ended.index + 1)
    settlement.settle_some(later)
    check_books(later)
    return later


def check_books(block: Block) -> None:
    check_escrow(block.state)
    check_supply(block.state)


def claim(block: Block, name: str, epoch: int) -> int:
    message = MsgClaimRewards(creator=key(name).address, epoch_index=epoch)
    CLAIM.check(message)
    with block.frame():
        response = CLAIM.handle(block, message)
    assert isinstance(response, MsgClaimRewardsResponse)
    assert response.result == "Rewards claimed successfully"
    check_books(block)
    return response.amount


def refused_claim(block: Block, name: str, epoch: int) -> Rejection:
    with pytest.raises(Rejection) as refused:
        claim(block, name, epoch)
    return refused.value


def view(block: Block) -> View:
    return View(block.state, block.chain_id, block.height, block.time)


# ---- The curve ----


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, 0),
        (1, INITIAL),
        (2, 322_846_611_432_668),
        (101, 308_016_182_821_838),
        (366, 271_585_585_901_851),
        (1461, 161_443_029_711_134),
        (10_000, 2_795_825_252_248),
        (83_000, 0),
    ],
)
def test_the_reward_follows_the_published_curve(epoch: int, expected: int) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = INITIAL * (Decimal(-475 * 10**12) / 10**18 * (epoch - 1)).exp() if epoch else Decimal(0)
    assert abs(exact - expected) < 1
    assert settlement.epoch_reward(PUBLISHED, epoch) == expected


@pytest.mark.parametrize("initial", [285 * 10**12, INITIAL])
@pytest.mark.parametrize("epoch", [1, 2, 10, 366, 3_653, 36_525])
def test_the_reward_is_the_exact_value_rounded_down(initial: int, epoch: int) -> None:
    """For the published default and for the mainnet's initial reward."""
    curve = RewardParams(initial_epoch_reward=initial, decay_rate_e18=-475 * 10**12, genesis_epoch=1)
    with localcontext() as context:
        context.prec = 50
        exact = initial * (Decimal("-0.000475") * (epoch - 1)).exp()
    assert settlement.epoch_reward(curve, epoch) == int(exact)


@given(st.integers(1, 200_000))
def test_the_reward_never_rises_and_never_breaks(epoch: int) -> None:
    reward = settlement.epoch_reward(PUBLISHED, epoch)
    assert 0 <= settlement.epoch_reward(PUBLISHED, epoch + 1) <= reward <= INITIAL


def test_all_rewards_of_the_curve_fit_into_the_supply_set_aside() -> None:
    """A geometric series: initial / (1 − e^decay), some 680 million coins."""
    first, second = (settlement.epoch_reward(PUBLISHED, epoch) for epoch in (1, 2))
    assert first * first // (first - second) < 680_500_000 * 10**9


def test_before_the_genesis_epoch_of_the_curve_no_epoch_pays_more_than_the_first() -> None:
    late = RewardParams(initial_epoch_reward=INITIAL, decay_rate_e18=-(10**18), genesis_epoch=10**6)
    assert settlement.epoch_reward(late, 5) == INITIAL


# ---- The settlement ----


def test_members_share_the_reward_by_weight_and_keep_their_work() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    note_missed(block.state, key("carol").address)
    later = switch(block)
    total = sum(HOSTS.values())
    shares = {name: INITIAL * weight // total for name, weight in HOSTS.items()}
    for name, share in shares.items():
        amount = settle_amount(later.state, 1, key(name).address)
        assert amount is not None
        assert (amount.reward_coins, amount.work_coins) == (share, 500 if name == "bob" else 0)
    done = summary(later.state, 1, key("bob").address)
    assert done is not None
    assert (done.inference_count, done.earned_coins, done.rewarded_coins) == (1, 500, shares["bob"])
    missed = summary(later.state, 1, key("carol").address)
    assert missed is not None
    assert (missed.missed_requests, missed.claimed) == (1, False)
    assert balance(later.state, REWARDS) == SUPPLY_OF_REWARDS - INITIAL
    assert under_way(later.state) is None
    assert require_participant(later.state, key("carol").address).epochs_completed == 1


def test_the_remainder_of_rounding_goes_to_the_community_pool() -> None:
    hosts = {"alice": 1, "bob": 1, "carol": 1}
    later = switch(rewarding(hosts), hosts)
    assert INITIAL % 3 == 2
    assert balance(later.state, COMMUNITY_POOL) == 2
    settled = [event for event in later.events if event.type == "epoch_settled"]
    assert dict(settled[0].attributes) == {
        "epoch_index": "1",
        "reward": str(INITIAL),
        "shared": str(INITIAL - 2),
    }


def test_the_new_epochs_statistics_start_at_zero_while_the_old_are_settled() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    later = switch(block)
    assert stats(later.state, key("bob").address).earned_coins == 0
    earn(later, "bob", 7)
    assert stats(later.state, key("bob").address).earned_coins == 7
    check_books(later)


def test_w1_a_hundred_and_fifty_hosts_are_all_paid() -> None:
    hosts = {f"host {number}": number + 1 for number in range(150)}
    block = rewarding(hosts)
    for name in hosts:
        earn(block, name, 10)
    later = switch(block, hosts)
    paid = {name: claim(later, name, 1) for name in hosts}
    total = sum(hosts.values())
    assert paid == {name: INITIAL * weight // total + 10 for name, weight in hosts.items()}
    assert owed(later.state) == 0


def test_many_hosts_are_settled_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 4)
    hosts = {f"host {number}": 10 for number in range(10)}
    block = rewarding(hosts)
    earn(block, "host 3", 5)
    earn(block, "host 7", 5)
    later = switch(block, hosts)
    seen = []
    while under_way(later.state) is not None:
        seen.append(len(list(settle_amounts(later.state))))
        later = next_block(later)
        settlement.settle_some(later)
        check_books(later)
    assert seen == [4, 8]
    assert [amount.reward_coins for amount in settle_amounts(later.state)] == [INITIAL // 10] * 10
    settlement.settle_some(later)


def test_a_claim_before_its_hosts_turn_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    later = switch(rewarding())
    waiting = next(name for name in HOSTS if settle_amount(later.state, 1, key(name).address) is None)
    refused = refused_claim(later, waiting, 1)
    assert refused.code == NetworkCode.NOTHING_TO_CLAIM
    assert "under way" in refused.log


def test_a_settlement_that_lasts_until_the_next_switch_is_brought_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    later = switch(rewarding())
    assert under_way(later.state) is not None
    after = switch(later)
    assert all(summary(after.state, 1, key(name).address) is not None for name in HOSTS)
    found = under_way(after.state)
    assert found is not None
    assert found.epoch_index == 2


def test_a_host_that_is_no_member_any_more_keeps_what_it_has_earned() -> None:
    block = rewarding()
    register(block.state, "dave")
    earn(block, "dave", 40)
    later = switch(block)
    assert claim(later, "dave", 1) == 40
    assert require_participant(later.state, key("dave").address).epochs_completed == 0


def test_an_epoch_that_was_carried_over_pays_work_and_no_reward() -> None:
    block = switch(rewarding(), carried_over=True)
    earn(block, "alice", 11)
    later = switch(block)
    assert claim(later, "alice", 2) == 11
    assert refused_claim(later, "bob", 2).code == NetworkCode.NOTHING_TO_CLAIM
    assert balance(later.state, REWARDS) == SUPPLY_OF_REWARDS - INITIAL


def test_epoch_0_pays_work_and_no_reward() -> None:
    block = network()
    put_genesis_balance(block.state, REWARDS, SUPPLY_OF_REWARDS)
    block.state.set(
        "bank", b"\x00ngonka", str(sum(balance(block.state, each) for each in [REWARDS, *payers(HOSTS)])).encode()
    )
    ended = add_epoch(block, 0, -110, HOSTS)
    epochs.switch(block, 0)
    earn(block, "bob", 3)
    later = next_block(block)
    settlement.settle(later, ended)
    assert under_way(later.state) is not None
    epochs.switch(later, 1)
    settlement.settle_some(later)
    check_books(later)
    assert balance(later.state, REWARDS) == SUPPLY_OF_REWARDS
    assert claim(later, "bob", 0) == 3


def test_an_epoch_without_members_pays_nobody_and_keeps_the_supply() -> None:
    """W-18: reward coins for nobody do not pile up in another account."""
    block = switch(rewarding(), hosts={})
    later = switch(block)
    assert balance(later.state, REWARDS) == SUPPLY_OF_REWARDS - INITIAL


def test_no_epoch_pays_more_than_is_left() -> None:
    block = rewarding()
    move(block.state, REWARDS, COMMUNITY_POOL, SUPPLY_OF_REWARDS - 200)
    later = switch(block)
    assert {name: claim(later, name, 1) for name in HOSTS} == HOSTS
    assert balance(later.state, REWARDS) == 0
    last = switch(later)
    assert refused_claim(last, "alice", 2).code == NetworkCode.NOTHING_TO_CLAIM


def test_w18_supply_never_changes_from_epoch_to_epoch() -> None:
    block = rewarding()
    before = block.state.get("bank", b"\x00ngonka")
    for number in range(5):
        earn(block, "bob", 100 + number)
        block = switch(block)
        claim(block, "alice", number + 1)
    assert block.state.get("bank", b"\x00ngonka") == before
    check_books(block)


def test_an_invalid_host_loses_reward_and_work_to_the_community_pool() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    register(block.state, "bob", status=ParticipantStatus.INVALID)
    later = switch(block)
    share = INITIAL * HOSTS["bob"] // sum(HOSTS.values())
    assert balance(later.state, COMMUNITY_POOL) == share + 500
    assert refused_claim(later, "bob", 1).code == NetworkCode.NOTHING_TO_CLAIM
    assert require_participant(later.state, key("bob").address).epochs_completed == 0


def test_summaries_are_kept_for_thirty_epochs() -> None:
    block = rewarding()
    for _ in range(32):
        block = switch(block)
    alice = key("alice").address
    kept = [index for index in range(34) if summary(block.state, index, alice) is not None]
    assert kept == list(range(3, 33))


def test_d7_settlement_begins_at_the_switch_and_claims_are_open_until_the_next_one() -> None:
    block = rewarding()
    earn(block, "bob", 7)
    assert refused_claim(block, "bob", 1).code == NetworkCode.NOTHING_TO_CLAIM
    later = switch(block)
    assert claim(later, "bob", 1) == INITIAL * HOSTS["bob"] // sum(HOSTS.values()) + 7
    unclaimed = owed(later.state)
    pool = balance(later.state, COMMUNITY_POOL)
    after = switch(later)
    assert refused_claim(after, "alice", 1).code == NetworkCode.NOTHING_TO_CLAIM
    rounding = sum(HOSTS.values()) - 1
    assert pool + unclaimed <= balance(after.state, COMMUNITY_POOL) <= pool + unclaimed + rounding


def test_d17_rewards_leave_their_account_and_no_coin_is_made() -> None:
    block = rewarding()
    everything = sum(held for _, held in balances(block.state))
    later = switch(switch(block))
    assert balance(later.state, REWARDS) == SUPPLY_OF_REWARDS - INITIAL - settlement.epoch_reward(PUBLISHED, 2)
    assert sum(held for _, held in balances(later.state)) == everything


def test_d19_members_beyond_any_page_are_settled_and_what_is_old_goes() -> None:
    hosts = {f"host {number}": 1 for number in range(1_100)}
    block = rewarding(hosts)
    for host in hosts:
        put_summary(block.state, EpochPerformanceSummary(participant_id=key(host).address, epoch_index=0))
    block = settled(switch(block, hosts))
    assert [each.epoch_index for each in settle_amounts(block.state)] == [1] * len(hosts)
    assert [each.epoch_index for each in summaries(block.state)] == [0] * len(hosts) + [1] * len(hosts)
    block = settled(switch(block, hosts))
    assert [each.epoch_index for each in settle_amounts(block.state)] == [2] * len(hosts)
    kept_until = SUMMARY_EPOCHS - 1
    add_epoch(block, kept_until, block.height, hosts)
    epochs.switch(block, kept_until)
    block = settled(switch(block, hosts))
    assert {each.epoch_index for each in summaries(block.state)} == {0, 1, 2, kept_until}
    block = settled(switch(block, hosts))
    assert [each.epoch_index for each in summaries(block.state) if not each.epoch_index] == []
    assert [each.epoch_index for each in settle_amounts(block.state)] == [SUMMARY_EPOCHS] * len(hosts)
    check_books(block)


def settled(block: Block) -> Block:
    """The block in which the settlement under way is over."""
    while under_way(block.state) is not None:
        block = next_block(block)
        settlement.settle_some(block)
    return block


def test_who_misses_too_many_requests_loses_collateral_when_its_epoch_is_settled() -> None:
    block = rewarding()
    bob, carol = key("bob").address, key("carol").address
    for address in (bob, carol):
        move(block.state, DEVELOPER.address, COLLATERAL, 1_000)
        put_collateral(block.state, address, 1_000)
    for name, answered, missed in (("bob", 18, 2), ("carol", 19, 1)):  # a twentieth may be missed, no more
        for _ in range(answered):
            earn(block, name, 1)
        for _ in range(missed):
            note_missed(block.state, key(name).address)
    later = switch(block)
    assert (collateral(later.state, bob), collateral(later.state, carol)) == (900, 1_000)
    assert [event.type for event in later.events].count("slash_collateral") == 1


# ---- Claims ----


def test_a_claim_pays_work_and_reward_once() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    later = switch(block)
    share = INITIAL * HOSTS["bob"] // sum(HOSTS.values())
    assert claim(later, "bob", 1) == share + 500
    assert balance(later.state, key("bob").address) == share + 500
    done = summary(later.state, 1, key("bob").address)
    assert done is not None
    assert done.claimed
    names = [event.type for event in later.events]
    assert names[-5:] == ["coin_spent", "coin_received", "transfer", "message", "rewards_claimed"]
    refused = refused_claim(later, "bob", 1)
    assert refused.code == NetworkCode.NOTHING_TO_CLAIM
    assert "paid" in refused.log


def vesting(work: int, reward: int) -> Block:
    """The network in epoch 1, in which pay vests over so many epochs."""
    params = preset_params("test")
    params.tokenomics_params.work_vesting_period = work
    params.tokenomics_params.reward_vesting_period = reward
    block = rewarding()
    current = epochs.effective(block.state)
    current.params.CopyFrom(params)
    epochs.put(block.state, current)
    return block


def test_a_claim_vests_where_a_period_is_set() -> None:
    block = vesting(0, 180)
    periods = epochs.effective(block.state).params
    earn(block, "bob", 500)
    later = switch(block, params=periods)
    share = INITIAL * HOSTS["bob"] // sum(HOSTS.values())
    assert claim(later, "bob", 1) == share + 500
    bob = key("bob").address
    assert balance(later.state, bob) == 500
    found = schedule(later.state, bob)
    assert found is not None
    assert (found.first, len(found.amounts), found.total) == (3, 180, share)
    assert balance(later.state, STREAMVESTING) == share
    check_schedules(later.state)


def test_work_and_reward_vest_together_over_their_own_periods() -> None:
    block = vesting(2, 4)
    periods = epochs.effective(block.state).params
    earn(block, "bob", 500)
    later = switch(block, params=periods)
    claim(later, "bob", 1)
    bob, share = key("bob").address, INITIAL * HOSTS["bob"] // sum(HOSTS.values())
    found = schedule(later.state, bob)
    assert found is not None
    assert [amount - share // 4 for amount in found.amounts[:2]] == [250 + share % 4, 250]
    assert balance(later.state, bob) == 0
    check_books(later)


@pytest.mark.parametrize("epoch", [0, 2, 3, 2**63])
def test_only_the_epoch_that_ended_last_can_be_claimed(epoch: int) -> None:
    later = switch(rewarding())
    refused = refused_claim(later, "bob", epoch)
    assert refused.code == NetworkCode.NOTHING_TO_CLAIM
    assert "epoch 1" in refused.log
    assert refused.log.startswith("No rewards for this block height")


def test_before_the_first_switch_there_is_nothing_to_claim() -> None:
    block = network()
    epochs.switch(block, 0)
    assert refused_claim(block, "bob", 0).code == NetworkCode.NOTHING_TO_CLAIM


def test_a_stranger_has_nothing_to_claim() -> None:
    assert refused_claim(switch(rewarding()), "mallory", 1).code == NetworkCode.NOTHING_TO_CLAIM


def test_what_nobody_claims_before_the_next_switch_goes_to_the_community_pool() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    later = switch(block)
    claim(later, "alice", 1)
    pool = balance(later.state, COMMUNITY_POOL)
    unclaimed = owed(later.state)
    after = switch(later)
    assert refused_claim(after, "bob", 1).code == NetworkCode.NOTHING_TO_CLAIM
    assert balance(after.state, COMMUNITY_POOL) >= pool + unclaimed
    assert [amount.epoch_index for amount in settle_amounts(after.state)] == [2, 2, 2]


def test_a_late_claim_is_refused_even_before_its_coins_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    later = switch(rewarding())
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    after = switch(later)
    late = next(amount for amount in settle_amounts(after.state) if amount.epoch_index == 1)
    name = next(name for name in HOSTS if key(name).address == late.participant)
    assert refused_claim(after, name, 1).code == NetworkCode.NOTHING_TO_CLAIM


def test_a_claim_needs_an_address_and_goes_first_in_a_block() -> None:
    with pytest.raises(Rejection) as refused:
        CLAIM.check(MsgClaimRewards(creator="nobody", epoch_index=1))
    assert refused.value.code == SdkCode.INVALID_ADDRESS
    assert CLAIM.duty
    assert CLAIM.urgent
    assert CLAIM.gas(MsgClaimRewards()) > 0


# ---- Counting ----


def test_w20_a_free_answer_counts() -> None:
    block = rewarding()
    earn(block, "bob", 0)
    note_missed(block.state, key("bob").address)
    done = stats(block.state, key("bob").address)
    assert (done.inference_count, done.missed_requests, done.earned_coins) == (1, 1, 0)


def test_a_host_that_has_done_nothing_has_statistics_of_zeros() -> None:
    assert stats_of(network().state, 1, key("alice").address).inference_count == 0


# ---- Queries ----


def test_a_participant_is_shown_with_what_it_has_earned_in_this_epoch() -> None:
    block = rewarding()
    earn(block, "bob", 500)
    answer = _ANSWERS["Participant"](view(block), query_pb2.QueryGetParticipantRequest(index=key("bob").address))
    found = answer.participant  # type: ignore[attr-defined]
    assert (found.coin_balance, found.current_epoch_stats.inference_count) == (500, 1)
    assert found.inference_url == "http://bob.example:9000"


def test_all_participants_are_listed_page_by_page() -> None:
    block = rewarding({f"host {number}": 1 for number in range(7)})
    earn(block, "host 2", 9)
    move(block.state, DEVELOPER.address, key("host 3").address, 77)
    request = query_pb2.QueryAllParticipantRequest(pagination=PageRequest(limit=4))
    first = _ANSWERS["ParticipantAll"](view(block), request)
    request.pagination.key = first.pagination.next_key  # type: ignore[attr-defined]
    second = _ANSWERS["ParticipantAll"](view(block), request)
    found = [*first.participant, *second.participant]  # type: ignore[attr-defined]
    assert sorted(each.address for each in found) == sorted(key(f"host {number}").address for number in range(7))
    assert sum(each.coin_balance for each in found) == 9
    assert first.block_height == block.height  # type: ignore[attr-defined]
    held = {each.address: each.balance for each in found}
    assert held == {address: balance(block.state, address) for address in held}
    assert held[key("host 3").address] == 77


def test_any_accounts_key_and_balance_are_told() -> None:
    block = rewarding()
    request = query_pb2.QueryInferenceParticipantRequest(address=DEVELOPER.address)
    answer = _ANSWERS["InferenceParticipant"](view(block), request)
    assert (answer.pubkey, answer.balance) == ("", 10**9)  # type: ignore[attr-defined]
    set_public_key(block.state, DEVELOPER.address, DEVELOPER.public_key)
    answer = _ANSWERS["InferenceParticipant"](view(block), request)
    assert len(answer.pubkey) == 44  # type: ignore[attr-defined]


def test_what_may_be_claimed_and_what_was_done_are_told() -> None:
    later = switch(rewarding())
    alice = key("alice").address
    amount = _ANSWERS["SettleAmount"](view(later), query_pb2.QueryGetSettleAmountRequest(participant=alice))
    assert amount.settle_amount.reward_coins == INITIAL // 2  # type: ignore[attr-defined]
    request = query_pb2.QueryGetEpochPerformanceSummaryRequest(epoch_index=1, participantId=alice)
    done = _ANSWERS["EpochPerformanceSummary"](view(later), request)
    assert done.epochPerformanceSummary.rewarded_coins == INITIAL // 2  # type: ignore[attr-defined]


def test_all_amounts_and_summaries_are_listed_page_by_page() -> None:
    later = switch(rewarding())
    claim(later, "alice", 1)
    page = PageRequest(limit=2)
    amounts = _ANSWERS["SettleAmountAll"](view(later), query_pb2.QueryAllSettleAmountRequest(pagination=page))
    assert len(amounts.settle_amount) == 2  # type: ignore[attr-defined]
    request = query_pb2.QueryAllEpochPerformanceSummaryRequest(pagination=PageRequest(limit=2))
    first = _ANSWERS["EpochPerformanceSummaryAll"](view(later), request)
    request.pagination.key = first.pagination.next_key  # type: ignore[attr-defined]
    second = _ANSWERS["EpochPerformanceSummaryAll"](view(later), request)
    found = [*first.epochPerformanceSummary, *second.epochPerformanceSummary]  # type: ignore[attr-defined]
    assert [each.claimed for each in found].count(True) == 1
    assert {each.participant_id for each in found} == {key(name).address for name in HOSTS}


def test_the_networks_totals_are_kept_as_coins_move() -> None:
    block = rewarding()
    note_spent(block.state, fee=30, refund=70)
    note_spent(block.state, fee=-30, refund=30)
    note_spent(block.state, fee=5, refund=2**64 - 1)
    later = switch(block)
    answer = _ANSWERS["TokenomicsData"](view(later), query_pb2.QueryGetTokenomicsDataRequest())
    told = answer.tokenomics_data  # type: ignore[attr-defined]
    assert (told.total_fees, told.total_refunded, told.total_burned) == (5, 2**64 - 1, 0)
    assert told.total_subsidies == INITIAL - balance(later.state, COMMUNITY_POOL)
    note_spent(later.state, fee=-6, refund=6)
    assert tokenomics(later.state).total_fees == 0


def test_queries_for_what_is_not_there_are_refused() -> None:
    stranger = key("stranger").address
    for name, request, code in (
        ("Participant", query_pb2.QueryGetParticipantRequest(index=stranger), NetworkCode.PARTICIPANT_NOT_FOUND),
        ("Participant", query_pb2.QueryGetParticipantRequest(index="x" * 1000), SdkCode.INVALID_ADDRESS),
        ("InferenceParticipant", query_pb2.QueryInferenceParticipantRequest(address="x"), SdkCode.INVALID_ADDRESS),
        ("SettleAmount", query_pb2.QueryGetSettleAmountRequest(participant=stranger), SdkCode.NOT_FOUND),
        (
            "EpochPerformanceSummary",
            query_pb2.QueryGetEpochPerformanceSummaryRequest(epoch_index=1, participantId=stranger),
            NetworkCode.EPOCH_NOT_FOUND,
        ),
    ):
        with pytest.raises(Rejection) as refused:
            _ANSWERS[name](view(network()), request)
        assert refused.value.code == code


def test_in_epoch_0_there_is_nothing_to_claim() -> None:
    block = network()
    epochs.switch(block, 0)
    with pytest.raises(Rejection) as refused:
        _ANSWERS["SettleAmount"](view(block), query_pb2.QueryGetSettleAmountRequest(participant=key("bob").address))
    assert refused.value.code == SdkCode.NOT_FOUND


# ---- Invariant, genesis ----


def test_the_invariant_sees_a_settlement_that_gives_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    check_rewards(rewarding().state)
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    block = switch(rewarding())
    check_rewards(block.state)
    record = under_way(block.state)
    assert record is not None
    record.shared = record.reward + 1
    put_settlement(block.state, record)
    with pytest.raises(AssertionError, match="of the reward of epoch 1 is left"):
        check_rewards(block.state)


def test_an_epoch_whose_record_is_gone_is_not_settled_in_silence() -> None:
    block = rewarding()
    put_settlement(block.state, Settlement(epoch_index=7))
    with pytest.raises(LookupError, match="epoch 7"):
        settlement.settle_some(block)


def test_an_export_loads_into_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    block = rewarding()
    earn(block, "bob", 500)
    note_spent(block.state, fee=500, refund=3)
    block = switch(block)
    earn(block, "carol", 9)
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    block = switch(block)
    restored = plain_block()
    genesis.load(restored, genesis.export(block.state))
    for prefix in (b"EpochStats/", b"SettleAmount/", b"EpochPerformanceSummary/", b"Settlement/", b"TokenomicsData/"):
        rows = [list(each.state.iterate("inference", prefix, prefix + b"\xff")) for each in (block, restored)]
        assert rows[0] == rows[1] != []


def test_a_section_without_rows_makes_none() -> None:
    block = plain_block()
    genesis.load(block, genesis.export(block.state))
    assert genesis.export(block.state) == genesis.export(plain_block().state)
