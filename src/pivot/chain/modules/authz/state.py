"""Rows of the store `authz`.

0x01 ‖ len ‖ granter ‖ len ‖ message type ‖ len ‖ grantee   Grant, as published
0x02 ‖ len ‖ grantee ‖ len ‖ granter ‖ len ‖ message type   0x01: the same, found by its grantee
0x03 ‖ expiration (8 bytes, ns) ‖ the first row's key        0x01: when to delete it

Who may sign for a host is looked up with every batch of inferences; in this order those for other messages are not in the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization, Grant
from cosmos.bank.v1beta1.authz_pb2 import SendAuthorization
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import from_bytes, to_bytes
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import pack, type_url
from pivot.protocol.transactions import nanoseconds, timestamp

STORE = "authz"
GRANT_PREFIX = b"\x01"
BY_GRANTEE_PREFIX = b"\x02"
EXPIRY_PREFIX = b"\x03"
TIME_BYTES = 8
PRESENT = b"\x01"
SEND_AUTHORIZATION = type_url(SendAuthorization)
MAX_TYPE_BYTES = 128
"""Of a message type, which is part of a row's key."""
FORGOTTEN_PER_BLOCK = 5_000
"""Expired permissions that one block deletes; they are without force meanwhile."""


@dataclass(frozen=True, slots=True)
class Permission:
    """`granter` lets `grantee` send messages of one type in its name, until `expiration_ns` (0: for good)."""

    granter: str
    grantee: str
    message_type: str
    expiration_ns: int = 0
    spend_limit: int = 0
    """Of sends (SendAuthorization): ngonka that may still be sent; 0: any amount, to anybody (GenericAuthorization)."""
    allow_list: tuple[str, ...] = ()
    """Of sends with a limit: to whom; empty: to anybody."""

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
    return None if row is None else _permission(granter, grantee, message_type, row)


def may_act(state: Reader, granter: str, grantee: str, message_type: str, time_ns: int) -> bool:
    """Whether `grantee` may send messages of this type (a type URL) in the granter's name."""
    found = permission(state, granter, grantee, message_type)
    return found is not None and found.holds(time_ns)


def grantees(state: Reader, granter: str, message_type: str, time_ns: int) -> Iterator[str]:
    """Who may send messages of this type in the granter's name, by address bytes."""
    prefix = granter_prefix(granter) + _measured(message_type.encode())
    for key, row in state.iterate(STORE, prefix, prefix_end(prefix)):
        found = permission_of(key[1:], row)
        if found.holds(time_ns):
            yield found.grantee


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
    """Delete permissions that have expired, oldest first, some per block."""
    end = EXPIRY_PREFIX + (time_ns + 1).to_bytes(TIME_BYTES)
    for key, _ in islice(state.iterate(STORE, EXPIRY_PREFIX, end), FORGOTTEN_PER_BLOCK):
        granter, message_type, grantee = _parts(key[len(EXPIRY_PREFIX) + TIME_BYTES + len(GRANT_PREFIX) :])
        revoke(state, from_bytes(granter), from_bytes(grantee), message_type.decode())


def published_grant(permitted: Permission) -> Grant:
    """A permission as clients read it."""
    published = Grant(authorization=pack(_authorization(permitted)))
    if permitted.expiration_ns:
        published.expiration.CopyFrom(timestamp(permitted.expiration_ns))
    return published


def permission_of(key: bytes, row: bytes) -> Permission:
    """The permission of a row of the first kind; `key` without its first byte."""
    granter, message_type, grantee = _parts(key)
    return _permission(from_bytes(granter), from_bytes(grantee), message_type.decode(), row)


def names_by_grantee(key: bytes) -> tuple[str, str, str]:
    """Granter, grantee and message type of a row of the second kind; `key` without its first byte."""
    grantee, granter, message_type = _parts(key)
    return from_bytes(granter), from_bytes(grantee), message_type.decode()


def permissions(state: Reader) -> Iterator[Permission]:
    """All permissions, expired or not, by granter, message type and grantee."""
    for key, row in state.iterate(STORE, GRANT_PREFIX, prefix_end(GRANT_PREFIX)):
        yield permission_of(key[1:], row)


def granter_prefix(granter: str) -> bytes:
    """What the keys of all permissions of one granter begin with."""
    return GRANT_PREFIX + _measured(to_bytes(granter))


def grantee_prefix(grantee: str) -> bytes:
    """What the keys of the second kind begin with for one grantee."""
    return BY_GRANTEE_PREFIX + _measured(to_bytes(grantee))


def pair_prefix(granter: str, grantee: str) -> bytes:
    """What the keys of the second kind begin with for one granter and one grantee."""
    return grantee_prefix(grantee) + _measured(to_bytes(granter))


def _grant_key(granter: str, grantee: str, message_type: str) -> bytes:
    return granter_prefix(granter) + _measured(message_type.encode()) + _measured(to_bytes(grantee))


def _by_grantee_key(permitted: Permission) -> bytes:
    return pair_prefix(permitted.granter, permitted.grantee) + _measured(permitted.message_type.encode())


def _expiry_key(expiration_ns: int, key: bytes) -> bytes:
    return EXPIRY_PREFIX + expiration_ns.to_bytes(TIME_BYTES) + key


def _measured(part: bytes) -> bytes:
    return bytes([len(part)]) + part


def _parts(key: bytes) -> list[bytes]:
    """What `_measured` has put behind one another."""
    parts = []
    while key:
        end = 1 + key[0]
        parts.append(key[1:end])
        key = key[end:]
    return parts


def _permission(granter: str, grantee: str, message_type: str, row: bytes) -> Permission:
    published = Grant.FromString(row)
    ends, packed = nanoseconds(published.expiration), published.authorization
    if packed.type_url != SEND_AUTHORIZATION:
        return Permission(granter, grantee, message_type, ends)
    limited = SendAuthorization.FromString(packed.value)
    return Permission(
        granter, grantee, message_type, ends, int(limited.spend_limit[0].amount), tuple(limited.allow_list)
    )


def _authorization(permitted: Permission) -> GenericAuthorization | SendAuthorization:
    if not permitted.spend_limit:
        return GenericAuthorization(msg=permitted.message_type)
    limit = Coin(denom=BASE_DENOM, amount=str(permitted.spend_limit))
    return SendAuthorization(spend_limit=[limit], allow_list=permitted.allow_list)
