"""Signatures under transactions: of one key, or of several that hold an account together."""

from typing import Any

from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey
from cosmos.tx.signing.v1beta1.signing_pb2 import SignatureDescriptor, SignMode
from cosmos.tx.v1beta1.tx_pb2 import ModeInfo, SignerInfo, Tx

from pivot.cli.chain_port import AccountState
from pivot.cli.flags import wrong_usage
from pivot.cli.output import CommandFailed
from pivot.cli.tx.draft import auth_bytes, body_bytes, needed_signers
from pivot.node.keyring.record import PublicKey
from pivot.primitives.keys import SIGNATURE_LENGTH, PrivateKey, verify
from pivot.protocol.amino_json import NotInAminoJson, amino_sign_bytes
from pivot.protocol.messages import pack
from pivot.protocol.multisig import InvalidMultisig, combine, member_keys
from pivot.protocol.transactions import sign_bytes

DIRECT = SignMode.SIGN_MODE_DIRECT
AMINO_JSON = SignMode.SIGN_MODE_LEGACY_AMINO_JSON
MODES = {"direct": DIRECT, "amino-json": AMINO_JSON}
DEFAULT_MODE = "direct"


def mode_of(name: str) -> Any:
    """The signing mode of its name on the command line."""
    if name not in MODES:
        raise wrong_usage(f"--sign-mode: {' or '.join(MODES)}, not {name!r}")
    return MODES[name]


def set_unsigned(transaction: Tx, public_keys: list[PublicKey | None], sequences: list[int]) -> None:
    """Put signers in place whose signatures are not there yet, so that the transaction can be tried out at its full size."""
    del transaction.auth_info.signer_infos[:]
    del transaction.signatures[:]
    for public_key, sequence in zip(public_keys, sequences, strict=True):
        info = SignerInfo(mode_info=ModeInfo(single=ModeInfo.Single(mode=DIRECT)), sequence=sequence)
        signature = bytes(SIGNATURE_LENGTH)
        if isinstance(public_key, LegacyAminoPubKey):
            signing = member_keys(public_key)[: public_key.threshold]
            mode, signature = combine(public_key, dict.fromkeys(signing, signature))
            info.mode_info.CopyFrom(mode)
        if public_key is not None:
            info.public_key.CopyFrom(pack(public_key))
        transaction.auth_info.signer_infos.append(info)
        transaction.signatures.append(signature)


def sign(
    transaction: Tx, key: PrivateKey, public_key: PublicKey, state: AccountState, chain_id: str, mode: Any
) -> None:
    """Put the signature of one key into its place. Signatures of others in amino JSON stay, and may come later."""
    needed = needed_signers(transaction)
    if key.address not in needed:
        raise CommandFailed(f"this transaction needs the signature of {', '.join(needed)}, not of {key.address}")
    if len(needed) > 1 and mode == DIRECT:
        raise CommandFailed(
            f"this transaction needs the signatures of {' and '.join(needed)}: use --sign-mode amino-json, as in the direct "
            "mode everybody signs what the others' entries say"
        )
    sequence = 0 if transaction.body.unordered else state.sequence
    info = SignerInfo(
        public_key=pack(public_key),
        mode_info=ModeInfo(single=ModeInfo.Single(mode=mode)),
        sequence=sequence,
    )
    place = needed.index(key.address)
    _put(transaction, place, len(needed), info, b"")
    signature = key.sign(bytes_to_sign(transaction, chain_id, state, mode))
    _put(transaction, place, len(needed), info, signature)


def bytes_to_sign(transaction: Tx, chain_id: str, state: AccountState, mode: Any) -> bytes:
    """What a signer signs. Raises CommandFailed where the mode cannot say it."""
    body, auth = body_bytes(transaction), auth_bytes(transaction)
    if mode == DIRECT:
        return sign_bytes(body, auth, chain_id, state.number)
    try:
        return amino_sign_bytes(body, auth, chain_id, state.number, state.sequence)
    except NotInAminoJson as error:
        raise CommandFailed(str(error)) from error


def part_of(
    transaction: Tx, key: PrivateKey, public_key: PublicKey, state: AccountState, chain_id: str
) -> SignatureDescriptor:
    """A member's signature for an account of several; always over amino JSON, which does not depend on who else signs."""
    signature = key.sign(bytes_to_sign(transaction, chain_id, state, AMINO_JSON))
    single = SignatureDescriptor.Data.Single(mode=AMINO_JSON, signature=signature)
    return SignatureDescriptor(
        public_key=pack(public_key), data=SignatureDescriptor.Data(single=single), sequence=state.sequence
    )


def sign_together(
    transaction: Tx,
    public_key: LegacyAminoPubKey,
    address: str,
    parts: dict[bytes, bytes],
    state: AccountState,
    chain_id: str,
) -> None:
    """Put the signature of an account of several into its place, out of its members' signatures by key."""
    needed = needed_signers(transaction)
    if address not in needed:
        raise CommandFailed(f"this transaction needs the signature of {', '.join(needed)}, not of {address}")
    signed = bytes_to_sign(transaction, chain_id, state, AMINO_JSON)
    for key, signature in parts.items():
        if not verify(key, signed, signature):
            raise CommandFailed(
                f"a signature is not one over this transaction: look at account number ({state.number}), "
                f"sequence ({state.sequence}) and chain ({chain_id})"
            )
    try:
        mode, signature = combine(public_key, parts)
    except InvalidMultisig as error:
        raise CommandFailed(str(error)) from error
    info = SignerInfo(public_key=pack(public_key), mode_info=mode, sequence=state.sequence)
    _put(transaction, needed.index(address), len(needed), info, signature)


def _put(transaction: Tx, place: int, count: int, info: SignerInfo, signature: bytes) -> None:
    """Replace one signer of a transaction that has `count`."""
    infos = transaction.auth_info.signer_infos
    while len(infos) < count:
        infos.add()
    given = [*transaction.signatures, *[b""] * (count - len(transaction.signatures))]
    infos[place].CopyFrom(info)
    given[place] = signature
    del transaction.signatures[:]
    transaction.signatures.extend(given)
