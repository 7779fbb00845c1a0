"""Who signs a transaction: one key, or several keys of one account together; and in which mode.

Here is what needs no state. Whether a key belongs to its account and the signatures are good is seen in `chain/ante.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.crypto.multisig.v1beta1.multisig_pb2 import MultiSignature
from cosmos.crypto.secp256k1.keys_pb2 import PubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignMode
from cosmos.tx.v1beta1.tx_pb2 import ModeInfo, SignerInfo

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import decode
from pivot.chain.modules.auth.state import MULTISIG_TYPE, PUBLIC_KEY_TYPE, check_address
from pivot.protocol.multisig import InvalidMultisig, present

MAX_SIGNERS = 7
"""Keys that may sign one transaction; all members of an account of several keys count, as in the Cosmos SDK."""

_MODES = (SignMode.SIGN_MODE_DIRECT, SignMode.SIGN_MODE_LEGACY_AMINO_JSON)


class Signer(NamedTuple):
    """One signing account of a transaction. Keys are empty if the transaction does not carry them."""

    address: str
    public_key: bytes
    """Of an account with one key: compressed, 33 bytes."""
    sequence: int
    signature: bytes
    """As the transaction carries it: 64 bytes, or a MultiSignature."""
    amino: bool = False
    """SIGN_MODE_LEGACY_AMINO_JSON; else SIGN_MODE_DIRECT."""
    multisig: bytes = b""
    """Of an account with several keys: LegacyAminoPubKey, serialised."""
    present: tuple[bool, ...] = ()
    """Of an account with several keys: which of its members have signed, in the key's order. Empty: one key signs."""
    signatures: tuple[bytes, ...] = ()
    """Those of the members that have signed, in the same order."""

    @property
    def keys(self) -> int:
        """How many keys this signer counts for."""
        return max(1, len(self.present))

    @property
    def checks(self) -> int:
        """How many signatures have to be checked."""
        return max(1, len(self.signatures))


def read_signers(
    needed: Sequence[str], infos: Sequence[SignerInfo], signatures: Sequence[bytes], *, simulated: bool
) -> tuple[Signer, ...]:
    """The signers of a transaction that needs the signatures of these addresses. A simulated one may lack signatures and modes.

    Raises SdkError (UNAUTHORIZED, NO_SIGNATURES, INVALID_ADDRESS, INVALID_PUBLIC_KEY, TX_DECODE).
    """
    if not 0 < len(needed) <= MAX_SIGNERS:
        raise SdkError(
            SdkCode.UNAUTHORIZED, f"the transaction needs {len(needed)} signers, 1 to {MAX_SIGNERS} are allowed"
        )
    if len(infos) != len(needed) or (len(signatures) != len(needed) and not simulated):
        raise SdkError(
            SdkCode.NO_SIGNATURES if not signatures else SdkCode.UNAUTHORIZED,
            f"wrong number of signers; expected {len(needed)}, got {len(infos)} with {len(signatures)} signatures",
        )
    given = signatures if not simulated else [b""] * len(needed)
    who = tuple(
        _signer(address, info, signature, simulated=simulated)
        for address, info, signature in zip(needed, infos, given, strict=True)
    )
    if sum(signer.keys for signer in who) > MAX_SIGNERS:
        raise SdkError(SdkCode.UNAUTHORIZED, f"the transaction has more than {MAX_SIGNERS} keys of signers")
    return who


def _signer(address: str, info: SignerInfo, signature: bytes, *, simulated: bool) -> Signer:
    check_address("signer", address)
    single, multisig = _keys(info)
    if info.mode_info.WhichOneof("sum") == "multi":
        bits = _bits(info.mode_info.multi)
        signatures = _members_signatures(signature, sum(bits)) if not simulated else (b"",) * sum(bits)
        if single:
            raise SdkError(SdkCode.INVALID_PUBLIC_KEY, "public_key: one key makes no multisignature")
        return Signer(address, b"", info.sequence, signature, True, multisig, bits, signatures)
    if multisig and not simulated:
        raise SdkError(SdkCode.UNAUTHORIZED, "mode_info: several keys make a multisignature, no single one")
    if multisig:
        least = min(LegacyAminoPubKey.FromString(multisig).threshold, MAX_SIGNERS)
        return Signer(address, b"", info.sequence, b"", True, multisig, signatures=(b"",) * least)
    if not simulated and info.mode_info.single.mode not in _MODES:
        raise SdkError(
            SdkCode.UNAUTHORIZED,
            f"mode_info: signing mode {info.mode_info.single.mode} is not taken, "
            "use SIGN_MODE_DIRECT or SIGN_MODE_LEGACY_AMINO_JSON",
        )
    amino = info.mode_info.single.mode == SignMode.SIGN_MODE_LEGACY_AMINO_JSON
    return Signer(address, single, info.sequence, signature, amino)


def _keys(info: SignerInfo) -> tuple[bytes, bytes]:
    """The one key, or the key of several keys, that the transaction carries."""
    if not info.HasField("public_key"):
        return b"", b""
    packed = info.public_key
    if packed.type_url == PUBLIC_KEY_TYPE:
        return decode(PubKey, packed.value).key, b""
    if packed.type_url == MULTISIG_TYPE:
        decode(LegacyAminoPubKey, packed.value)
        return b"", packed.value
    raise SdkError(
        SdkCode.INVALID_PUBLIC_KEY,
        f"public_key: accounts have {PUBLIC_KEY_TYPE} or {MULTISIG_TYPE}, not {packed.type_url[:200]!r}",
    )


def _bits(multi: ModeInfo.Multi) -> tuple[bool, ...]:
    """Which members have signed; each must have done so in amino JSON, the only mode that does not cover who else signs."""
    try:
        bits = present(multi.bitarray)
    except InvalidMultisig as error:
        raise SdkError(SdkCode.UNAUTHORIZED, f"mode_info.multi: {error}") from None
    if not 0 < sum(bits) == len(multi.mode_infos):
        raise SdkError(
            SdkCode.UNAUTHORIZED,
            f"mode_info.multi: {sum(bits)} members sign in the bit array, but there are {len(multi.mode_infos)} modes",
        )
    if any(each.single.mode != SignMode.SIGN_MODE_LEGACY_AMINO_JSON for each in multi.mode_infos):
        raise SdkError(
            SdkCode.UNAUTHORIZED, "mode_info.multi: members of a multisignature sign in SIGN_MODE_LEGACY_AMINO_JSON"
        )
    return bits


def _members_signatures(signature: bytes, count: int) -> tuple[bytes, ...]:
    found = tuple(decode(MultiSignature, signature).signatures)
    if len(found) != count:
        raise SdkError(SdkCode.UNAUTHORIZED, f"a multisignature of {count} members holds {len(found)} signatures")
    return found
