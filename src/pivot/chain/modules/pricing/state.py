"""Rows of prices in the store `inference`.

ModelPrice/value/<id>/       price of the next inferences, 18 decimals (16 bytes); the price with which the model began (8 bytes)
ModelLows/value/<id>/        lowest prices lately: from when on (Unix nanoseconds), whole ngonka, 8 bytes each
ModelTokens/value/<id>/      tokens of the answers of the block under way, 8 bytes
ModelTraffic/value/<id>/     tokens of the last seconds: start of an interval (Unix nanoseconds) and its tokens, 8 bytes each
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.members.state import group
from pivot.chain.modules.models.state import model
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.fixed_point import ONE
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, Model
from pivot.protocol.pricing import MAX_PRICE, NANOSECONDS

STORE = "inference"
PRICES = b"ModelPrice/value/"
TRAFFIC = b"ModelTraffic/value/"
LOWS = b"ModelLows/value/"
TOKENS = b"ModelTokens/value/"
DEFAULT_CAPACITY = 1_000
"""Tokens per second of a model that nobody serves, or whose registration names no throughput."""
QUOTE_AGE_NS = 15 * NANOSECONDS
"""So old may be the price that a transfer agent tells: its view of the chain is a block behind, and clocks differ."""
_FIXED_POINT_BYTES = 16
_NUMBER_BYTES = 8
_PAIR = struct.Struct(">QQ")


class Price(NamedTuple):
    """What a model's token costs."""

    value: int
    """ngonka, fixed-point of 18 decimals."""
    start: int
    """ngonka with which it began: when that changes, the price begins anew."""


class Interval(NamedTuple):
    """A part of the time over which utilisation is measured."""

    start: int
    """Unix nanoseconds."""
    tokens: int


class Low(NamedTuple):
    """A price that was in force at some time from `start` on, and none that was lower, until the next one's start."""

    start: int
    """Unix nanoseconds."""
    price: int
    """Whole ngonka."""


def price_since(reader: Reader, model_id: str, time_ns: int) -> int | None:
    """ngonka per token of a request that was made at this time and opens now. None: no such model.

    It is the lowest price since then, and since what its transfer agent may have seen of the chain. Whoever opens an
    inference late, when the price has risen, gains nothing; and who could pay when it asked still can.
    """
    found = price(reader, model_id)
    if found is None:
        return None
    for low in reversed(lows(reader, model_id)):
        found = min(found, low.price)
        if low.start <= time_ns - QUOTE_AGE_NS:
            break
    return found


def price(reader: Reader, model_id: str) -> int | None:
    """ngonka per token, above 0, of a request that is made now. None: no such model.

    A model that has just been registered costs its starting price, in its first block already (W-17).
    """
    known = moving_price(reader, model_id)
    if known is not None:
        return known.value // ONE
    registered = model(reader, model_id)
    return None if registered is None else starting_price(effective(reader), registered)


def starting_price(current: Epoch, registered: Model) -> int:
    """ngonka per token with which a model begins: the grace price, its registration's own, or the network's base price."""
    terms = current.params.dynamic_pricing_params
    if current.index < terms.grace_period_end_epoch:
        found = terms.grace_period_per_token_price
    else:
        found = registered.coins_per_token or terms.base_per_token_price
    return min(int(found), MAX_PRICE)


def capacity(reader: Reader, epoch: int, model_id: str) -> int:
    """Tokens per second, above 0, that the members of an epoch answer with a model together.

    What counts is the weight of the nodes that serve this model, not their hosts' whole weight (W-16).
    """
    serving = group(reader, epoch, model_id)
    if serving is None:
        return DEFAULT_CAPACITY
    found = serving.model_snapshot.throughput_per_nonce * serving.total_weight
    return min(int(found), MAX_INT64) or DEFAULT_CAPACITY


def moving_price(reader: Reader, model_id: str) -> Price | None:
    """The price with its decimals; None before the end of the model's first block."""
    row = reader.get(STORE, _key(PRICES, model_id))
    return None if row is None else decode_price(row)


def put_price(state: State, model_id: str, changed: Price) -> None:
    """Write a model's price."""
    row = changed.value.to_bytes(_FIXED_POINT_BYTES, "big") + changed.start.to_bytes(_NUMBER_BYTES, "big")
    state.set(STORE, _key(PRICES, model_id), row)


def prices(reader: Reader) -> Iterator[tuple[str, Price]]:
    """Model and price of all models that have one, by id."""
    for key, row in reader.iterate(STORE, PRICES, prefix_end(PRICES)):
        yield key[len(PRICES) : -1].decode(), decode_price(row)


def note_tokens(state: State, model_id: str, tokens: int) -> None:
    """An answer of so many tokens, prompt and completion, was finished in the block under way."""
    key = _key(TOKENS, model_id)
    before = int.from_bytes(state.get(STORE, key) or b"")
    state.set(STORE, key, (before + tokens).to_bytes(_NUMBER_BYTES, "big"))


def take_tokens(state: State, model_id: str) -> int:
    """The tokens of the block under way, which are forgotten with that."""
    row = state.get(STORE, _key(TOKENS, model_id))
    if row is None:
        return 0
    state.delete(STORE, _key(TOKENS, model_id))
    return int.from_bytes(row)


def traffic(reader: Reader, model_id: str) -> list[Interval]:
    """The last intervals in which the model was used, oldest first."""
    return decode_traffic(reader.get(STORE, _key(TRAFFIC, model_id)) or b"")


def put_traffic(state: State, model_id: str, intervals: Sequence[Interval]) -> None:
    """Write the last intervals in which the model was used."""
    if intervals:
        state.set(STORE, _key(TRAFFIC, model_id), b"".join(_PAIR.pack(*each) for each in intervals))
    else:
        state.delete(STORE, _key(TRAFFIC, model_id))


def lows(reader: Reader, model_id: str) -> list[Low]:
    """The model's lowest prices lately, oldest first."""
    return decode_lows(reader.get(STORE, _key(LOWS, model_id)) or b"")


def put_lows(state: State, model_id: str, changed: Sequence[Low]) -> None:
    """Write the model's lowest prices; there is one at least."""
    state.set(STORE, _key(LOWS, model_id), b"".join(_PAIR.pack(*each) for each in changed))


def all_lows(reader: Reader) -> Iterator[tuple[str, list[Low]]]:
    """Model and lowest prices of all models, by id."""
    for key, row in reader.iterate(STORE, LOWS, prefix_end(LOWS)):
        yield key[len(LOWS) : -1].decode(), decode_lows(row)


def all_traffic(reader: Reader) -> Iterator[tuple[str, list[Interval]]]:
    """Model and intervals of all models that were used lately, by id."""
    for key, row in reader.iterate(STORE, TRAFFIC, prefix_end(TRAFFIC)):
        yield key[len(TRAFFIC) : -1].decode(), decode_traffic(row)


def decode_price(row: bytes) -> Price:
    """A price of its row."""
    return Price(int.from_bytes(row[:_FIXED_POINT_BYTES]), int.from_bytes(row[_FIXED_POINT_BYTES:]))


def decode_traffic(row: bytes) -> list[Interval]:
    """Intervals of their row."""
    return [Interval(*found) for found in _PAIR.iter_unpack(row)]


def decode_lows(row: bytes) -> list[Low]:
    """Lowest prices of their row."""
    return [Low(*found) for found in _PAIR.iter_unpack(row)]


def _key(prefix: bytes, model_id: str) -> bytes:
    return prefix + model_id.encode() + b"/"
