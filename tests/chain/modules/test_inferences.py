"""The life of an inference: started once, finished once, paid once, refunded once."""

import pytest

from pivot.chain.errors import NetworkCode, Rejection, SdkCode
from pivot.chain.modules.bank.state import ESCROW, balance, move
from pivot.chain.modules.inferences import lifetime
from pivot.chain.modules.inferences.checks import check_finish, check_start
from pivot.chain.modules.inferences.invariants import check_escrow, check_records
from pivot.chain.modules.inferences.messages import MESSAGES
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.rewards.state import stats
from pivot.chain.modules.statistics.state import all_answers
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus
from tests.chain.chain import key, next_block
from tests.chain.requests import (
    DEVELOPER,
    DEVELOPER_COINS,
    GATEWAY_COINS,
    PRICE,
    by_address,
    gateway,
    make_finish,
    make_start,
    network,
    sign_start,
)

ESCROWED = (100 + 20) * PRICE
COST = (15 + 30) * PRICE
EXPIRATION = 3000
_HANDLERS = {handler.type: handler for handler in MESSAGES}


def deliver(block: Block, message: MsgStartInference | MsgFinishInference) -> None:
    """Check and run a message as a transaction does."""
    handler = _HANDLERS[type(message)]
    handler.check(message)
    with block.frame():
        response = handler.handle(block, message)
    assert response.inference_index == message.inference_id


def refusal(block: Block, message: MsgStartInference | MsgFinishInference) -> Rejection:
    """Why a message is refused. Nothing may be left of it."""
    before = block.state.changes()
    events = list(block.events)
    with pytest.raises(Rejection) as refused:
        deliver(block, message)
    assert block.state.changes() == before
    assert block.events == events
    return refused.value


def recorded(block: Block, message: MsgStartInference | MsgFinishInference) -> Inference:
    found = inference(block.state, message.inference_id)
    assert found is not None
    check_escrow(block.state)
    check_records(block.state)
    return found


def emitted(block: Block) -> list[tuple[str, str]]:
    return [(event.type, dict(event.attributes)["inference_id"]) for event in block.events]


def test_a_start_locks_the_price_and_sets_the_escrow_aside() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    record = recorded(block, start)
    assert record.status == InferenceStatus.STARTED
    assert (record.per_token_price, record.escrow_amount, record.gateway_paid) == (PRICE, ESCROWED, 0)
    assert (record.expected_executor, record.executed_by) == (start.assigned_to, "")
    assert record.expires_at_height == block.height + EXPIRATION
    assert (record.epoch_id, record.epoch_poc_start_block_height) == (1, 10)
    assert balance(block.state, DEVELOPER.address) == DEVELOPER_COINS - ESCROWED
    assert balance(block.state, ESCROW) == ESCROWED
    assert emitted(block) == [("inference_started", start.inference_id)]


def test_a_finish_pays_what_was_used_and_returns_the_rest() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    later = next_block(block)
    finish = make_finish(start)
    deliver(later, finish)
    record = recorded(later, finish)
    assert record.status == InferenceStatus.FINISHED
    assert (record.actual_cost, record.escrow_returned) == (COST, ESCROWED - COST)
    assert (record.executed_by, record.prompt_token_count, record.completion_token_count) == (start.assigned_to, 15, 30)
    assert (record.response_hash, record.artifact_hash) == (finish.response_hash, finish.artifact_hash)
    assert (record.start_block_height, record.end_block_height) == (block.height, later.height)
    assert balance(later.state, DEVELOPER.address) == DEVELOPER_COINS - COST
    assert stats(later.state, start.assigned_to).earned_coins == COST
    assert stats(later.state, start.assigned_to).inference_count == 1
    assert emitted(later) == [("inference_finished", start.inference_id)]


def test_an_answer_without_tokens_costs_its_prompt_alone() -> None:
    """Embeddings are paid so."""
    block = network()
    start = make_start(block, max_tokens=1)
    deliver(block, start)
    finish = make_finish(start, completion_token_count=0)
    deliver(block, finish)
    record = recorded(block, finish)
    assert record.status == InferenceStatus.FINISHED
    assert (record.actual_cost, record.completion_token_count) == (15 * PRICE, 0)
    assert balance(block.state, DEVELOPER.address) == DEVELOPER_COINS - 15 * PRICE
    assert stats(block.state, start.assigned_to).earned_coins == 15 * PRICE
    [(developer, answered)] = all_answers(block.state)
    assert developer == DEVELOPER.address
    assert (answered.inference.total_token_count, answered.inference.actual_cost_in_coins) == (15, 15 * PRICE)


def test_a_finish_stands_alone() -> None:
    block = network()
    finish = make_finish(make_start(block))
    deliver(block, finish)
    record = recorded(block, finish)
    assert record.status == InferenceStatus.FINISHED
    assert record.expires_at_height == 0
    assert balance(block.state, DEVELOPER.address) == DEVELOPER_COINS - COST
    assert emitted(block) == [("inference_finished", finish.inference_id)]


def test_a_finish_needs_no_acceptance_for_it_is_more_than_one() -> None:
    block = network()
    start = make_start(block)
    start.acceptance_signature = ""
    deliver(block, make_finish(start))
    recorded(block, start)


def test_a_start_after_the_finish_changes_nothing() -> None:
    block = network()
    start = make_start(block)
    deliver(block, make_finish(start))
    before = block.state.changes()
    deliver(block, start)
    deliver(block, start)
    assert block.state.changes() == before


def test_start_and_finish_in_either_order_leave_the_same_coins() -> None:
    balances = []
    for order in ("start first", "finish first"):
        block = network()
        start = make_start(block)
        messages = [start, make_finish(start)]
        for message in messages if order == "start first" else reversed(messages):
            deliver(block, message)
        balances.append([balance(block.state, address) for address in (DEVELOPER.address, ESCROW)])
    assert balances[0] == balances[1] == [DEVELOPER_COINS - COST, COST]


def test_a_second_start_is_refused() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    assert refusal(block, start).code == NetworkCode.INFERENCE_ID_EXISTS
    assert refusal(block, sign_start(MsgStartInference.FromString(start.SerializeToString()))).code == 1101


def test_w3_a_second_finish_is_refused() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    deliver(block, make_finish(start))
    assert refusal(block, make_finish(start)).code == NetworkCode.ALREADY_DONE
    assert refusal(block, make_finish(start, completion_token_count=90)).code == NetworkCode.ALREADY_DONE
    assert balance(block.state, ESCROW) == COST


def test_w3_a_finish_that_stood_alone_cannot_come_again() -> None:
    block = network()
    finish = make_finish(make_start(block))
    deliver(block, finish)
    assert refusal(next_block(block, block.height + 20), finish).code == NetworkCode.ALREADY_DONE
    assert balance(block.state, ESCROW) == COST


def test_w3_a_finish_does_not_move_a_record_to_another_epoch() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    forged = make_finish(start)
    forged.start.epoch_id = 7
    deliver(block, forged)
    assert recorded(block, start).epoch_id == 1


def test_what_the_first_message_said_of_a_request_is_what_counts() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    larger = MsgStartInference.FromString(start.SerializeToString())
    larger.max_tokens = 900
    deliver(block, make_finish(sign_start(larger), completion_token_count=900))
    assert recorded(block, start).actual_cost == ESCROWED


def test_w4_the_creator_of_a_finish_is_its_executor() -> None:
    block = network()
    finish = make_finish(make_start(block))
    finish.creator = key("mallory").address
    assert refusal(block, finish).code == SdkCode.UNAUTHORIZED


def test_w4_only_the_assigned_executor_can_finish() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    other = next(key(name) for name in ("alice", "bob") if key(name).address != start.assigned_to)
    stolen = make_finish(start, executor=other, executed_by=other.address, creator=other.address)
    assert refusal(block, stolen).code == NetworkCode.INVALID_FIELD
    moved = MsgStartInference.FromString(start.SerializeToString())
    moved.assigned_to = other.address
    assert refusal(block, make_finish(moved, executor=other)).code == NetworkCode.NOT_DRAWN


@pytest.mark.parametrize("field", ["response_hash", "artifact_hash", "prompt_token_count", "completion_token_count"])
def test_w4_a_finish_that_was_changed_after_signing_is_refused(field: str) -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    finish = make_finish(start)
    setattr(finish, field, "0" * 64 if field.endswith("hash") else 99)
    assert refusal(block, finish).code == NetworkCode.INVALID_SIGNATURE


def test_w4_more_tokens_than_were_set_aside_cost_no_more_than_the_escrow() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    deliver(block, make_finish(start, completion_token_count=1_000_000))
    record = recorded(block, start)
    assert (record.actual_cost, record.escrow_returned) == (ESCROWED, 0)


def test_a27_an_answer_longer_than_the_escrow_covers_is_the_executors_loss() -> None:
    block = network()
    start = make_start(block, max_tokens=1)
    deliver(block, make_finish(sign_start(start), completion_token_count=5000))
    assert recorded(block, start).actual_cost == (20 + 1) * PRICE


def test_what_the_developer_cannot_pay_is_charged_to_the_agents_gateway() -> None:
    block = network(developer_coins=500)
    start = make_start(block)
    deliver(block, start)
    record = recorded(block, start)
    assert (record.gateway_paid, record.gateway_address) == (ESCROWED - 500, gateway("alice").address)
    assert balance(block.state, DEVELOPER.address) == 0
    assert balance(block.state, gateway("alice").address) == GATEWAY_COINS - (ESCROWED - 500)


def test_the_developer_pays_first_and_the_gateway_gets_its_part_back() -> None:
    block = network(developer_coins=500)
    start = make_start(block)
    deliver(block, start)
    deliver(block, make_finish(start))
    assert recorded(block, start).escrow_returned == ESCROWED - COST
    assert balance(block.state, DEVELOPER.address) == 500 - COST
    assert balance(block.state, gateway("alice").address) == GATEWAY_COINS


def test_the_gateway_that_paid_gets_the_refund_even_if_the_host_has_changed_it() -> None:
    block = network(developer_coins=0)
    start = make_start(block)
    deliver(block, start)
    host = participants.require_participant(block.state, key("alice").address)
    host.gateway_address = key("another gateway").address
    participants.put(block.state, host)
    deliver(block, make_finish(start))
    recorded(block, start)
    assert balance(block.state, gateway("alice").address) == GATEWAY_COINS - COST
    assert balance(block.state, key("another gateway").address) == 0


def test_a_request_that_nobody_can_pay_is_refused() -> None:
    block = network(developer_coins=10)
    move(block.state, gateway("alice").address, key("elsewhere").address, GATEWAY_COINS)
    refused = refusal(block, make_start(block))
    assert refused.code == NetworkCode.REQUESTER_CANNOT_PAY
    assert str(ESCROWED) in refused.log
    assert gateway("alice").address in refused.log


def test_a_host_without_a_gateway_account_pays_for_nobody() -> None:
    block = network(developer_coins=10)
    host = participants.require_participant(block.state, key("alice").address)
    host.gateway_address = ""
    participants.put(block.state, host)
    refused = refusal(block, make_finish(make_start(block)))
    assert refused.code == NetworkCode.REQUESTER_CANNOT_PAY
    assert "has named no gateway account" in refused.log


def test_an_inference_that_nobody_finishes_expires_and_is_refunded() -> None:
    block = network(developer_coins=500)
    start = make_start(block)
    deliver(block, start)
    early = next_block(block, block.height + EXPIRATION - 1)
    lifetime.expire_due(early)
    assert recorded(early, start).status == InferenceStatus.STARTED
    late = next_block(early)
    lifetime.expire_due(late)
    record = recorded(late, start)
    assert record.status == InferenceStatus.EXPIRED
    assert (record.actual_cost, record.escrow_returned) == (0, ESCROWED)
    assert balance(late.state, DEVELOPER.address) == 500
    assert balance(late.state, gateway("alice").address) == GATEWAY_COINS
    assert stats(late.state, start.assigned_to).missed_requests == 1
    assert emitted(late) == [("inference_expired", start.inference_id)]


def test_an_inference_expires_once_and_not_after_it_is_finished() -> None:
    block = network()
    start, other = make_start(block), make_start(block, body=b"other")
    for message in (start, other, make_finish(start), make_finish(make_start(block, body=b"third"))):
        deliver(block, message)
    late = next_block(block, block.height + EXPIRATION + 5)
    lifetime.expire_due(late)
    lifetime.expire_due(next_block(late))
    assert emitted(late) == [("inference_expired", other.inference_id)]
    assert recorded(late, start).status == InferenceStatus.FINISHED


def test_what_has_expired_can_be_neither_started_nor_finished() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    late = next_block(block, block.height + EXPIRATION)
    lifetime.expire_due(late)
    assert refusal(late, start).code == NetworkCode.INFERENCE_EXPIRED
    assert refusal(late, make_finish(start)).code == NetworkCode.INFERENCE_EXPIRED


def test_many_expiries_are_spread_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "EXPIRED_PER_BLOCK", 2)
    block = network()
    for number in range(5):
        deliver(block, make_start(block, body=str(number).encode()))
    counts = []
    for offset in range(4):
        late = next_block(block, block.height + EXPIRATION + offset)
        lifetime.expire_due(late)
        counts.append(len(late.events))
        check_escrow(late.state)
    assert counts == [2, 2, 1, 0]
    assert balance(block.state, DEVELOPER.address) == DEVELOPER_COINS


def test_a25_a_request_that_its_executor_refused_cannot_be_held_against_it() -> None:
    """Without the executor's acceptance there is no start, so nothing that could expire at the executor's cost."""
    block = network()
    start = make_start(block)
    start.acceptance_signature = ""
    assert refusal(block, start).code == NetworkCode.INVALID_SIGNATURE
    start.acceptance_signature = key("mallory").sign_base64(b"anything")
    assert refusal(block, start).code == NetworkCode.INVALID_SIGNATURE


def test_w6_an_acceptance_of_another_attempt_blames_nobody() -> None:
    block = network()
    first = make_start(block)
    second = make_start(block, attempt=1)
    second.acceptance_signature = by_address(second.assigned_to).sign_base64(b"attempt 0")
    assert second.inference_id == first.inference_id
    assert refusal(block, second).code == NetworkCode.INVALID_SIGNATURE


def test_single_checks_are_those_of_the_table() -> None:
    assert _HANDLERS[MsgStartInference].check is check_start
    assert _HANDLERS[MsgFinishInference].check is check_finish
    assert all(handler.duty for handler in MESSAGES)
