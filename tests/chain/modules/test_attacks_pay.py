"""What a host could try to be paid for twice, to keep although it cheated, or to take from others."""

from collections.abc import Iterable

import pytest

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.bank.state import (
    COLLATERAL,
    COMMUNITY_POOL,
    ESCROW,
    balance,
    balances,
    move,
    supply,
)
from pivot.chain.modules.collateral import messages as collateral_messages
from pivot.chain.modules.collateral.invariants import check_collateral
from pivot.chain.modules.collateral.release import release_some
from pivot.chain.modules.collateral.state import collateral, unbondings
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences import sharing
from pivot.chain.modules.inferences.lifetime import expire_due
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.rewards import earnings, settlement
from pivot.chain.modules.rewards.state import settle_amount, stats_of
from pivot.chain.modules.rewards.state import settlement as under_way
from pivot.chain.modules.rewards.totals import note_spent
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.collateral.tx_pb2 import MsgDepositCollateral, MsgWithdrawCollateral
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus, ParticipantStatus
from tests.chain.chain import key, next_block
from tests.chain.modules.checking import COST, FAILED, PASSED, Checking, checking_params
from tests.chain.requests import DEVELOPER, EPOCH, make_finish, make_start

FIVE = {"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60}
ALICE = key("alice").address
HELD = 1_000_000
LAST = SEGMENTS - 1
FRAUDS = 5
"""Wrong answers in a row that make a host INVALID, whatever else it has done."""


def lenient() -> Checking:
    """A network whose hosts may claim though duties are missing."""
    return Checking(FIVE, params=checking_params(missing_duties_allowed=Decimal(value=1)))


def judge(network: Checking, ids: Iterable[str], segment: int) -> None:
    """Bob accuses, the others agree. The answers are epoch 1's."""
    ids = list(ids)
    network.report("bob", segment, dict.fromkeys(ids, FAILED), EPOCH)
    for each in ids:
        for name in ("carol", "dave", "erin"):
            network.vote(name, each, invalid=True)


def put_down(network: Checking, name: str, amount: int) -> None:
    """Collateral by its message, out of coins that the developer gives the host."""
    address = key(name).address
    move(network.state, DEVELOPER.address, address, amount)
    _send(network, MsgDepositCollateral(participant=address, amount={"denom": "ngonka", "amount": str(amount)}))


def take_away(network: Checking, name: str, amount: int) -> int:
    message = MsgWithdrawCollateral(participant=key(name).address, amount={"denom": "ngonka", "amount": str(amount)})
    completion: int = _send(network, message).completion_epoch
    return completion


def _send(network: Checking, message: MsgDepositCollateral | MsgWithdrawCollateral):
    handler = next(each for each in collateral_messages.MESSAGES if each.type is type(message))
    handler.check(message)
    answer = handler.handle(network.block, message)
    check_collateral(network.state)
    return answer


def to_sprint(network: Checking) -> None:
    """End the block in which the sprint of the epoch in force begins."""
    network.advance(epochs.effective(network.state).boundaries.next_poc_start)
    release_some(network.block)
    check_collateral(network.state)


# Collateral


def test_d15_who_withdraws_before_it_cheats_is_slashed_for_what_is_found_out_in_the_next_epoch() -> None:
    """The last segment's answers are checked when the next epoch serves, in which the withdrawal falls due."""
    network = Checking(FIVE)
    put_down(network, "alice", HELD)
    assert take_away(network, "alice", HELD) == EPOCH + 1
    network.after_segment(LAST - 1)
    frauds = [network.answer("alice") for _ in range(FRAUDS)]
    network.switch()
    release_some(network.block)
    assert balance(network.state, ALICE) == 0
    pool = balance(network.state, COMMUNITY_POOL)
    judge(network, frauds, LAST)
    assert network.status("alice") == ParticipantStatus.INVALID
    assert balance(network.state, COMMUNITY_POOL) == pool + HELD // 5
    to_sprint(network)
    assert balance(network.state, ALICE) == HELD - HELD // 5


def test_d15_one_fall_is_slashed_once_however_many_frauds_are_found_later() -> None:
    network = Checking(FIVE)
    put_down(network, "alice", HELD)
    frauds = [network.answer("alice") for _ in range(2 * FRAUDS)]
    network.after_segment(7)
    judge(network, frauds, 7)
    assert network.status("alice") == ParticipantStatus.INVALID
    assert collateral(network.state, ALICE) == HELD - HELD // 5


def test_d15_coins_that_come_after_the_fault_are_not_safer_than_others() -> None:
    """A deposit between the fraud and its discovery is slashed with the rest; it hides nothing."""
    network = Checking(FIVE)
    put_down(network, "alice", HELD)
    frauds = [network.answer("alice") for _ in range(FRAUDS)]
    take_away(network, "alice", HELD)
    put_down(network, "alice", HELD)
    network.after_segment(7)
    judge(network, frauds, 7)
    assert collateral(network.state, ALICE) == HELD - HELD // 5
    assert list(unbondings(network.state, ALICE)) == [(EPOCH + 1, HELD - HELD // 5)]


# Work


def test_w3_refund_after_the_claim_takes_nothing_from_anybody_else() -> None:
    """Alice has been paid and is gone: the developer gets back what is left of her earnings, which is nothing."""
    network = lenient()
    fraud = network.answer("alice")
    network.answer("erin")
    network.after_segment(LAST - 1)
    network.switch()
    assert network.claim("alice") > COST
    others = {name: coins for name, coins in network.earned().items() if name != "alice"}
    before = balance(network.state, DEVELOPER.address)
    judge(network, [fraud], network.record(fraud).segment)
    assert network.record(fraud).status == InferenceStatus.INVALIDATED
    assert balance(network.state, DEVELOPER.address) == before
    assert {name: coins for name, coins in network.earned().items() if name != "alice"} == others
    network.check()


def test_w3_a_fraud_that_is_found_between_settlement_and_claim_is_not_claimed() -> None:
    network = lenient()
    fraud = network.answer("alice")
    network.after_segment(LAST - 1)
    network.switch()
    reward = settle_amount(network.state, EPOCH, ALICE).reward_coins
    before = balance(network.state, DEVELOPER.address)
    judge(network, [fraud], network.record(fraud).segment)
    assert balance(network.state, DEVELOPER.address) == before + COST
    assert network.claim("alice") == reward
    again = MsgClaimRewards(creator=ALICE, epoch_index=EPOCH)
    assert network.refused(again).code == NetworkCode.NOTHING_TO_CLAIM
    network.check()


def test_d7_frauds_found_while_a_settlement_is_under_way_are_refunded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hosts are settled, others not yet: the refund finds the pay wherever it lies."""
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    network = lenient()
    frauds = [network.answer(name) for name in ("alice", "carol", "dave", "erin")]
    network.after_segment(LAST - 1)
    network.switch()
    assert under_way(network.state) is not None
    before = balance(network.state, DEVELOPER.address)
    for each in frauds:
        accuser = "bob"
        network.report(accuser, network.record(each).segment, {each: FAILED}, EPOCH)
        for name in ("alice", "carol", "dave", "erin"):
            network.vote(name, each, invalid=True)
        network.check()
    while under_way(network.state) is not None:
        settlement.settle_some(network.block)
        network.check()
    assert balance(network.state, DEVELOPER.address) == before + len(frauds) * COST
    assert network.earned() == {}


def test_w5_a_thousand_checkers_of_an_answer_that_cost_one_coin_share_nothing() -> None:
    """A part rounds down to nothing; the executor keeps the coin, and nobody makes one."""
    network = Checking({"alice": 1, "bob": 1})
    record = network.record(network.answer("alice", completion_token_count=0, prompt_token_count=0))
    record.actual_cost = 1
    move(network.state, DEVELOPER.address, ESCROW, 1)
    earnings.give(network.state, ALICE, 1)
    note_spent(network.state, fee=1, refund=0)
    checkers = [key(f"checker {number}").address for number in range(1_000)]
    for checker in checkers:
        sharing.join(network.state, record, checker)
    assert sum(sharing.shares(network.state, record)) == 0
    assert stats_of(network.state, EPOCH, ALICE).earned_coins == 1
    assert not any(stats_of(network.state, EPOCH, checker).earned_coins for checker in checkers)
    assert sharing.refund(network.state, record) == 1


# Time


def test_d10_a_finish_in_the_block_in_which_its_start_expires_is_paid_and_nothing_expires() -> None:
    network = Checking()
    start = make_start(network.block)
    network.deliver(start)
    network.advance(inference(network.state, start.inference_id).expires_at_height)
    network.deliver(make_finish(start))
    expire_due(network.block)
    record = network.record(start.inference_id)
    assert (record.status, record.actual_cost) == (InferenceStatus.FINISHED, COST)
    assert not stats_of(network.state, EPOCH, record.executed_by).missed_requests
    network.check()


def test_d10_a_finish_in_the_block_after_the_expiry_pays_nobody() -> None:
    network = Checking()
    before = balance(network.state, DEVELOPER.address)
    start = make_start(network.block)
    network.deliver(start)
    network.advance(inference(network.state, start.inference_id).expires_at_height)
    expire_due(network.block)
    network.block = next_block(network.block)
    assert network.refused(make_finish(start)).code == NetworkCode.INFERENCE_EXPIRED
    assert balance(network.state, DEVELOPER.address) == before
    assert stats_of(network.state, EPOCH, start.assigned_to).missed_requests == 1


def test_d8_an_answer_of_the_epoch_before_is_paid_in_the_epoch_in_which_it_comes_and_only_there() -> None:
    network = lenient()
    late = make_start(network.block)
    network.deliver(late)
    network.after_segment(LAST - 1)
    network.switch()
    network.deliver(make_finish(late))
    executor = late.assigned_to
    assert settle_amount(network.state, EPOCH, executor).work_coins == 0
    assert stats_of(network.state, EPOCH + 1, executor).earned_coins == COST
    network.check()


def test_d17_whatever_was_tried_no_coin_was_made() -> None:
    network = lenient()
    before = sum(held for _, held in balances(network.state))
    put_down(network, "alice", HELD)
    frauds = [network.answer("alice", completion_token_count=count) for count in (0, 1, 30, 5_000)]
    passed = network.answer("erin")
    network.after_segment(7)
    judge(network, frauds[:2], 7)
    network.report("carol", 7, {frauds[2]: PASSED, passed: PASSED})
    network.switch()
    judge(network, frauds[2:], 7)
    for name in FIVE:
        network.claim(name)
    assert sum(held for _, held in balances(network.state)) == before == supply(network.state)
    assert balance(network.state, COLLATERAL) == collateral(network.state, ALICE)
