"""At the switch of epochs: what is finished, claimed or sent in its very block belongs to one epoch, once."""

import pytest

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.bank.state import COMMUNITY_POOL
from pivot.chain.modules.epochs.state import effective, effective_index, latest
from pivot.chain.modules.inferences.answers import answers_in
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.rewards import settlement
from pivot.chain.modules.rewards.state import settle_amount, stats_of
from pivot.chain.modules.rewards.state import settlement as under_way
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgClaimRewards, MsgFinishInference
from tests.chain.chain import Chain, key
from tests.chain.requests import make_finish
from tests.chain.test_block import HOSTS, declare, must, new_chain, sprint
from tests.chain.test_inferences_in_blocks import COST, name_of, started


@pytest.fixture
def chain() -> Chain:
    """A chain in epoch 1, one block before the switch to epoch 2; nobody has done any proof of compute."""
    made = new_chain()
    for name in HOSTS:
        must(made, name, declare(name))
    sprint(made, {"alice": 60, "bob": 60})
    made.advance(effective(made.state).boundaries.next_poc_start)
    made.advance(latest(made.state).boundaries.set_new_validators - 1)
    return made


def finished(chain: Chain, body: bytes) -> MsgFinishInference:
    return make_finish(started(chain, body))


def claim(name: str, epoch: int) -> MsgClaimRewards:
    return MsgClaimRewards(creator=key(name).address, epoch_index=epoch)


def test_d7_a_finish_in_the_block_of_the_switch_is_the_ended_epochs_and_is_paid_once(chain: Chain) -> None:
    finish = finished(chain, b"at the switch")
    host = name_of(finish.executed_by)
    (result,) = chain.block(chain.sign(key(host), finish))
    assert (result.code, effective_index(chain.state)) == (0, 2)
    record = inference(chain.state, finish.inference_id)
    assert record is not None
    assert (record.finished_epoch_id, record.segment) == (1, SEGMENTS - 1)
    assert answers_in(chain.state, 1, SEGMENTS - 1) == 1
    owed = settle_amount(chain.state, 1, finish.executed_by)
    assert owed is not None
    assert owed.work_coins == COST
    assert stats_of(chain.state, 2, finish.executed_by).earned_coins == 0
    before = chain.balance(finish.executed_by)
    must(chain, host, claim(host, 1))
    assert chain.balance(finish.executed_by) == before + COST + owed.reward_coins
    assert chain.deliver(key(host), claim(host, 1)).code == NetworkCode.NOTHING_TO_CLAIM


def test_d7_a_claim_in_the_block_of_the_switch_is_for_the_epoch_before_the_ended_one(chain: Chain) -> None:
    """It is the last block for epoch 0; for epoch 1 it is too early, and two claims in one block are one."""
    alice = key("alice")
    results = chain.block(
        chain.sign(alice, claim("alice", 1)),
        chain.sign(alice, claim("alice", 0), ahead=1),
    )
    assert [result.code for result in results] == [NetworkCode.NOTHING_TO_CLAIM] * 2
    results = chain.block(
        chain.sign(alice, claim("alice", 1)),
        chain.sign(alice, claim("alice", 1), ahead=1),
        chain.sign(alice, claim("alice", 1), claim("alice", 1), ahead=2),
    )
    assert [result.code for result in results] == [0, NetworkCode.NOTHING_TO_CLAIM, NetworkCode.NOTHING_TO_CLAIM]


def test_d7_two_claims_in_one_transaction_take_nothing(chain: Chain) -> None:
    chain.block()
    alice = key("alice")
    before = chain.balance(alice.address)
    assert chain.deliver(alice, claim("alice", 1), claim("alice", 1)).code == NetworkCode.NOTHING_TO_CLAIM
    assert chain.balance(alice.address) == before
    assert chain.deliver(alice, claim("alice", 1)).code == 0


def test_d7_claims_between_the_portions_of_a_settlement_get_what_they_would_have_got(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is settled first may claim while others still wait; the shares of those do not change by it."""
    monkeypatch.setattr(settlement, "ROWS_PER_BLOCK", 1)
    chain.block()
    assert under_way(chain.state) is not None
    first, second = sorted(HOSTS, key=lambda name: key(name).address)
    amount = settle_amount(chain.state, 1, key(first).address)
    assert amount is not None
    results = chain.block(chain.sign(key(first), claim(first, 1)), chain.sign(key(second), claim(second, 1)))
    assert [result.code for result in results] == [0, NetworkCode.NOTHING_TO_CLAIM]
    while under_way(chain.state) is not None:
        chain.block()
    other = settle_amount(chain.state, 1, key(second).address)
    assert other is not None
    assert (other.reward_coins, other.work_coins) == (amount.reward_coins, amount.work_coins)
    pool = chain.balance(COMMUNITY_POOL)
    assert chain.deliver(key(second), claim(second, 1)).code == 0
    assert chain.balance(COMMUNITY_POOL) == pool
