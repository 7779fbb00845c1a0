"""Addresses of accounts, modules and consensus keys."""

from functools import cache, lru_cache
from typing import NewType

from pivot.primitives import bech32
from pivot.primitives.hashes import hash160, sha256

Address = NewType("Address", str)
"""Of an account: bech32 under `gonka`."""

ACCOUNT_PREFIX = "gonka"
OPERATOR_PREFIX = "gonkavaloper"
CONSENSUS_PREFIX = "gonkavalcons"
ACCOUNT_ADDRESS_LENGTHS = (20, 32)
CONSENSUS_KEY_LENGTH = 32
CONSENSUS_ADDRESS_LENGTH = 20
CACHED_ADDRESSES = 65_536


class InvalidAddress(ValueError):
    """The text is not an account's address on this network."""


def from_public_key(public_key: bytes) -> Address:
    """Address of a compressed secp256k1 key (33 bytes)."""
    return from_bytes(hash160(public_key))


@lru_cache(maxsize=CACHED_ADDRESSES)
def from_bytes(raw: bytes) -> Address:
    """Address of its 20 bytes (32 for some module accounts). Cached as `to_bytes` is: fees and invariants ask often."""
    return Address(bech32.encode(ACCOUNT_PREFIX, raw))


@lru_cache(maxsize=CACHED_ADDRESSES)
def to_bytes(address: str) -> bytes:
    """The bytes of an address. Raises InvalidAddress. Cached: one dictionary look-up for an address seen lately."""
    try:
        raw = bech32.decode(address, ACCOUNT_PREFIX)
    except bech32.InvalidBech32 as error:
        raise InvalidAddress(str(error)) from None
    if len(raw) not in ACCOUNT_ADDRESS_LENGTHS:
        raise InvalidAddress(f"{address!r} holds {len(raw)} bytes, an address has 20")
    return raw


def require(text: str) -> Address:
    """`text` as an address. Raises InvalidAddress with a sentence."""
    to_bytes(text)
    return Address(text)


@cache
def of_module(name: str) -> Address:
    """Address of a module's account: the first 20 bytes of SHA-256 of its name. Nobody holds a key to it."""
    return from_bytes(sha256(name.encode())[:20])


def operator(address: str) -> str:
    """The account as the operator of a validator (`gonkavaloper…`). Raises InvalidAddress."""
    return bech32.encode(OPERATOR_PREFIX, to_bytes(address))


def of_operator(text: str) -> Address:
    """The account behind an operator's address (`gonkavaloper…`). Raises InvalidAddress."""
    try:
        return require(bech32.encode(ACCOUNT_PREFIX, bech32.decode(text, OPERATOR_PREFIX)))
    except bech32.InvalidBech32 as error:
        raise InvalidAddress(str(error)) from None


def consensus_text(address20: bytes) -> str:
    """A consensus address (20 bytes) as clients write it (`gonkavalcons…`)."""
    return bech32.encode(CONSENSUS_PREFIX, address20)


def of_consensus_text(text: str) -> bytes:
    """The 20 bytes of a consensus address that clients have written. Raises InvalidAddress."""
    try:
        raw = bech32.decode(text, CONSENSUS_PREFIX)
    except bech32.InvalidBech32 as error:
        raise InvalidAddress(str(error)) from None
    if len(raw) != CONSENSUS_ADDRESS_LENGTH:
        raise InvalidAddress(f"{text!r} holds {len(raw)} bytes, a consensus address has {CONSENSUS_ADDRESS_LENGTH}")
    return raw


def consensus_address(consensus_key: bytes) -> bytes:
    """20 bytes by which the engine names an ed25519 consensus key (32 bytes)."""
    return sha256(consensus_key)[:20]
