"""Rows of the store `acc`.

0x01 ‖ address                          BaseAccount, as published
0x02 ‖ time-out (8 bytes, ns) ‖ address  an unordered transaction that may not come again before its time-out
0x03 ‖ number (8 bytes)                 the address of the account with this number
globalAccountNumber                     8 bytes, big-endian: the next account's number
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.secp256k1.keys_pb2 import PubKey

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.primitives.addresses import InvalidAddress, from_bytes, from_public_key, to_bytes
from pivot.primitives.keys import is_public_key
from pivot.protocol.messages import pack, type_url
from pivot.protocol.multisig import InvalidMultisig, address_of_multisig, member_keys, threshold_key

STORE = "acc"
ACCOUNT_PREFIX = b"\x01"
NONCE_PREFIX = b"\x02"
NUMBER_PREFIX = b"\x03"
NEXT_NUMBER_KEY = b"globalAccountNumber"
NUMBER_BYTES = 8
PUBLIC_KEY_TYPE = type_url(PubKey)
MULTISIG_TYPE = type_url(LegacyAminoPubKey)
PRESENT = b"\x01"
FORGOTTEN_PER_BLOCK = 20_000
"""Unordered transactions that one block forgets: about as many as one block can hold."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. Its key is empty until its first transaction or registration; it has one key, or several together."""

    address: str
    number: int
    sequence: int = 0
    public_key: bytes = b""
    """Compressed, 33 bytes; empty also for an account of several keys."""
    multisig: bytes = b""
    """Of an account of several keys: its LegacyAminoPubKey, serialised."""


def account(state: Reader, address: str) -> Account | None:
    """The account of an address, or None. Raises InvalidAddress."""
    row = state.get(STORE, _key(address))
    return None if row is None else decode_account(row)


def ensure_account(state: State, address: str) -> Account:
    """The account of an address; made with the next number if there is none. Raises InvalidAddress."""
    found = account(state, address)
    if found is None:
        number = next_number(state)
        state.set(STORE, NEXT_NUMBER_KEY, (number + 1).to_bytes(NUMBER_BYTES))
        state.set(STORE, _number_key(number), to_bytes(address))
        found = Account(address, number)
        put(state, found)
    return found


def next_number(state: Reader) -> int:
    """The number that the next account will have: how many there are."""
    return int.from_bytes(state.get(STORE, NEXT_NUMBER_KEY) or b"")


def account_numbered(state: Reader, number: int) -> Account | None:
    """The account with this number, or None."""
    row = state.get(STORE, _number_key(number))
    return None if row is None else account(state, from_bytes(row))


def accounts(state: Reader) -> Iterator[Account]:
    """All accounts, in the order in which they were made."""
    for _, row in state.iterate(STORE, NUMBER_PREFIX, prefix_end(NUMBER_PREFIX)):
        found = state.get(STORE, ACCOUNT_PREFIX + row)
        yield decode_account(found or b"")


def put(state: State, changed: Account) -> None:
    """Write an account."""
    state.set(STORE, _key(changed.address), encode_account(changed))


def public_key(state: Reader, address: str) -> bytes | None:
    """The compressed key (33 bytes) of an account, or None while it is not known."""
    found = account(state, address)
    return (found.public_key or None) if found else None


def check_address(name: str, address: str) -> None:
    """Raises SdkError (INVALID_ADDRESS), naming the field that holds what is no address."""
    try:
        to_bytes(address)
    except InvalidAddress as error:
        raise SdkError(SdkCode.INVALID_ADDRESS, f"{name}: {error}") from None


def check_public_key(address: str, key: bytes) -> None:
    """An address belongs to one key only (design, decision 1). Raises SdkError (INVALID_PUBLIC_KEY)."""
    if not is_public_key(key):
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key of {address} is not a compressed secp256k1 key")
    if from_public_key(key) != address:
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key does not hash to the address {address}")


def check_multisig(address: str, key: bytes) -> bytes:
    """The key of several keys (LegacyAminoPubKey) as it is stored, if it is the address's. Raises SdkError (INVALID_PUBLIC_KEY)."""
    carried = LegacyAminoPubKey.FromString(key)
    try:
        stored = threshold_key(member_keys(carried), carried.threshold)
    except InvalidMultisig as error:
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key of {address}: {error}") from None
    if address_of_multisig(stored) != address:
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key does not hash to the address {address}")
    return bytes(stored.SerializeToString(deterministic=True))


def set_public_key(state: State, address: str, key: bytes) -> None:
    """Remember the key of an account, which is made if there is none. Raises SdkError (INVALID_PUBLIC_KEY)."""
    check_public_key(address, key)
    found = ensure_account(state, address)
    if found.public_key != key:
        put(state, replace(found, public_key=key))


def has_nonce(state: Reader, address: str, timeout_ns: int) -> bool:
    """Whether this account has already made an unordered transaction with this time-out."""
    return state.get(STORE, _nonce_key(address, timeout_ns)) is not None


def note_nonce(state: State, address: str, timeout_ns: int) -> None:
    """Remember an unordered transaction until its time-out."""
    state.set(STORE, _nonce_key(address, timeout_ns), PRESENT)


def forget_expired_nonces(state: State, time_ns: int) -> None:
    """Forget unordered transactions whose time-out is not after `time_ns`: they cannot come again. Some per block."""
    end = NONCE_PREFIX + (time_ns + 1).to_bytes(NUMBER_BYTES)
    for key, _ in islice(state.iterate(STORE, NONCE_PREFIX, end), FORGOTTEN_PER_BLOCK):
        state.delete(STORE, key)


def nonces(state: Reader) -> Iterator[tuple[str, int]]:
    """(address, time-out) of all unordered transactions that are remembered, by time-out."""
    for key, _ in state.iterate(STORE, NONCE_PREFIX, prefix_end(NONCE_PREFIX)):
        yield from_bytes(key[1 + NUMBER_BYTES :]), int.from_bytes(key[1 : 1 + NUMBER_BYTES])


def decode_account(row: bytes) -> Account:
    """An account of its row."""
    return account_of(BaseAccount.FromString(row))


def account_of(published: BaseAccount) -> Account:
    """An account of its published form. Raises SdkError (INVALID_PUBLIC_KEY) for a key of a type that accounts do not have."""
    described = published.address, published.account_number, published.sequence
    packed = published.pub_key
    if not published.HasField("pub_key"):
        return Account(*described)
    if packed.type_url == PUBLIC_KEY_TYPE:
        return Account(*described, PubKey.FromString(packed.value).key)
    if packed.type_url == MULTISIG_TYPE:
        return Account(*described, multisig=packed.value)
    raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the key of {published.address} is {packed.type_url[:200]!r}")


def encode_account(described: Account) -> bytes:
    """The row of an account: the published BaseAccount."""
    return published_account(described).SerializeToString(deterministic=True)


def published_account(described: Account) -> BaseAccount:
    """An account as clients of Cosmos chains read it."""
    published = BaseAccount(address=described.address, account_number=described.number, sequence=described.sequence)
    if described.public_key:
        published.pub_key.CopyFrom(pack(PubKey(key=described.public_key)))
    elif described.multisig:
        published.pub_key.type_url, published.pub_key.value = MULTISIG_TYPE, described.multisig
    return published


def _key(address: str) -> bytes:
    return ACCOUNT_PREFIX + to_bytes(address)


def _nonce_key(address: str, timeout_ns: int) -> bytes:
    return NONCE_PREFIX + timeout_ns.to_bytes(NUMBER_BYTES) + to_bytes(address)


def _number_key(number: int) -> bytes:
    return NUMBER_PREFIX + number.to_bytes(NUMBER_BYTES)
