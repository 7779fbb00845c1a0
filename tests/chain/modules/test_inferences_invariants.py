"""Whatever happens in whatever order: no coin appears, vanishes, or is paid twice."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivot.chain.errors import Rejection
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import COMMUNITY_POOL, ESCROW, balance, move
from pivot.chain.modules.inferences.invariants import check_escrow, check_records
from pivot.chain.modules.inferences.lifetime import expire_due, prune
from pivot.chain.modules.inferences.state import all_inferences, inference, put
from pivot.chain.modules.rewards.state import owed
from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus
from pivot.protocol.parameters import preset_params
from tests.chain.chain import key, next_block
from tests.chain.modules.test_inferences import deliver
from tests.chain.requests import DEVELOPER, gateway, make_finish, make_start, network

REQUESTS = 6
operations = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, REQUESTS - 1), st.integers(0, 2)),
        st.tuples(st.just("finish"), st.integers(0, REQUESTS - 1), st.sampled_from([0, 1, 50, 10_000])),
        st.tuples(st.just("blocks"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("spend"), st.integers(0, 900), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(operations, st.sampled_from([0, 700, 2000, 10**6]))
def test_no_sequence_of_messages_breaks_the_books(steps: list[tuple[str, int, int]], coins: int) -> None:
    params = preset_params("test")
    params.validation_params.expiration_blocks = 10
    block = network(params=params, developer_coins=coins)
    accepted: Counter[tuple[str, int]] = Counter()
    signed: dict[int, Any] = {}
    for kind, number, detail in steps:
        if kind == "blocks":
            for _ in range(number):
                block = next_block(block)
                expire_due(block)
                prune(block)
        elif kind == "spend":
            move(
                block.state,
                DEVELOPER.address,
                key("shop").address,
                min(number, balance(block.state, DEVELOPER.address)),
            )
        else:
            start = signed.get(number)
            if start is None:
                start = signed[number] = make_start(block, body=str(number).encode(), attempt=detail % 3)
            message = start if kind == "start" else make_finish(start, completion_token_count=detail)
            try:
                deliver(block, message)
                accepted[kind, number] += 1
            except Rejection:
                pass
        check_escrow(block.state)
        check_records(block.state)
        check_supply(block.state)

    assert all(count == 1 for (kind, _), count in accepted.items() if kind == "finish")
    closed = [record for record in all_inferences(block.state) if record.status != InferenceStatus.STARTED]
    assert sum(record.actual_cost for record in closed) == owed(block.state)
    assert balance(block.state, gateway("bob").address) == 10**8


def test_a_missing_coin_is_noticed() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    check_escrow(block.state)
    move(block.state, ESCROW, COMMUNITY_POOL, 1)
    with pytest.raises(AssertionError, match="is set aside"):
        check_escrow(block.state)


def test_a_record_that_gives_out_too_much_is_noticed() -> None:
    block = network()
    finish = make_finish(make_start(block))
    deliver(block, finish)
    record = inference(block.state, finish.inference_id)
    assert record is not None
    record.gateway_paid = record.escrow_amount + 1
    put(block.state, record)
    with pytest.raises(AssertionError, match="gateway"):
        check_records(block.state)
    record.escrow_returned += 1
    put(block.state, record)
    with pytest.raises(AssertionError, match="given out"):
        check_records(block.state)


def test_an_index_without_its_record_is_a_bug() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    block.state.delete("inference", b"Inference/value/" + start.inference_id.encode() + b"/")
    with pytest.raises(LookupError, match="has no record"):
        expire_due(next_block(block, block.height + 3000))
