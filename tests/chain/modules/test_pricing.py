"""Prices of models: what they begin with, how they follow their use, and that they never stick."""

from typing import Any

import pytest

from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences.opening import LONGEST_REQUEST_AGE_NS
from pivot.chain.modules.members import state as members
from pivot.chain.modules.models import state as models
from pivot.chain.modules.pricing import genesis
from pivot.chain.modules.pricing.invariants import check_prices
from pivot.chain.modules.pricing.movement import INTERVALS, LOW_INTERVAL_NS, LOWS_KEPT_NS, move_prices
from pivot.chain.modules.pricing.queries import QUERIES
from pivot.chain.modules.pricing.state import (
    DEFAULT_CAPACITY,
    Price,
    capacity,
    lows,
    moving_price,
    note_tokens,
    price,
    price_since,
    put_price,
    traffic,
)
from pivot.chain.types import Block, View
from pivot.primitives.fixed_point import ONE
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, Params
from pivot.protocol.generated.inference.inference.types_pb2 import EpochGroupData, Model, ModelPrice, ValidationWeight
from pivot.protocol.parameters import preset_params
from pivot.protocol.pricing import MAX_PRICE, NANOSECONDS
from tests.chain.chain import key, next_block, plain_block
from tests.chain.requests import add_epoch

MODEL, OTHER = "org/model", "org/other"
WINDOW_SECONDS = 60
TOKENS_PER_SECOND = 5_000
"""Of the epoch's members: 100 of weight at 50 tokens a second each."""
_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def published_params(**changes: Any) -> Params:
    """The published zone and elasticity, without a grace period."""
    params = preset_params("test")
    terms = params.dynamic_pricing_params
    terms.stability_zone_lower_bound.CopyFrom(Decimal(value=4, exponent=-1))
    terms.stability_zone_upper_bound.CopyFrom(Decimal(value=6, exponent=-1))
    for name, value in changes.items():
        setattr(terms, name, value)
    return params


def serving(params: Params | None = None, *, epoch: int = 1, throughput: int = 50) -> Block:
    """A block in which the members of an epoch serve the model."""
    params = params or published_params()
    block = plain_block(params=params)
    registered = Model(id=MODEL, throughput_per_nonce=throughput)
    models.put(block.state, registered)
    add_epoch(block, epoch, 10, {}, params)
    put_group(block, epoch, registered, {"alice": 60, "bob": 40})
    epochs.switch(block, epoch)
    return block


def put_group(block: Block, epoch: int, registered: Model, weights: dict[str, int]) -> None:
    shares = [ValidationWeight(member_address=key(name).address, weight=weight) for name, weight in weights.items()]
    group = EpochGroupData(
        epoch_index=epoch,
        model_id=registered.id,
        model_snapshot=registered,
        validation_weights=shares,
        total_weight=sum(weights.values()),
    )
    members.put_group(block.state, group)


def later(block: Block, tokens: int = 0, *, seconds: int = 5) -> Block:
    """The end of the block after this one, some seconds later, in which answers had so many tokens."""
    after = next_block(block)
    after.time = block.time + seconds * NANOSECONDS
    if tokens:
        note_tokens(after.state, MODEL, tokens)
    move_prices(after)
    check_prices(after.state)
    return after


def current(block: Block, model: str = MODEL) -> int:
    found = price(block.state, model)
    assert found is not None
    return found


def ask(block: Block, method: str, request: Any) -> Any:
    return _ANSWERS[method](View(block.state, block.chain_id, block.height, block.time), request)


# ---- The first block ----


def test_d18_a_model_has_a_price_and_a_capacity_from_its_first_block() -> None:
    block = serving()
    assert current(block) == 100
    assert capacity(block.state, 1, MODEL) == TOKENS_PER_SECOND
    models.put(block.state, Model(id="org/dear", coins_per_token=1234))
    assert current(block, "org/dear") == 1234
    assert capacity(block.state, 1, "org/dear") == DEFAULT_CAPACITY > 0
    assert price(block.state, "unknown") is None


def test_w17_a_new_models_first_price_is_its_own_and_no_fallback() -> None:
    """The published network took prices and capacities from the outgoing epoch, in which a new model had none."""
    block = later(serving())
    registered = Model(id=OTHER, coins_per_token=7, throughput_per_nonce=3)
    models.put(block.state, registered)
    assert current(block, OTHER) == 7
    block = later(block)
    assert current(block, OTHER) == 7
    put_group(block, 1, registered, {"alice": 10})
    assert capacity(block.state, 1, OTHER) == 30


def test_w16_capacity_is_the_weight_of_the_nodes_that_serve_the_model() -> None:
    """A host of weight 60, ten of which serve the second model, adds ten to it and not sixty."""
    block = serving()
    put_group(block, 1, Model(id=OTHER, throughput_per_nonce=50), {"alice": 10})
    assert capacity(block.state, 1, OTHER) == 500
    assert capacity(block.state, 1, MODEL) == TOKENS_PER_SECOND


def test_a_model_without_a_throughput_has_the_default_capacity() -> None:
    assert capacity(serving(throughput=0).state, 1, MODEL) == DEFAULT_CAPACITY
    assert capacity(serving(throughput=2**64 - 1).state, 1, MODEL) == MAX_INT64


# ---- Movement ----


def test_a_price_falls_while_nobody_asks_and_stops_at_its_least() -> None:
    block = later(serving(published_params(min_per_token_price=97)))
    assert [current(block), current(later(block)), current(later(later(block)))] == [100, 98, 97]


def test_a_price_rises_above_the_zone_and_rests_within() -> None:
    busy = TOKENS_PER_SECOND * WINDOW_SECONDS
    assert current(later(later(serving()), busy)) == 102
    resting = later(later(serving()), busy // 2)
    for _ in range(10):
        assert current(resting) == 100
        resting = later(resting)


def test_w17_a_price_of_one_coin_rises_block_by_block() -> None:
    block = later(serving(published_params(base_per_token_price=1)))
    seen = set()
    for _ in range(60):
        block = later(block, TOKENS_PER_SECOND * WINDOW_SECONDS)
        seen.add(current(block))
    assert seen == {1, 2, 3}


def test_tokens_count_for_the_window_and_no_longer() -> None:
    block = later(serving(), 1_000)
    start = block.time
    while block.time < start + (WINDOW_SECONDS - 5) * NANOSECONDS:
        block = later(block)
        assert sum(each.tokens for each in traffic(block.state, MODEL)) == 1_000
    assert traffic(later(block).state, MODEL) == []


def test_w24_a_row_of_traffic_is_bounded_whatever_the_pace_of_blocks() -> None:
    block = serving()
    for _ in range(500):
        after = next_block(block)
        note_tokens(after.state, MODEL, 10)
        move_prices(after)
        block = after
    intervals = traffic(block.state, MODEL)
    assert len(intervals) <= INTERVALS + 1
    in_a_minute = 10 * 300  # blocks of 200 ms
    assert in_a_minute * (INTERVALS - 1) // INTERVALS <= sum(each.tokens for each in intervals) <= in_a_minute


def test_a_block_in_which_nothing_moves_writes_nothing() -> None:
    block = later(serving(published_params(min_per_token_price=100)))
    before = block.state.changes()
    assert later(block).state.changes() == before


def test_prices_stay_where_the_zone_is_as_wide_as_can_be() -> None:
    """The presets of tests and the devnet, whatever load is put on them."""
    params = preset_params("test")
    block = later(serving(params))
    for tokens in (0, 0, 10**9, 10**12):
        block = later(block, tokens)
        assert current(block) == params.dynamic_pricing_params.base_per_token_price == 100


def test_a_registration_with_another_price_begins_anew() -> None:
    block = later(later(later(serving())))
    assert current(block) == 96
    models.put(block.state, Model(id=MODEL, coins_per_token=500))
    assert current(later(block)) == 500


def test_no_price_is_above_what_an_escrow_can_hold() -> None:
    block = serving()
    models.put(block.state, Model(id=MODEL, coins_per_token=2**63))
    assert current(block) == current(later(block)) == MAX_PRICE


# ---- Late openings ----


def test_d18_whoever_opens_late_gets_the_lowest_price_since_the_request() -> None:
    """An executor could wait with its finish until the price has risen, and take many times what the developer was told."""
    block = later(serving())
    asked = block.time
    for _ in range(100):
        block = later(block, TOKENS_PER_SECOND * WINDOW_SECONDS)
    assert current(block) > 700
    assert price_since(block.state, MODEL, asked) == 100
    assert price_since(block.state, MODEL, block.time) > 500
    assert price_since(block.state, "unknown", asked) is None


def test_a_request_pays_no_more_than_now_where_the_price_has_fallen() -> None:
    block = later(serving())
    asked = block.time
    for _ in range(10):
        block = later(block)
    assert price_since(block.state, MODEL, asked) == current(block) == 81


def test_a_low_between_request_and_opening_counts() -> None:
    block = later(serving())
    asked = block.time
    for tokens in (0, 0, 0, *[TOKENS_PER_SECOND * WINDOW_SECONDS] * 50):
        block = later(block, tokens)
    assert current(block) > 200
    assert price_since(block.state, MODEL, asked) == 94


def test_w24_lowest_prices_are_kept_as_long_as_a_request_may_be_old() -> None:
    assert LOWS_KEPT_NS == LONGEST_REQUEST_AGE_NS
    block = serving()
    for number in range(800):
        block = later(block, TOKENS_PER_SECOND * WINDOW_SECONDS * (number % 3), seconds=2)
    kept = lows(block.state, MODEL)
    assert len(kept) <= LOWS_KEPT_NS // LOW_INTERVAL_NS + 2
    assert kept[0].start <= block.time - LOWS_KEPT_NS < kept[1].start


# ---- The grace period ----


def test_in_the_grace_period_every_token_costs_the_grace_price() -> None:
    params = published_params(grace_period_end_epoch=3, grace_period_per_token_price=5)
    block = serving(params, epoch=2)
    models.put(block.state, Model(id=OTHER, coins_per_token=900))
    assert (current(block), current(block, OTHER)) == (5, 5)
    block = later(later(block, 10**9))
    assert (current(block), current(block, OTHER)) == (5, 5)


def test_the_epoch_that_ends_it_pays_the_base_price_and_the_next_one_moves() -> None:
    params = published_params(grace_period_end_epoch=3, grace_period_per_token_price=5)
    block = later(serving(params, epoch=2))
    add_epoch(block, 3, 100, {}, params)
    epochs.switch(block, 3)
    block = later(later(block))
    assert current(block) == 100
    add_epoch(block, 4, 200, {}, params)
    epochs.switch(block, 4)
    assert current(later(block)) == 98


# ---- Queries, invariant, genesis ----


def test_prices_and_capacities_are_told() -> None:
    block = serving()
    found = ask(block, "GetModelPerTokenPrice", query_pb2.QueryGetModelPerTokenPriceRequest(model_id=MODEL))
    assert (found.price, found.found) == (100, True)
    found = ask(block, "GetModelPerTokenPrice", query_pb2.QueryGetModelPerTokenPriceRequest(model_id="none"))
    assert (found.price, found.found) == (0, False)
    everything = ask(block, "GetAllModelPerTokenPrices", query_pb2.QueryGetAllModelPerTokenPricesRequest())
    assert list(everything.model_prices) == [ModelPrice(model_id=MODEL, price=100)]
    found = ask(block, "GetModelCapacity", query_pb2.QueryGetModelCapacityRequest(model_id=MODEL))
    assert (found.capacity, found.found) == (TOKENS_PER_SECOND, True)
    found = ask(block, "GetModelCapacity", query_pb2.QueryGetModelCapacityRequest(model_id="none"))
    assert (found.capacity, found.found) == (0, False)
    listed = ask(block, "GetAllModelCapacities", query_pb2.QueryGetAllModelCapacitiesRequest())
    assert [(each.model_id, each.capacity) for each in listed.model_capacities] == [(MODEL, TOKENS_PER_SECOND)]


def test_the_invariant_sees_a_price_of_nothing() -> None:
    block = later(serving())
    put_price(block.state, MODEL, Price(ONE - 1, 1))
    with pytest.raises(AssertionError, match="costs 0"):
        check_prices(block.state)


def test_an_export_loads_into_the_same_rows() -> None:
    block = later(later(later(serving()), 77))
    restored = plain_block()
    genesis.load(restored, genesis.export(block.state))
    for prefix in (b"ModelPrice/", b"ModelLows/", b"ModelTraffic/"):
        rows = [list(each.state.iterate("inference", prefix, prefix + b"\xff")) for each in (block, restored)]
        assert rows[0] == rows[1] != []
    assert moving_price(restored.state, MODEL) == moving_price(block.state, MODEL)
