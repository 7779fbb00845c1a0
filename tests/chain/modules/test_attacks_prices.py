"""What it would take to move prices and statistics without paying for it."""

from typing import Any

import pytest

from pivot.chain.errors import NetworkCode
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.inferences.opening import LONGEST_REQUEST_AGE_NS
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.pricing.movement import move_prices
from pivot.chain.modules.pricing.state import price, traffic
from pivot.chain.modules.statistics.state import BY_DEVELOPER, Totals, put_totals, totals
from pivot.chain.types import Block
from pivot.primitives.numbers import MAX_UINT64
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, Params
from pivot.protocol.parameters import preset_params
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST
from tests.chain.chain import next_block
from tests.chain.modules.checking import Checking
from tests.chain.requests import DEVELOPER, EPOCH, MODEL, PRICE, make_finish, make_start


def moving_params() -> Params:
    """Prices that move as published."""
    params = preset_params("test")
    params.dynamic_pricing_params.stability_zone_lower_bound.CopyFrom(Decimal(value=4, exponent=-1))
    params.dynamic_pricing_params.stability_zone_upper_bound.CopyFrom(Decimal(value=6, exponent=-1))
    return params


def end(block: Block) -> int:
    """End the block, and tell what a token of the next one costs."""
    move_prices(block)
    found = price(block.state, MODEL)
    assert found is not None
    return found


@pytest.fixture
def network() -> Checking:
    made = Checking(params=moving_params())
    assert end(made.block) == PRICE
    made.advance(made.block.height + 1)
    return made


def test_w17_an_answer_that_pays_for_one_token_does_not_move_the_price_with_two_million(network: Checking) -> None:
    """A host asks itself for one token, and finishes with the longest prompt and answer that a message may tell."""
    boast = {"prompt_token_count": MAX_TOKENS_PER_REQUEST, "completion_token_count": MAX_TOKENS_PER_REQUEST}
    start = make_start(network.block, prompt_token_count=0, max_tokens=1)
    network.deliver(make_finish(start, **boast))
    record = inference(network.state, start.inference_id)
    assert record is not None
    assert record.actual_cost == PRICE
    end(network.block)
    assert sum(interval.tokens for interval in traffic(network.state, MODEL)) == 1
    assert totals(network.state, epoch_key(BY_DEVELOPER, EPOCH, DEVELOPER.address)) == Totals(1, 1, PRICE)


def test_who_pays_for_many_tokens_does_move_the_price(network: Checking) -> None:
    tokens = MAX_TOKENS_PER_REQUEST
    start = make_start(network.block, prompt_token_count=tokens, max_tokens=tokens)
    network.deliver(make_finish(start, prompt_token_count=tokens, completion_token_count=tokens))
    assert end(network.block) > PRICE * 101 // 100 - 1
    assert sum(interval.tokens for interval in traffic(network.state, MODEL)) == 2 * tokens


def test_d18_nobody_reaches_back_to_a_price_older_than_a_request_may_be(network: Checking) -> None:
    """The lowest price in the window is a request's; a time stamp that reaches further back does not open."""
    network.block.time += 2 * LONGEST_REQUEST_AGE_NS
    old = make_start(network.block, age_ns=LONGEST_REQUEST_AGE_NS + 1)
    assert network.refused(make_finish(old)).code == NetworkCode.INFERENCE_EXPIRED


def test_totals_that_are_full_stay_full_and_stop_no_block(network: Checking) -> None:
    """Coins that come back by disputes may pay again and again; a sum of 8 bytes must not end the chain."""
    key = epoch_key(BY_DEVELOPER, EPOCH, DEVELOPER.address)
    put_totals(network.state, key, Totals(MAX_UINT64, MAX_UINT64 - 1, MAX_UINT64))
    network.deliver(make_finish(make_start(network.block)))
    assert totals(network.state, key) == Totals(MAX_UINT64, MAX_UINT64, MAX_UINT64)


@pytest.mark.parametrize("field", ["prompt_token_count", "completion_token_count"])
def test_more_tokens_than_any_request_has_are_refused(network: Checking, field: str) -> None:
    counts: dict[str, Any] = {field: MAX_TOKENS_PER_REQUEST + 1}
    assert network.refused(make_finish(make_start(network.block), **counts)).code == NetworkCode.INVALID_FIELD


def test_a_price_that_rose_by_bought_traffic_falls_again_without_it(network: Checking) -> None:
    tokens = MAX_TOKENS_PER_REQUEST
    start = make_start(network.block, prompt_token_count=tokens, max_tokens=tokens)
    network.deliver(make_finish(start, prompt_token_count=tokens, completion_token_count=tokens))
    risen = end(network.block)
    block, found = network.block, risen
    for _ in range(40):
        block = next_block(block)
        block.time += 5 * 10**9
        found = max(found, end(block))
    assert found > risen
    assert end(block) < found
