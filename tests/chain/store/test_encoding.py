"""Codes of keys: their order and where they part."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pivot.chain.store import oracle
from pivot.chain.store.encoding import (
    LONGEST_KEY,
    app_hash,
    app_hash_path,
    check_key,
    check_value,
    critical_bit,
    split_key,
    varint,
)
from pivot.chain.store.errors import RefusedEntry
from tests.chain.store.rows import keys


@given(keys, keys)
def test_the_order_of_codes_is_the_order_of_keys_and_none_is_a_prefix_of_another(one: bytes, other: bytes) -> None:
    assert (oracle.code(one) < oracle.code(other)) == (one < other)
    assert one == other or not oracle.code(other).startswith(oracle.code(one))


@given(keys, keys)
def test_the_critical_bit_is_the_first_at_which_codes_differ(one: bytes, other: bytes) -> None:
    assume(one != other)
    pairs = zip(oracle.code(one), oracle.code(other), strict=False)
    assert critical_bit(one, other) == next(bit for bit, (a, b) in enumerate(pairs) if a != b)


@given(keys, keys, keys)
def test_a_split_key_parts_the_keys_below_its_node(one: bytes, other: bytes, third: bytes) -> None:
    assume(one != other)
    bit = critical_bit(one, other)
    split = split_key(one, bit)
    assert min(one, other) < split <= max(one, other)
    if oracle.code(third)[:bit] == oracle.code(one)[:bit]:
        assert (third >= split) == (oracle.code(third)[bit] == "1")


@given(st.integers(0, 2**63))
def test_a_varint_is_read_back(number: int) -> None:
    encoded = varint(number)
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == number


@pytest.mark.parametrize("key", [b"", b"k" * (LONGEST_KEY + 1)])
def test_a_key_that_no_proof_could_hold_is_refused(key: bytes) -> None:
    with pytest.raises(RefusedEntry, match="1 to 400 bytes"):
        check_key(key)


def test_the_empty_value_is_refused() -> None:
    with pytest.raises(RefusedEntry, match="empty"):
        check_value(b"k", b"")


def test_every_store_counts_for_the_app_hash() -> None:
    roots = {name: bytes([number]) * 32 for number, name in enumerate(["acc", "bank", "gov", "inference", "staking"])}
    before = app_hash(roots)
    for name in roots:
        assert app_hash(roots | {name: b"\xaa" * 32}) != before
    assert len(app_hash_path(roots, "staking")) == 1
    assert len(app_hash_path(roots, "acc")) == 3
    assert app_hash_path({"one": b"\1" * 32}, "one") == []
