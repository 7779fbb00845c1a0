"""Decisions 8 to 12 and 16 of the design: each attack, and how it is refused."""

import pytest

from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.modules.bank.state import balance
from pivot.chain.modules.inferences.checks import MAX_BATCH_BYTES, MAX_BATCH_ITEMS
from pivot.chain.modules.inferences.lifetime import expire_due
from pivot.chain.modules.rewards.state import stats
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgRecordInferences
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus
from pivot.protocol.parameters import LONGEST_GENERATION_SECONDS, PRESETS, preset_params, timeout_commit
from pivot.protocol.signing import body_hash
from tests.chain.chain import key
from tests.chain.modules.checking import COST, Checking
from tests.chain.requests import (
    DEVELOPER,
    DEVELOPER_COINS,
    EPOCH,
    GATEWAY_COINS,
    PRICE,
    by_address,
    executors,
    gateway,
    make_finish,
    make_start,
    sign_start,
)

ESCROWED = (100 + 20) * PRICE
ALICE = key("alice").address


# 8: the draw


def test_d8_a_transfer_agent_cannot_choose_a_friend() -> None:
    network = Checking({"alice": 100, "bob": 60, "carol": 40, "dave": 20, "erin": 60})
    start = make_start(network.block)
    drawn = executors(network.block, start.inference_id)
    friend = next(key(name).address for name in network.hosts if key(name).address not in drawn)
    for attempt in range(3):
        chosen = make_start(network.block, attempt=attempt, assigned_to=friend)
        assert network.refused(chosen).code == NetworkCode.NOT_DRAWN
    swapped = make_start(network.block, attempt=1, assigned_to=drawn[0])
    assert network.refused(swapped).code == NetworkCode.NOT_DRAWN
    network.deliver(make_start(network.block, attempt=2))


def test_d8_the_epoch_before_is_drawn_from_for_fifty_blocks_only() -> None:
    network = Checking()
    network.switch()
    switched = network.block.height - 1
    network.advance(switched + 50)
    network.deliver(make_start(network.block, epoch=EPOCH))
    network.advance(switched + 51)
    late = make_start(network.block, epoch=EPOCH, body=b"late")
    assert network.refused(late).code == NetworkCode.EPOCH_NOT_FOUND


# 9: the acceptance


def test_d9_nobody_misses_a_request_that_it_never_accepted() -> None:
    network = Checking()
    start = make_start(network.block)
    start.acceptance_signature = key("mallory").sign_base64(b"accepted")
    refusal = network.refused(start)
    assert (refusal.code, "acceptance_signature" in refusal.log) == (NetworkCode.INVALID_SIGNATURE, True)
    assert stats(network.state, start.assigned_to).missed_requests == 0


def test_d9_an_acceptance_holds_for_its_own_terms() -> None:
    network = Checking()
    start = make_start(network.block)
    accepted = start.acceptance_signature
    start = sign_start(make_start(network.block, max_tokens=99))
    start.acceptance_signature = accepted
    assert network.refused(start).code == NetworkCode.INVALID_SIGNATURE


# 10: the finish


def test_d10_an_inference_is_paid_once_whatever_is_sent_again() -> None:
    network = Checking()
    start = make_start(network.block)
    finish = make_finish(start)
    network.deliver(finish)
    more = make_finish(start, completion_token_count=100)
    for again in (finish, more):
        assert network.refused(again).code == NetworkCode.ALREADY_DONE
    assert stats(network.state, start.assigned_to).earned_coins == COST
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS - COST
    network.check()


def test_d10_the_escrow_is_a_hard_cap() -> None:
    network = Checking()
    finish = make_finish(make_start(network.block), completion_token_count=900_000)
    network.deliver(finish)
    assert network.record(finish.inference_id).actual_cost == ESCROWED
    network.check()


def test_d10_nobody_changes_what_an_executor_has_signed() -> None:
    network = Checking()
    for field, value in (
        ("completion_token_count", 31),
        ("response_hash", body_hash(b"else")),
        ("artifact_hash", body_hash(b"else")),
    ):
        finish = make_finish(make_start(network.block))
        setattr(finish, field, value)
        assert network.refused(finish).code == NetworkCode.INVALID_SIGNATURE
    finish = make_finish(make_start(network.block))
    finish.creator = key("mallory").address
    assert network.refused(finish).code == SdkCode.UNAUTHORIZED


def test_d10_what_a_developer_cannot_pay_the_transfer_agents_gateway_pays() -> None:
    network = Checking()
    poor = key("poor")
    finish = make_finish(make_start(network.block, developer=poor))
    network.deliver(finish)
    assert balance(network.state, gateway("alice").address) == GATEWAY_COINS - COST
    network.check()


# 11: the developer's signature


def test_d11_the_raw_body_form_and_another_transfer_agents_request_are_refused() -> None:
    network = Checking()
    start = make_start(network.block)
    raw = f'{{"model": "org/model"}}{start.request_timestamp}{ALICE}'.encode()
    start.inference_id = DEVELOPER.sign_base64(raw)
    drawn = executors(network.block, start.inference_id)
    start.assigned_to = drawn[0]
    refusal = network.refused(sign_start(start))
    assert (refusal.code, "hex(SHA-256(body))" in refusal.log) == (NetworkCode.INVALID_SIGNATURE, True)
    taken = make_start(network.block)
    taken.creator = taken.transferred_by = key("bob").address
    assert network.refused(sign_start(taken, "bob")).code == NetworkCode.INVALID_SIGNATURE


# 12: expiry


@pytest.mark.parametrize("preset", PRESETS)
def test_d12_no_preset_lets_a_request_expire_within_the_longest_generation(preset: str) -> None:
    milliseconds = int(timeout_commit(preset).removesuffix("ms"))
    blocks = preset_params(preset).validation_params.expiration_blocks
    assert blocks * milliseconds >= LONGEST_GENERATION_SECONDS * 1000


def test_d12_an_expired_request_gives_everything_back_and_is_a_miss() -> None:
    network = Checking()
    start = make_start(network.block)
    network.deliver(start)
    network.advance(network.block.height + 3000)
    expire_due(network.block)
    assert network.record(start.inference_id).status == InferenceStatus.EXPIRED
    assert balance(network.state, DEVELOPER.address) == DEVELOPER_COINS
    assert stats(network.state, start.assigned_to).missed_requests == 1
    assert network.refused(make_finish(start)).code == NetworkCode.INFERENCE_EXPIRED
    network.check()


# 16: batches


def test_d16_a_batch_is_bounded_in_items_and_bytes() -> None:
    network = Checking()
    many = MsgRecordInferences(creator=ALICE, finishes=[MsgFinishInference()] * (MAX_BATCH_ITEMS + 1))
    assert network.refused(many).code == NetworkCode.BATCH_TOO_LARGE
    long = MsgRecordInferences(creator=ALICE, finishes=[MsgFinishInference(inference_id="x" * MAX_BATCH_BYTES)])
    assert network.refused(long).code == NetworkCode.BATCH_TOO_LARGE


def test_d16_one_bad_item_spoils_no_other() -> None:
    network = Checking()
    good = make_finish(make_start(network.block, body=b"good"))
    while good.executed_by != ALICE:
        network._requests += 1
        good = make_finish(make_start(network.block, body=str(network._requests).encode()))
    bad = MsgFinishInference()
    bad.CopyFrom(good)
    bad.executor_signature = by_address(ALICE).sign_base64(b"something else")
    results = network.deliver(MsgRecordInferences(creator=ALICE, finishes=[bad, good, good])).finishes
    assert [each.code for each in results] == [NetworkCode.INVALID_SIGNATURE, 0, NetworkCode.ALREADY_DONE]
    network.check()
