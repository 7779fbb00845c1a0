"""Rows of the store `feegrant`.

0x00 ‖ len ‖ grantee ‖ len ‖ granter                     Grant, as published
0x01 ‖ expiration (8 bytes, ns) ‖ the first row's key    0x01: when to delete it
0x02 ‖ len ‖ granter ‖ len ‖ grantee                     0x01: the same, found by its granter
"""

from collections.abc import Collection, Iterator
from itertools import islice

from cosmos.feegrant.v1beta1.feegrant_pb2 import Grant
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import FeegrantCode, FeegrantError
from pivot.chain.modules.feegrant.allowances import accept, expiration
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.addresses import from_bytes, to_bytes

STORE = "feegrant"
GRANT_PREFIX = b"\x00"
EXPIRY_PREFIX = b"\x01"
BY_GRANTER_PREFIX = b"\x02"
TIME_BYTES = 8
PRESENT = b"\x01"
FORGOTTEN_PER_BLOCK = 200
"""Expired allowances that one block deletes; they pay nothing meanwhile."""


def grant(state: Reader, granter: str, grantee: str) -> Grant | None:
    """The allowance that one has given to the other, expired or not."""
    row = state.get(STORE, _grant_key(granter, grantee))
    return None if row is None else Grant.FromString(row)


def grants(state: Reader) -> Iterator[Grant]:
    """All allowances, by grantee and granter."""
    for _, row in state.iterate(STORE, GRANT_PREFIX, prefix_end(GRANT_PREFIX)):
        yield Grant.FromString(row)


def put(state: State, given: Grant) -> None:
    """Write an allowance; there must be none of this granter for this grantee."""
    key = _grant_key(given.granter, given.grantee)
    state.set(STORE, key, given.SerializeToString(deterministic=True))
    state.set(STORE, granter_prefix(given.granter) + _measured(to_bytes(given.grantee)), PRESENT)
    if ends := expiration(given.allowance):
        state.set(STORE, _expiry_key(ends, key), PRESENT)


def remove(state: State, granter: str, grantee: str) -> bool:
    """Delete an allowance. False if there is none."""
    found = grant(state, granter, grantee)
    if found is None:
        return False
    key = _grant_key(granter, grantee)
    state.delete(STORE, key)
    state.delete(STORE, granter_prefix(granter) + _measured(to_bytes(grantee)))
    if ends := expiration(found.allowance):
        state.delete(STORE, _expiry_key(ends, key))
    return True


def use(block: Block, granter: str, grantee: str, fee: int, messages: Collection[str]) -> None:
    """Take a fee out of an allowance, which is deleted when nothing is left of it. Raises FeegrantError."""
    found = grant(block.state, granter, grantee)
    if found is None:
        raise FeegrantError(
            FeegrantCode.NO_ALLOWANCE, f"{granter} does not allow to pay fees for {grantee}: fee-grant not found"
        )
    try:
        left = accept(found.allowance, fee, messages, block.time)
    except FeegrantError as refusal:
        refusal.log = f"{granter} does not allow to pay fees for {grantee}: {refusal.log}"
        raise
    if left is None:
        remove(block.state, granter, grantee)
        block.emit("revoke_feegrant", granter=granter, grantee=grantee)
    elif left != found.allowance:
        _put_left(block.state, granter, grantee, left)
    block.emit("use_feegrant", granter=granter, grantee=grantee)
    if left is not None:
        block.emit("set_feegrant", granter=granter, grantee=grantee)


def forget_expired(state: State, time_ns: int, most: int = FORGOTTEN_PER_BLOCK) -> None:
    """Delete allowances that have ended, oldest first, some at a time."""
    end = EXPIRY_PREFIX + time_ns.to_bytes(TIME_BYTES)
    for key, _ in islice(state.iterate(STORE, EXPIRY_PREFIX, end), most):
        grantee, granter = parts(key[len(EXPIRY_PREFIX) + TIME_BYTES + len(GRANT_PREFIX) :])
        remove(state, from_bytes(granter), from_bytes(grantee))


def grantee_prefix(grantee: str) -> bytes:
    """What the keys of all allowances to one grantee begin with."""
    return GRANT_PREFIX + _measured(to_bytes(grantee))


def granter_prefix(granter: str) -> bytes:
    """What the keys of the third kind begin with for one granter."""
    return BY_GRANTER_PREFIX + _measured(to_bytes(granter))


def parts(key: bytes) -> list[bytes]:
    """The addresses in a key, without its first byte, or in the rest of one."""
    found = []
    while key:
        end = 1 + key[0]
        found.append(key[1:end])
        key = key[end:]
    return found


def _put_left(state: State, granter: str, grantee: str, left: AnyMessage) -> None:
    """What is left has the same end, so the other two rows stay."""
    changed = Grant(granter=granter, grantee=grantee, allowance=left)
    state.set(STORE, _grant_key(granter, grantee), changed.SerializeToString(deterministic=True))


def _grant_key(granter: str, grantee: str) -> bytes:
    return grantee_prefix(grantee) + _measured(to_bytes(granter))


def _expiry_key(expiration_ns: int, key: bytes) -> bytes:
    return EXPIRY_PREFIX + expiration_ns.to_bytes(TIME_BYTES) + key


def _measured(part: bytes) -> bytes:
    return bytes([len(part)]) + part
