"""Accounts of several keys: `threshold` of them sign together (LegacyAminoPubKey, as wallets of Cosmos chains make them).

The account's key lists the members' keys in an order that never changes; its address hashes that list and the threshold. The
signatures of a transaction come in the members' order, with a bit array that says whose they are; each is made in
SIGN_MODE_LEGACY_AMINO_JSON, the only mode that does not depend on who else signs.
"""

from collections.abc import Mapping, Sequence

from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.multisig.v1beta1.multisig_pb2 import CompactBitArray, MultiSignature
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import ModeInfo
from google.protobuf.message import DecodeError

from pivot.primitives.addresses import Address, from_bytes
from pivot.primitives.hashes import sha256
from pivot.primitives.keys import is_public_key
from pivot.protocol.messages import pack, type_url

MAX_KEYS = 7
"""As many as may sign one transaction."""
ADDRESS_BYTES = 20
BITS = 8

_AMINO_MULTISIG = bytes.fromhex("22c1f7e2")
_AMINO_KEY = bytes.fromhex("eb5ae98721")
_THRESHOLD_TAG = b"\x08"
_MEMBER_TAG = b"\x12"
_MEMBER_TYPE = type_url(PubKey)


class InvalidMultisig(ValueError):
    """A key of several keys, or signatures of several, that cannot be good."""


def threshold_key(keys: Sequence[bytes], threshold: int) -> LegacyAminoPubKey:
    """The key of an account for which `threshold` of these compressed keys sign, in this order. Raises InvalidMultisig."""
    made = LegacyAminoPubKey(threshold=threshold, public_keys=[pack(PubKey(key=each)) for each in keys])
    member_keys(made)
    return made


def member_keys(public_key: LegacyAminoPubKey) -> list[bytes]:
    """The compressed keys of the members, in their order. Raises InvalidMultisig."""
    if not 0 < public_key.threshold <= len(public_key.public_keys) <= MAX_KEYS:
        raise InvalidMultisig(
            f"an account of several keys has 1 to {MAX_KEYS} and needs no more than all of them to sign: "
            f"not {public_key.threshold} of {len(public_key.public_keys)}"
        )
    keys = []
    for packed in public_key.public_keys:
        try:
            key = PubKey.FromString(packed.value).key if packed.type_url == _MEMBER_TYPE else b""
        except DecodeError:
            key = b""
        if not is_public_key(key):
            raise InvalidMultisig("the keys of such an account are compressed secp256k1 keys of 33 bytes")
        keys.append(key)
    return keys


def address_of_multisig(public_key: LegacyAminoPubKey) -> Address:
    """The account's address: 20 bytes of SHA-256 of the key in amino's binary form. Raises InvalidMultisig."""
    keys = member_keys(public_key)
    encoded = _AMINO_MULTISIG + _THRESHOLD_TAG + bytes([public_key.threshold])
    for key in keys:
        encoded += _MEMBER_TAG + bytes([len(_AMINO_KEY) + len(key)]) + _AMINO_KEY + key
    return from_bytes(sha256(encoded)[:ADDRESS_BYTES])


def present(array: CompactBitArray) -> tuple[bool, ...]:
    """Whose signatures there are, in the members' order. Raises InvalidMultisig."""
    whole = len(array.elems) * BITS
    count = whole if array.extra_bits_stored == 0 else whole - BITS + array.extra_bits_stored
    if array.extra_bits_stored >= BITS or not 0 <= count <= MAX_KEYS:
        raise InvalidMultisig(f"bitarray: not the bits of at most {MAX_KEYS} members")
    return tuple(bool(array.elems[i // BITS] >> (BITS - 1 - i % BITS) & 1) for i in range(count))


def bit_array(bits: Sequence[bool]) -> CompactBitArray:
    """The bits as they travel, the first one highest."""
    elems = bytearray(-(-len(bits) // BITS))
    for i, bit in enumerate(bits):
        elems[i // BITS] |= bit << (BITS - 1 - i % BITS)
    return CompactBitArray(extra_bits_stored=len(bits) % BITS, elems=bytes(elems))


def combine(public_key: LegacyAminoPubKey, signatures: Mapping[bytes, bytes]) -> tuple[ModeInfo, bytes]:
    """The signing mode and the signature of the account, out of its members' amino JSON signatures by compressed key.

    Raises InvalidMultisig when they are too few or one is of no member.
    """
    keys = member_keys(public_key)
    if not signatures.keys() <= set(keys):
        raise InvalidMultisig("a signature is of a key that is not among those of the account")
    if len(signatures) < public_key.threshold:
        raise InvalidMultisig(f"{public_key.threshold} signatures are needed, there are {len(signatures)}")
    given = [signatures[key] for key in keys if key in signatures]
    single = ModeInfo(single=ModeInfo.Single(mode=SignMode.SIGN_MODE_LEGACY_AMINO_JSON))
    bits = bit_array([key in signatures for key in keys])
    info = ModeInfo(multi=ModeInfo.Multi(bitarray=bits, mode_infos=[single] * len(given)))
    return info, bytes(MultiSignature(signatures=given).SerializeToString(deterministic=True))
