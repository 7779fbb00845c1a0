"""Keys of several keys, and what members sign together."""

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.multisig.v1beta1.multisig_pb2 import CompactBitArray, MultiSignature
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import AuthInfo, TxRaw
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given
from hypothesis import strategies as st

from pivot.primitives.keys import PrivateKey
from pivot.protocol.messages import pack
from pivot.protocol.multisig import (
    InvalidMultisig,
    address_of_multisig,
    bit_array,
    combine,
    member_keys,
    present,
    threshold_key,
)
from tests.vectors import load_vectors

PUBLISHED = load_vectors("amino_json.json")
KEYS = [PrivateKey.from_hex(text).public_key for text in PUBLISHED["private_keys_hex"]]


def test_the_address_is_the_one_of_a_published_wallet() -> None:
    raw = TxRaw.FromString(bytes.fromhex(PUBLISHED["transactions"][-1]["tx_raw_hex"]))
    key = LegacyAminoPubKey.FromString(AuthInfo.FromString(raw.auth_info_bytes).signer_infos[0].public_key.value)
    assert address_of_multisig(key) == PUBLISHED["multisig"]
    assert key.threshold == PUBLISHED["threshold"]
    assert set(member_keys(key)) == set(KEYS)
    assert threshold_key(member_keys(key), 2) == key


def test_another_order_or_threshold_is_another_account() -> None:
    keys = (threshold_key(KEYS, 2), threshold_key(KEYS[::-1], 2), threshold_key(KEYS, 1), threshold_key(KEYS[:2], 2))
    assert len({address_of_multisig(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (LegacyAminoPubKey(threshold=0, public_keys=[pack(PubKey(key=KEYS[0]))]), "not 0 of 1"),
        (LegacyAminoPubKey(threshold=2, public_keys=[pack(PubKey(key=KEYS[0]))]), "not 2 of 1"),
        (LegacyAminoPubKey(threshold=1, public_keys=[pack(PubKey(key=b"\x05" * 33))]), "are compressed"),
        (LegacyAminoPubKey(threshold=1, public_keys=[pack(threshold_key(KEYS, 1))]), "are compressed"),
        (
            LegacyAminoPubKey(threshold=1, public_keys=[AnyMessage(type_url=pack(PubKey()).type_url, value=b"\xff")]),
            "are compressed",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_refused(key: LegacyAminoPubKey, sentence: str) -> None:
    with pytest.raises(InvalidMultisig, match=sentence):
        address_of_multisig(key)


@given(st.lists(st.booleans(), max_size=7))
def test_bits_are_read_as_they_were_written(bits: list[bool]) -> None:
    assert present(bit_array(bits)) == tuple(bits)


def test_the_first_bit_is_the_highest() -> None:
    assert bit_array([True, False, True]) == CompactBitArray(extra_bits_stored=3, elems=b"\xa0")


@pytest.mark.parametrize(
    "array",
    [
        CompactBitArray(extra_bits_stored=8, elems=b"\x01"),
        CompactBitArray(extra_bits_stored=1),
        CompactBitArray(elems=b"\x01"),
    ],
)
def test_bits_that_do_not_fit_are_refused(array: CompactBitArray) -> None:
    with pytest.raises(InvalidMultisig, match="bits of at most 7"):
        present(array)


def test_signatures_are_joined_in_the_members_order() -> None:
    key = threshold_key(KEYS, 2)
    mode, joined = combine(key, {KEYS[2]: b"c", KEYS[0]: b"a"})
    assert present(mode.multi.bitarray) == (True, False, True)
    assert [each.single.mode for each in mode.multi.mode_infos] == [SignMode.SIGN_MODE_LEGACY_AMINO_JSON] * 2
    assert list(MultiSignature.FromString(joined).signatures) == [b"a", b"c"]


def test_too_few_signatures_and_those_of_others_are_not_joined() -> None:
    with pytest.raises(InvalidMultisig, match="2 signatures are needed, there are 1"):
        combine(threshold_key(KEYS, 2), {KEYS[0]: b"a"})
    with pytest.raises(InvalidMultisig, match="not among those"):
        combine(threshold_key(KEYS[:2], 1), {KEYS[2]: b"a"})
