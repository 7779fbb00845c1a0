"""Rows of the store `authz`.

0x01 ‖ len ‖ granter ‖ len ‖ grantee ‖ message type   Grant, as published
0x02 ‖ len ‖ grantee ‖ len ‖ granter ‖ message type   0x01: the same, found by its grantee
0x03 ‖ expiration (8 bytes, ns) ‖ the first row's key  0x01: when to delete it
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import from_bytes, to_bytes
from pivot.protocol.messages import pack
from pivot.protocol.transactions import nanoseconds, timestamp

STORE = "authz"
GRANT_PREFIX = b"\x01"
BY_GRANTEE_PREFIX = b"\x02"
EXPIRY_PREFIX = b"\x03"
TIME_BYTES = 8
PRESENT = b"\x01"
MAX_TYPE_BYTES = 128
"""Of a message type, which is part of a row's key."""


@dataclass(frozen=True, slots=True)
class Permission:
    """`granter` lets `grantee` send messages of one type in its name, until `expiration_ns` (0: for good)."""

    granter: str
    grantee: str
    message_type: str
    expiration_ns: int = 0

    def holds(self, time_ns: int) -> bool:
        """Whether it has not expired."""
        return self.expiration_ns == 0 or time_ns < self.expiration_ns


def check_message_type(message_type: str) -> None:
    """Raises SdkError (INVALID_REQUEST) for what cannot be a type URL, or not be part of a key."""
    if not message_type.startswith("/") or len(message_type.encode()) > MAX_TYPE_BYTES:
        raise SdkError(SdkCode.INVALID_REQUEST, f"{message_type[:MAX_TYPE_BYTES]!r} is not the type of a message")


def permission(state: Reader, granter: str, grantee: str, message_type: str) -> Permission | None:
    """The permission as it was granted, expired or not."""
    row = state.get(STORE, _grant_key(granter, grantee, message_type))
    return None if row is None else Permission(granter, grantee, message_type, _expiration(row))


def may_act(state: Reader, granter: str, grantee: str, message_type: str, time_ns: int) -> bool:
    """Whether `grantee` may send messages of this type (a type URL) in the granter's name."""
    found = permission(state, granter, grantee, message_type)
    return found is not None and found.holds(time_ns)


def grantees(state: Reader, granter: str, message_type: str, time_ns: int) -> list[str]:
    """Who may send messages of this type in the granter's name, by address bytes."""
    prefix = granter_prefix(granter)
    found = (permission_of(prefix[1:] + key[len(prefix) :], row) for key, row in _rows(state, prefix))
    return [each.grantee for each in found if each.message_type == message_type and each.holds(time_ns)]


def grant(state: State, permitted: Permission) -> None:
    """Write a permission; it replaces the one for the same type."""
    revoke(state, permitted.granter, permitted.grantee, permitted.message_type)
    key = _grant_key(permitted.granter, permitted.grantee, permitted.message_type)
    state.set(STORE, key, published_grant(permitted).SerializeToString(deterministic=True))
    state.set(STORE, _by_grantee_key(permitted), PRESENT)
    if permitted.expiration_ns:
        state.set(STORE, _expiry_key(permitted.expiration_ns, key), PRESENT)


def revoke(state: State, granter: str, grantee: str, message_type: str) -> bool:
    """Delete a permission. False if there is none."""
    found = permission(state, granter, grantee, message_type)
    if found is None:
        return False
    key = _grant_key(granter, grantee, message_type)
    state.delete(STORE, key)
    state.delete(STORE, _by_grantee_key(found))
    if found.expiration_ns:
        state.delete(STORE, _expiry_key(found.expiration_ns, key))
    return True


def forget_expired(state: State, time_ns: int) -> None:
    """Delete the permissions that have expired."""
    end = EXPIRY_PREFIX + (time_ns + 1).to_bytes(TIME_BYTES)
    for key, _ in state.iterate(STORE, EXPIRY_PREFIX, end):
        granter, grantee, message_type = split_key(key[len(EXPIRY_PREFIX) + TIME_BYTES + len(GRANT_PREFIX) :])
        revoke(state, granter, grantee, message_type)


def published_grant(permitted: Permission) -> Grant:
    """A permission as clients read it."""
    published = Grant(authorization=pack(GenericAuthorization(msg=permitted.message_type)))
    if permitted.expiration_ns:
        published.expiration.CopyFrom(timestamp(permitted.expiration_ns))
    return published


def permission_of(key: bytes, row: bytes) -> Permission:
    """The permission of a row of the first kind; `key` without its first byte."""
    return Permission(*split_key(key), _expiration(row))


def split_key(key: bytes) -> tuple[str, str, str]:
    """The two addresses and the message type of a key, without its first byte."""
    first_end = 1 + key[0]
    second_end = first_end + 1 + key[first_end]
    return (
        from_bytes(key[1:first_end]),
        from_bytes(key[first_end + 1 : second_end]),
        key[second_end:].decode(),
    )


def granter_prefix(granter: str) -> bytes:
    """What the keys of all permissions of one granter begin with."""
    return GRANT_PREFIX + _measured(granter)


def pair_prefix(granter: str, grantee: str) -> bytes:
    """What the keys of all permissions of one granter for one grantee begin with."""
    return GRANT_PREFIX + _measured(granter) + _measured(grantee)


def grantee_prefix(grantee: str) -> bytes:
    """What the keys of the second kind begin with for one grantee."""
    return BY_GRANTEE_PREFIX + _measured(grantee)


def _grant_key(granter: str, grantee: str, message_type: str) -> bytes:
    return pair_prefix(granter, grantee) + message_type.encode()


def _by_grantee_key(permitted: Permission) -> bytes:
    return grantee_prefix(permitted.grantee) + _measured(permitted.granter) + permitted.message_type.encode()


def _expiry_key(expiration_ns: int, key: bytes) -> bytes:
    return EXPIRY_PREFIX + expiration_ns.to_bytes(TIME_BYTES) + key


def _measured(address: str) -> bytes:
    raw = to_bytes(address)
    return bytes([len(raw)]) + raw


def _expiration(row: bytes) -> int:
    return nanoseconds(Grant.FromString(row).expiration)


def _rows(state: Reader, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    return state.iterate(STORE, prefix, prefix_end(prefix))
