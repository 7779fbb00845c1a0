"""What an allowance permits: BasicAllowance, PeriodicAllowance, and AllowedMsgAllowance around one of them.

An allowance is a message in an Any, as published. `accept` says what is left of it; nothing here touches the state.
"""

from collections.abc import Collection, Mapping, MutableSequence, Sequence
from typing import TypeVar

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.feegrant.v1beta1.feegrant_pb2 import AllowedMsgAllowance, BasicAllowance, PeriodicAllowance
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pivot.chain.errors import FeegrantCode, FeegrantError, SdkCode, SdkError
from pivot.chain.handlers import decode
from pivot.primitives.coins import BASE_DENOM, MAX_AMOUNT
from pivot.protocol.messages import pack, type_url
from pivot.protocol.transactions import NANOSECONDS, nanoseconds, timestamp

MAX_ALLOWED_MESSAGES = 64
MAX_TYPE_CHARACTERS = 128
"""Of the type of an allowed message."""
MAX_SECONDS = 2**33
"""Of times and periods: the year 2242. Unix nanoseconds then still fit 64 bits."""

Allowance = BasicAllowance | PeriodicAllowance | AllowedMsgAllowance
Kind = TypeVar("Kind", bound=Message)

_LIMITS: dict[str, type[BasicAllowance | PeriodicAllowance]] = {
    type_url(BasicAllowance): BasicAllowance,
    type_url(PeriodicAllowance): PeriodicAllowance,
}
_TYPES: dict[str, type[Allowance]] = {**_LIMITS, type_url(AllowedMsgAllowance): AllowedMsgAllowance}


def _unpack(packed: AnyMessage, types: Mapping[str, type[Kind]]) -> Kind:
    """The allowance in an Any. Raises SdkError (INVALID_REQUEST, TX_DECODE) for what is none of these types."""
    kind = types.get(packed.type_url)
    if kind is None:
        raise SdkError(SdkCode.INVALID_REQUEST, f"allowance: this chain has no {packed.type_url[:200]!r} here")
    return decode(kind, packed.value)


def check(packed: AnyMessage) -> None:
    """Whether it is an allowance that can be used. Raises SdkError, FeegrantError."""
    allowance = _unpack(packed, _TYPES)
    if isinstance(allowance, AllowedMsgAllowance):
        _check_messages(allowance.allowed_messages)
    limits = _inside(allowance)
    basic = _basic(limits)
    _check_coins("spend_limit", basic.spend_limit)
    _check_time("expiration", basic.expiration)
    if isinstance(limits, PeriodicAllowance):
        _check_period(limits)


def expiration(packed: AnyMessage) -> int:
    """When the allowance ends, Unix nanoseconds; 0: never."""
    return nanoseconds(_basic(_inside(_unpack(packed, _TYPES))).expiration)


def accept(packed: AnyMessage, fee: int, messages: Collection[str], time_ns: int) -> AnyMessage | None:
    """What is left of an allowance that pays `fee` ngonka for messages of these types; None if nothing is left.

    Raises FeegrantError (LIMIT_EXCEEDED, EXPIRED, MESSAGE_NOT_ALLOWED).
    """
    allowance = _unpack(packed, _TYPES)
    if isinstance(allowance, AllowedMsgAllowance):
        if not set(messages) <= set(allowance.allowed_messages):
            raise FeegrantError(
                FeegrantCode.MESSAGE_NOT_ALLOWED, "message does not exist in allowed messages: message not allowed"
            )
        left = accept(allowance.allowance, fee, messages, time_ns)
        if left is None:
            return None
        allowance.allowance.CopyFrom(left)
        return pack(allowance)
    if isinstance(allowance, PeriodicAllowance):
        return _accept_in_period(allowance, fee, time_ns)
    _require_in_time(allowance, time_ns, "basic allowance")
    if not allowance.spend_limit:
        return packed
    _spend(allowance.spend_limit, fee, "basic allowance")
    return pack(allowance) if amount(allowance.spend_limit) else None


def amount(coins: Sequence[Coin]) -> int:
    """ngonka of a list that has been checked; 0 of an empty one."""
    return int(coins[0].amount) if coins else 0


def begin(packed: AnyMessage, time_ns: int) -> AnyMessage:
    """A new allowance as it is stored: a period without a time for its end begins now."""
    allowance = _unpack(packed, _TYPES)
    inside = _inside(allowance)
    if not isinstance(inside, PeriodicAllowance) or inside.HasField("period_reset"):
        return packed
    inside.period_reset.CopyFrom(timestamp(time_ns))
    if isinstance(allowance, AllowedMsgAllowance):
        allowance.allowance.CopyFrom(pack(inside))
        return pack(allowance)
    return pack(inside)


def _inside(allowance: Allowance) -> BasicAllowance | PeriodicAllowance:
    if not isinstance(allowance, AllowedMsgAllowance):
        return allowance
    return _unpack(allowance.allowance, _LIMITS)


def _basic(limits: BasicAllowance | PeriodicAllowance) -> BasicAllowance:
    return limits.basic if isinstance(limits, PeriodicAllowance) else limits


def _accept_in_period(allowance: PeriodicAllowance, fee: int, time_ns: int) -> AnyMessage | None:
    _require_in_time(allowance.basic, time_ns, "absolute limit")
    _begin_period(allowance, time_ns)
    _spend(allowance.period_can_spend, fee, "period limit")
    if allowance.basic.spend_limit:
        _spend(allowance.basic.spend_limit, fee, "absolute limit")
        if not amount(allowance.basic.spend_limit):
            return None
    return pack(allowance)


def _begin_period(allowance: PeriodicAllowance, time_ns: int) -> None:
    """A period that has ended is followed by the next one; after a long rest by one that begins now."""
    ended = nanoseconds(allowance.period_reset)
    if time_ns < ended:
        return
    limit = amount(allowance.period_spend_limit)
    if allowance.basic.spend_limit:
        limit = min(limit, amount(allowance.basic.spend_limit))
    _put(allowance.period_can_spend, limit)
    period = allowance.period.seconds * NANOSECONDS + allowance.period.nanos
    following = ended + period if time_ns <= ended + period else time_ns + period
    allowance.period_reset.CopyFrom(timestamp(following))


def _require_in_time(basic: BasicAllowance, time_ns: int, which: str) -> None:
    if basic.HasField("expiration") and nanoseconds(basic.expiration) < time_ns:
        raise FeegrantError(FeegrantCode.EXPIRED, f"{which}: fee allowance expired")


def _spend(coins: MutableSequence[Coin], fee: int, which: str) -> None:
    left = amount(coins) - fee
    if left < 0:
        raise FeegrantError(FeegrantCode.LIMIT_EXCEEDED, f"{which}: fee limit exceeded")
    _put(coins, left)


def _put(coins: MutableSequence[Coin], value: int) -> None:
    del coins[:]
    if value:
        coins.append(Coin(denom=BASE_DENOM, amount=str(value)))


def _check_messages(types: Sequence[str]) -> None:
    if not types:
        raise FeegrantError(FeegrantCode.NO_MESSAGES, "allowed messages shouldn't be empty: allowed messages are empty")
    if len(types) > MAX_ALLOWED_MESSAGES or any(len(each) > MAX_TYPE_CHARACTERS for each in types):
        raise SdkError(
            SdkCode.INVALID_REQUEST,
            f"allowed_messages: at most {MAX_ALLOWED_MESSAGES} types of {MAX_TYPE_CHARACTERS} characters",
        )


def _check_coins(name: str, coins: Sequence[Coin]) -> None:
    for coin in coins:
        text = coin.amount
        if len(coins) > 1 or coin.denom != BASE_DENOM:
            raise SdkError(SdkCode.INVALID_COINS, f"{name}: one amount of {BASE_DENOM}, or none")
        if not (
            text.isascii() and text.isdigit() and len(text) <= len(str(MAX_AMOUNT)) and 0 < int(text) <= MAX_AMOUNT
        ):
            raise SdkError(SdkCode.INVALID_COINS, f"{name}: {text[:40]!r} is not an amount between 1 and {MAX_AMOUNT}")


def _check_time(name: str, time: Timestamp) -> None:
    if not (0 <= time.seconds < MAX_SECONDS and 0 <= time.nanos < NANOSECONDS):
        raise SdkError(SdkCode.INVALID_REQUEST, f"{name}: not a time between 1970 and 2242")


def _check_period(allowance: PeriodicAllowance) -> None:
    period = allowance.period
    if not (0 <= period.seconds < MAX_SECONDS and 0 <= period.nanos < NANOSECONDS) or not (
        period.seconds or period.nanos
    ):
        raise FeegrantError(FeegrantCode.INVALID_DURATION, "period: must be above 0: invalid duration")
    if not allowance.period_spend_limit:
        raise SdkError(SdkCode.INVALID_COINS, "period_spend_limit: an amount is needed")
    _check_coins("period_spend_limit", allowance.period_spend_limit)
    _check_coins("period_can_spend", allowance.period_can_spend)
    _check_time("period_reset", allowance.period_reset)
    if allowance.basic.spend_limit and amount(allowance.period_spend_limit) > amount(allowance.basic.spend_limit):
        raise SdkError(SdkCode.INVALID_COINS, "period_spend_limit: above spend_limit")
