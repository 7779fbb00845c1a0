"""MsgRecordInferences: every item for itself."""

import pytest

from pivot.chain.errors import MAX_LOG_CHARACTERS, NetworkCode, NetworkError, SdkCode, SdkError
from pivot.chain.modules.bank.state import ESCROW, balance
from pivot.chain.modules.inferences.checks import MAX_BATCH_BYTES, MAX_BATCH_ITEMS
from pivot.chain.modules.inferences.invariants import check_escrow, check_records
from pivot.chain.modules.inferences.messages import GAS_OF_A_FINISH, GAS_OF_A_START, MESSAGES
from pivot.chain.modules.inferences.state import inference
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgFinishInference,
    MsgRecordInferences,
    MsgRecordInferencesResponse,
    MsgStartInference,
)
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus
from tests.chain.chain import key
from tests.chain.requests import HOSTS, PRICE, make_finish, make_start, network

_HANDLER = next(handler for handler in MESSAGES if handler.type is MsgRecordInferences)
ALICE = key("alice").address


def record(
    block: Block,
    starts: list[MsgStartInference] | None = None,
    finishes: list[MsgFinishInference] | None = None,
    creator: str = ALICE,
) -> MsgRecordInferencesResponse:
    batch = MsgRecordInferences(creator=creator, starts=starts, finishes=finishes)
    _HANDLER.check(batch)
    response = _HANDLER.handle(block, batch)
    check_escrow(block.state)
    check_records(block.state)
    assert isinstance(response, MsgRecordInferencesResponse)
    return response


def own_request(block: Block, number: int) -> MsgStartInference:
    """A request that alice both passes on and answers."""
    bodies = (f"{number} {attempt}".encode() for attempt in range(1000))
    starts = (make_start(block, body=body) for body in bodies)
    return next(start for start in starts if start.assigned_to == ALICE)


def test_starts_and_finishes_of_one_block_travel_together() -> None:
    block = network()
    starts = [own_request(block, number) for number in range(3)]
    response = record(block, starts, [make_finish(start) for start in starts])
    assert [result.code for result in [*response.starts, *response.finishes]] == [0] * 6
    assert [result.inference_id for result in response.finishes] == [start.inference_id for start in starts]
    assert [event.type for event in block.events] == ["inference_started"] * 3 + ["inference_finished"] * 3


def test_one_bad_item_spoils_no_other_and_leaves_nothing() -> None:
    block = network()
    good, bad, unreadable = (own_request(block, number) for number in range(3))
    bad.transfer_signature = good.transfer_signature
    unreadable.inference_id = "no signature"
    response = record(block, [bad, good, unreadable, good])
    codes = [result.code for result in response.starts]
    assert codes == [
        NetworkCode.INVALID_SIGNATURE,
        0,
        NetworkCode.INVALID_SIGNATURE,
        NetworkCode.INFERENCE_ID_EXISTS,
    ]
    assert balance(block.state, ESCROW) == 120 * PRICE
    assert [event.type for event in block.events] == [
        "inference_refused",
        "inference_started",
        "inference_refused",
        "inference_refused",
    ]


def test_a_result_names_the_code_and_the_event_says_the_sentence() -> None:
    """A result is part of the block's hash: no sentence may stand in it, which another version may write otherwise."""
    block = network()
    start = own_request(block, 1)
    start.transferred_by = "\u0378" * 1_000
    response = record(block, [start])
    assert response.starts[0].log == "INVALID_ADDRESS"
    (event,) = block.events
    told = dict(event.attributes)
    assert told["inference_id"] == start.inference_id
    assert told["log"].startswith("transferred_by")


def test_what_an_item_quotes_comes_back_short() -> None:
    block = network()
    finish = make_finish(own_request(block, 1))
    finish.inference_id = "x" * 100_000
    response = record(block, finishes=[finish])
    assert response.finishes[0].code == NetworkCode.INVALID_FIELD
    assert response.ByteSize() < 200
    assert sum(len(text) for event in block.events for _, text in event.attributes) < MAX_LOG_CHARACTERS + 200


def test_an_item_that_fails_late_gives_back_what_it_had_moved() -> None:
    """The finish opens the inference and sets its escrow aside before its own signature turns out to be wrong."""
    block = network()
    finish = make_finish(own_request(block, 1))
    finish.completion_token_count += 1
    response = record(block, finishes=[finish])
    assert response.finishes[0].code == NetworkCode.INVALID_SIGNATURE
    assert balance(block.state, ESCROW) == 0
    assert inference(block.state, finish.inference_id) is None
    assert [event.type for event in block.events] == ["inference_refused"]


def test_w3_the_same_finish_twice_in_a_batch_is_paid_once() -> None:
    block = network()
    finish = make_finish(own_request(block, 1))
    response = record(block, finishes=[finish, finish])
    assert [result.code for result in response.finishes] == [0, NetworkCode.ALREADY_DONE]
    assert balance(block.state, ESCROW) == 45 * PRICE


def test_a_batch_speaks_for_its_creator_alone() -> None:
    block = network()
    start = make_start(block, agent="bob")
    refused = record(block, [start]).starts[0]
    assert (refused.code, refused.inference_id) == (SdkCode.UNAUTHORIZED, start.inference_id)
    assert record(block, [start], creator=key("bob").address).starts[0].code == 0


def test_a_batch_holds_a_limited_number_of_items() -> None:
    item = MsgStartInference(attempt=1)
    _HANDLER.check(MsgRecordInferences(creator=ALICE, starts=[item] * MAX_BATCH_ITEMS))
    for count in (0, MAX_BATCH_ITEMS + 1):
        with pytest.raises(NetworkError) as refused:
            _HANDLER.check(MsgRecordInferences(creator=ALICE, starts=[item] * count))
        assert refused.value.code == NetworkCode.BATCH_TOO_LARGE


def test_a_batch_holds_a_limited_number_of_bytes() -> None:
    with pytest.raises(NetworkError) as refused:
        _HANDLER.check(MsgRecordInferences(creator=ALICE, starts=[MsgStartInference(model="m" * MAX_BATCH_BYTES)]))
    assert refused.value.code == NetworkCode.BATCH_TOO_LARGE


def test_a_batch_needs_a_creator() -> None:
    with pytest.raises(SdkError) as refused:
        _HANDLER.check(MsgRecordInferences(creator="nobody", starts=[MsgStartInference()]))
    assert refused.value.code == SdkCode.INVALID_ADDRESS


def test_the_gas_of_a_batch_is_the_sum_of_its_items() -> None:
    batch = MsgRecordInferences(starts=[MsgStartInference()] * 2, finishes=[MsgFinishInference()] * 3)
    assert _HANDLER.gas(batch) == 2 * GAS_OF_A_START + 3 * GAS_OF_A_FINISH
    single = {handler.type: handler.gas for handler in MESSAGES}
    assert single[MsgStartInference](MsgStartInference()) == GAS_OF_A_START
    assert single[MsgFinishInference](MsgFinishInference()) == GAS_OF_A_FINISH


def test_five_hundred_items_settle_in_one_block() -> None:
    block = network()
    finishes: dict[str, list[MsgFinishInference]] = {key(name).address: [] for name in HOSTS}
    for number in range(500):
        finish = make_finish(make_start(block, body=str(number).encode()))
        finishes[finish.creator].append(finish)
    results = [
        result for host, items in finishes.items() for result in record(block, finishes=items, creator=host).finishes
    ]
    assert [result.code for result in results] == [0] * 500
    found = [inference(block.state, result.inference_id) for result in results]
    assert all(each is not None and each.status == InferenceStatus.FINISHED for each in found)
