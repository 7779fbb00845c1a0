"""What must be true before an inference opens; every attack ends with no coin moved."""

import base64
import dataclasses
from typing import Any

import pytest

from pivot.chain.errors import NetworkCode, SdkCode
from pivot.chain.modules.auth.state import set_public_key
from pivot.chain.modules.authz.state import Permission, grant
from pivot.chain.modules.bank.state import ESCROW, balance
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences import lifetime
from pivot.chain.modules.inferences.opening import LONGEST_REQUEST_AGE_NS
from pivot.chain.modules.inferences.state import all_inferences, inference
from pivot.chain.modules.models import state as models
from pivot.chain.modules.participants import state as participants
from pivot.chain.types import Block
from pivot.primitives.addresses import to_bytes
from pivot.primitives.numbers import MAX_UINT64
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import Model, ParticipantStatus
from pivot.protocol.parameters import preset_params
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST
from pivot.protocol.signing import (
    WARM_KEY_GRANT,
    acceptance_sign_bytes,
    body_hash,
    developer_sign_bytes,
    finish_sign_bytes,
    start_sign_bytes,
)
from tests.chain.chain import key, next_block
from tests.chain.modules.test_inferences import deliver, recorded, refusal
from tests.chain.requests import (
    DEVELOPER,
    HOSTS,
    add_epoch,
    executors,
    make_finish,
    make_start,
    network,
    register,
    sign_start,
)

SECOND = 10**9


def copy(start: MsgStartInference, **fields: Any) -> MsgStartInference:
    changed = MsgStartInference.FromString(start.SerializeToString())
    for field, value in fields.items():
        setattr(changed, field, value)
    return changed


def test_every_executor_that_is_drawn_may_be_taken() -> None:
    for attempt in range(3):
        block = network()
        start = make_start(block, attempt=attempt)
        deliver(block, start)
        record = recorded(block, start)
        assert record.attempt == attempt
        assert record.expected_executor == executors(block, start.inference_id)[attempt]


def test_w6_an_executor_that_was_not_drawn_is_refused() -> None:
    block = network()
    start = make_start(block)
    drawn = executors(block, start.inference_id)
    assert refusal(block, sign_start(copy(start, assigned_to=drawn[1]))).code == NetworkCode.NOT_DRAWN
    assert refusal(block, make_finish(sign_start(copy(start, assigned_to=drawn[1])))).code == NetworkCode.NOT_DRAWN


def test_w6_an_executor_that_nobody_knows_is_refused_and_locks_nothing() -> None:
    block = network()
    start = make_start(block, assigned_to=key("dave").address)
    assert refusal(block, start).code == NetworkCode.NOT_DRAWN
    assert balance(block.state, ESCROW) == 0


def test_with_fewer_hosts_than_attempts_all_are_drawn_and_no_more() -> None:
    block = network({"alice": 100, "bob": 50})
    deliver(block, make_start(block, attempt=1))
    refused = refusal(block, make_start(block, body=b"other", attempt=2))
    assert refused.code == NetworkCode.NOT_DRAWN
    assert key("bob").address in refused.log


def test_a_model_that_nobody_serves_has_no_executors() -> None:
    block = network()
    models.put(block.state, Model(id="org/lonely"))
    refused = refusal(block, sign_start(make_start(block, model="org/lonely")))
    assert refused.code == NetworkCode.NOT_DRAWN
    assert "drawn are none" in refused.log


def test_a_fourth_attempt_is_refused() -> None:
    block = network()
    assert refusal(block, make_start(block, attempt=3)).code == NetworkCode.INVALID_FIELD


def test_an_invalid_host_keeps_its_place_in_the_draw_but_is_refused() -> None:
    block = network()
    first = make_start(block)
    index = next(name for name in HOSTS if key(name).address == first.assigned_to)
    register(block.state, index, status=ParticipantStatus.INVALID)
    agent = next(name for name in HOSTS if name != index)
    start = make_start(block, agent=agent)
    attempt = executors(block, start.inference_id).index(key(index).address)
    refused = refusal(block, make_start(block, agent=agent, attempt=attempt))
    assert refused.code == NetworkCode.NOT_DRAWN
    assert "INVALID" in refused.log
    deliver(block, make_start(block, agent=agent, attempt=(attempt + 1) % 3))


def test_a_transfer_agent_must_be_a_registered_host() -> None:
    block = network()
    assert refusal(block, make_start(block, agent="dave")).code == NetworkCode.PARTICIPANT_NOT_FOUND
    register(block.state, "dave", inference_url="")
    assert refusal(block, make_start(block, agent="dave")).code == NetworkCode.PARTICIPANT_NOT_FOUND
    register(block.state, "dave", status=ParticipantStatus.INVALID)
    assert refusal(block, make_start(block, agent="dave")).code == NetworkCode.PARTICIPANT_NOT_FOUND
    register(block.state, "dave")
    deliver(block, make_start(block, agent="dave"))


def test_w4_the_creator_of_a_start_is_its_transfer_agent() -> None:
    block = network()
    assert refusal(block, copy(make_start(block), creator=key("bob").address)).code == SdkCode.UNAUTHORIZED


def test_a_model_that_the_network_does_not_know_is_refused() -> None:
    block = network()
    assert refusal(block, sign_start(make_start(block, model="org/none"))).code == NetworkCode.INVALID_MODEL


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", MAX_TOKENS_PER_REQUEST + 1),
        ("max_tokens", MAX_UINT64),
        ("prompt_token_count", MAX_TOKENS_PER_REQUEST + 1),
        ("prompt_token_count", MAX_UINT64),
        ("request_timestamp", 0),
        ("request_timestamp", -1),
        ("model", ""),
        ("model", "ü" * 200),
        ("node_version", "v" * 65),
        ("prompt_hash", ""),
        ("prompt_hash", "A" * 64),
        ("prompt_hash", "a" * 65),
    ],
)
def test_w6_a_field_outside_its_limits_is_refused_by_name(field: str, value: object) -> None:
    block = network()
    refused = refusal(block, sign_start(copy(make_start(block), **{field: value})))
    assert refused.code == NetworkCode.INVALID_FIELD
    assert field in refused.log


@pytest.mark.parametrize("field", ["requested_by", "transferred_by", "assigned_to"])
def test_what_is_no_address_is_refused_by_name(field: str) -> None:
    block = network()
    start = copy(make_start(block), **{field: "gonka1nobody"})
    refused = refusal(block, copy(start, creator=start.transferred_by))
    assert refused.code == SdkCode.INVALID_ADDRESS
    assert field in refused.log


@pytest.mark.parametrize("field", ["response_hash", "artifact_hash"])
def test_a_finish_without_its_hashes_is_refused(field: str) -> None:
    block = network()
    refused = refusal(block, make_finish(make_start(block), **{field: "no hash"}))
    assert refused.code == NetworkCode.INVALID_FIELD
    assert field in refused.log


@pytest.mark.parametrize("field", ["prompt_token_count", "completion_token_count"])
def test_w6_token_counts_of_a_finish_cannot_overflow(field: str) -> None:
    block = network()
    refused = refusal(block, make_finish(make_start(block), **{field: MAX_UINT64}))
    assert refused.code == NetworkCode.INVALID_FIELD
    assert field in refused.log


def test_a_finish_of_another_inference_than_its_start_is_refused() -> None:
    block = network()
    finish = make_finish(make_start(block), inference_id=make_start(block, body=b"other").inference_id)
    assert refusal(block, finish).code == NetworkCode.INVALID_FIELD


def test_a_finish_without_a_start_is_refused() -> None:
    block = network()
    finish = make_finish(make_start(block))
    finish.ClearField("start")
    assert refusal(block, finish).code == NetworkCode.INVALID_SIGNATURE


@pytest.mark.parametrize("field", ["inference_id", "transfer_signature", "acceptance_signature"])
@pytest.mark.parametrize(
    "text", ["", "?" * 88, base64.b64encode(bytes(63)).decode(), base64.b64encode(bytes(64)).decode()]
)
def test_what_is_no_signature_is_refused_by_name(field: str, text: str) -> None:
    block = network()
    refused = refusal(block, copy(make_start(block), **{field: text}))
    assert refused.code in {NetworkCode.INVALID_SIGNATURE, NetworkCode.NOT_DRAWN}
    if refused.code == NetworkCode.INVALID_SIGNATURE:
        assert field in refused.log


def test_w3_an_id_in_another_spelling_of_base64_is_refused() -> None:
    """The last letter before `==` has four bits that decoders ignore: the same signature under another name."""
    block = network()
    start = make_start(block)
    deliver(block, make_finish(start))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    place = alphabet.index(start.inference_id[85])
    other = start.inference_id[:85] + alphabet[place ^ 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(start.inference_id)
    attempts = executors(block, other)
    again = sign_start(copy(start, inference_id=other, assigned_to=attempts[0]))
    assert refusal(block, again).code == NetworkCode.INVALID_SIGNATURE
    assert refusal(block, make_finish(again)).code == NetworkCode.INVALID_SIGNATURE


def test_w3_the_other_half_of_a_signature_pair_is_refused() -> None:
    """ECDSA: (r, −s) verifies as well as (r, s); only the low s counts."""
    block = network()
    start = make_start(block)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    raw = base64.b64decode(start.inference_id)
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    other = base64.b64encode(mirrored).decode()
    again = sign_start(copy(start, inference_id=other, assigned_to=executors(block, other)[0]))
    assert refusal(block, again).code == NetworkCode.INVALID_SIGNATURE


def test_w3_letters_cannot_move_between_the_hash_and_the_time_stamp() -> None:
    """The developer signs both in one line: a hash of 65 digits with a younger time stamp would be the same text."""
    block = network()
    start = make_start(block)
    stamp = str(start.request_timestamp)
    shifted = copy(start, prompt_hash=start.prompt_hash + stamp[0], request_timestamp=int(stamp[1:]))
    assert developer_sign_bytes(
        shifted.prompt_hash, shifted.request_timestamp, start.transferred_by
    ) == developer_sign_bytes(start.prompt_hash, start.request_timestamp, start.transferred_by)
    assert refusal(block, sign_start(shifted)).code == NetworkCode.INVALID_FIELD


def test_a_developers_key_must_hash_to_its_address() -> None:
    block = network()
    victim = key("victim")
    start = copy(make_start(block), requested_by=victim.address)
    assert refusal(block, sign_start(start)).code == NetworkCode.KEY_DOES_NOT_MATCH_ADDRESS
    garbage = copy(make_start(block), developer_public_key=b"\x02" * 33)
    assert refusal(block, garbage).code == NetworkCode.KEY_DOES_NOT_MATCH_ADDRESS


@pytest.mark.parametrize("change", ["body", "time", "agent"])
def test_a_developers_signature_is_for_one_body_time_and_agent(change: str) -> None:
    block = network()
    start = make_start(block)
    if change == "body":
        start = copy(start, prompt_hash=body_hash(b"another body"))
    elif change == "time":
        start = copy(start, request_timestamp=start.request_timestamp + 1)
    else:
        start = copy(start, transferred_by=key("bob").address, creator=key("bob").address)
    agent = "bob" if change == "agent" else "alice"
    refused = refusal(block, sign_start(start, agent))
    assert refused.code == NetworkCode.INVALID_SIGNATURE
    assert "inference_id" in refused.log


def test_a_developer_needs_no_registration() -> None:
    block = network()
    assert participants.participant(block.state, DEVELOPER.address) is None
    deliver(block, make_start(block))


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", 5000), ("prompt_token_count", 1), ("requested_by", None), ("attempt", 1), ("model", "org/other")],
)
def test_w4_the_terms_cannot_be_changed_behind_the_agents_signature(field: str, value: Any) -> None:
    block = network()
    models.put(block.state, Model(id="org/other"))
    start = make_start(block)
    if field == "requested_by":
        other = key("other developer")
        changed = make_start(block, developer=other)
        changed.transfer_signature = start.transfer_signature
    else:
        changed = copy(start, **{field: value})
    assert refusal(block, changed).code in {NetworkCode.INVALID_SIGNATURE, NetworkCode.NOT_DRAWN}


@pytest.mark.parametrize(("field", "value"), [("max_tokens", 1), ("prompt_token_count", 0)])
def test_an_agent_cannot_record_a_smaller_escrow_than_the_executor_accepted(field: str, value: int) -> None:
    """Both starts are signed by the agent; the executor has seen and accepted the first one only."""
    block = network()
    accepted = make_start(block)
    smaller = copy(accepted, **{field: value})
    smaller.transfer_signature = key("alice").sign_base64(start_sign_bytes(smaller))
    refused = refusal(block, smaller)
    assert refused.code == NetworkCode.INVALID_SIGNATURE
    assert "acceptance_signature" in refused.log
    deliver(block, accepted)


def test_a_warm_key_signs_in_the_hosts_name() -> None:
    block = network()
    start = make_start(block)
    agent, executor = key("warm agent"), key("warm executor")
    for granter, grantee in ((start.transferred_by, agent), (start.assigned_to, executor)):
        set_public_key(block.state, grantee.address, grantee.public_key)
        grant(block.state, Permission(granter, grantee.address, WARM_KEY_GRANT))
    start.transfer_signature = agent.sign_base64(start_sign_bytes(start))
    start.acceptance_signature = executor.sign_base64(acceptance_sign_bytes(start))
    deliver(block, start)
    deliver(block, make_finish(start, executor=executor))


@pytest.mark.parametrize("fault", ["other message", "expired", "never granted"])
def test_a_warm_key_without_a_grant_in_force_signs_nothing(fault: str) -> None:
    block = network()
    start = make_start(block)
    warm = key("warm")
    set_public_key(block.state, warm.address, warm.public_key)
    if fault == "other message":
        grant(block.state, Permission(start.assigned_to, warm.address, "/inference.inference.MsgFinishInference"))
    elif fault == "expired":
        grant(block.state, Permission(start.assigned_to, warm.address, WARM_KEY_GRANT, expiration_ns=block.time))
    assert refusal(block, make_finish(start, executor=warm)).code == NetworkCode.INVALID_SIGNATURE


def test_only_some_of_a_hosts_keys_are_tried() -> None:
    """Each key tried costs every validator time: a host cannot make a bad signature expensive by granting a thousand keys."""
    block = network()
    start = make_start(block)
    warm = sorted(
        (key(f"warm {number}") for number in range(participants.MAX_SIGNING_KEYS)),
        key=lambda each: to_bytes(each.address),
    )
    for each in warm:
        set_public_key(block.state, each.address, each.public_key)
        grant(block.state, Permission(start.assigned_to, each.address, WARM_KEY_GRANT))
    assert refusal(block, make_finish(start, executor=warm[-1])).code == NetworkCode.INVALID_SIGNATURE
    deliver(block, make_finish(start, executor=warm[-2]))


def test_a_request_may_wait_for_its_answer_but_not_for_ever() -> None:
    block = network()
    limit = (60 + 600) * SECOND
    deliver(block, make_start(block, age_ns=limit))
    refused = refusal(block, make_start(block, age_ns=limit + 1))
    assert refused.code == NetworkCode.INFERENCE_EXPIRED
    assert refusal(block, make_finish(make_start(block, age_ns=limit + 1))).code == NetworkCode.INFERENCE_EXPIRED


def test_a_request_from_the_future_is_refused() -> None:
    block = network()
    deliver(block, make_start(block, age_ns=-30 * SECOND))
    assert refusal(block, make_start(block, age_ns=-30 * SECOND - 1)).code == NetworkCode.INVALID_FIELD


def test_no_parameter_lets_an_older_request_open_than_records_are_kept_for() -> None:
    params = preset_params("test")
    params.validation_params.timestamp_expiration = 10**6
    block = network(params=params)
    deliver(block, make_start(block, age_ns=LONGEST_REQUEST_AGE_NS))
    assert refusal(block, make_start(block, age_ns=LONGEST_REQUEST_AGE_NS + 1)).code == NetworkCode.INFERENCE_EXPIRED


def switched(block: Block, height: int) -> Block:
    """Epoch 2 serves from this height on, with the same members."""
    later = next_block(block, height)
    record = add_epoch(later, 2, 130, HOSTS)
    assert record.boundaries.set_new_validators == height
    epochs.switch(later, 2)
    return later


SWITCH = 130 + 25 + 6 + 20 + 3


def test_the_epoch_before_may_be_named_for_some_blocks_after_the_switch() -> None:
    block = network()
    later = switched(block, SWITCH)
    deliver(later, make_start(later, epoch=1))
    deliver(later, make_start(later, body=b"new", epoch=2))
    last = next_block(later, SWITCH + 50)
    deliver(last, make_start(last, body=b"last", epoch=1))
    after = next_block(last)
    refused = refusal(after, make_start(after, body=b"after", epoch=1))
    assert refused.code == NetworkCode.EPOCH_NOT_FOUND
    assert refusal(after, make_start(after, body=b"future", epoch=3)).code == NetworkCode.EPOCH_NOT_FOUND
    assert refusal(after, make_start(after, body=b"past", epoch=0)).code == NetworkCode.EPOCH_NOT_FOUND


def test_an_epoch_whose_number_fits_no_calendar_is_refused() -> None:
    block = network()
    assert refusal(block, make_start(block, epoch=MAX_UINT64)).code == NetworkCode.EPOCH_NOT_FOUND


def test_the_draw_is_that_of_the_epoch_named() -> None:
    block = network()
    later = switched(block, SWITCH)
    for number in range(20):
        start = make_start(later, body=str(number).encode(), epoch=1)
        deliver(later, start)
        assert recorded(later, start).epoch_id == 1


def test_w3_a_request_whose_record_is_deleted_cannot_be_opened_again() -> None:
    block = network()
    start = make_start(block)
    finish = make_finish(start)
    deliver(block, finish)
    for index in range(2, 6):
        add_epoch(block, index, index * 120, HOSTS)
    epochs.switch(block, 5)

    young = dataclasses.replace(next_block(block, 640), time=start.request_timestamp + LONGEST_REQUEST_AGE_NS)
    lifetime.prune(young)
    assert inference(young.state, start.inference_id) is not None
    again = sign_start(copy(start, epoch_id=5, assigned_to=executors(young, start.inference_id, 5)[0]))
    assert refusal(young, make_finish(again)).code == NetworkCode.ALREADY_DONE

    old = dataclasses.replace(next_block(young), time=young.time + 1)
    lifetime.prune(old)
    assert list(all_inferences(old.state)) == []
    assert refusal(old, make_finish(again)).code == NetworkCode.INFERENCE_EXPIRED
    assert refusal(old, again).code == NetworkCode.INFERENCE_EXPIRED


def test_records_of_kept_epochs_and_open_ones_are_not_deleted() -> None:
    block = network()
    deliver(block, make_finish(make_start(block)))
    old = dataclasses.replace(next_block(block), time=block.time + 2 * LONGEST_REQUEST_AGE_NS)
    lifetime.prune(old)
    assert len(list(all_inferences(old.state))) == 1

    opened = network()
    deliver(opened, make_start(opened))
    add_epoch(opened, 9, 9 * 120, HOSTS)
    epochs.switch(opened, 9)
    lifetime.prune(dataclasses.replace(next_block(opened), time=opened.time + 2 * LONGEST_REQUEST_AGE_NS))
    assert len(list(all_inferences(opened.state))) == 1


def test_pruning_is_spread_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "PRUNED_PER_BLOCK", 2)
    block = network()
    for number in range(5):
        deliver(block, make_finish(make_start(block, body=str(number).encode())))
    add_epoch(block, 9, 9 * 120, HOSTS)
    epochs.switch(block, 9)
    left = []
    for _ in range(4):
        block = dataclasses.replace(next_block(block), time=block.time + 2 * LONGEST_REQUEST_AGE_NS)
        lifetime.prune(block)
        left.append(len(list(all_inferences(block.state))))
    assert left == [3, 1, 0, 0]


def test_a26_work_that_was_not_asked_for_earns_nothing() -> None:
    """An executor, or an agent that sends work to a friend, cannot make up a request: id, draw and terms are checked here."""
    block = network()
    mallory = key("bob")
    made_up = make_start(block)
    made_up.inference_id = mallory.sign_base64(b"no developer has asked for this")
    made_up.assigned_to = executors(block, made_up.inference_id)[0]
    assert refusal(block, make_finish(sign_start(made_up))).code == NetworkCode.INVALID_SIGNATURE
    unsigned = make_start(block)
    unsigned.transfer_signature = mallory.sign_base64(start_sign_bytes(unsigned))
    assert refusal(block, make_finish(unsigned)).code == NetworkCode.INVALID_SIGNATURE
    assert balance(block.state, ESCROW) == 0


def test_a_finish_signed_for_another_executor_proves_nothing() -> None:
    block = network()
    start = make_start(block)
    finish = make_finish(start)
    finish.executor_signature = key("mallory").sign_base64(finish_sign_bytes(finish))
    assert refusal(block, finish).code == NetworkCode.INVALID_SIGNATURE


def test_without_an_epochs_record_nothing_opens() -> None:
    block = network()
    block.state.set("inference", b"EffectiveEpochIndex/value/", (77).to_bytes(8))
    assert refusal(block, make_start(block, epoch=1)).code == NetworkCode.CURRENT_EPOCH_NOT_FOUND
