"""Whether those who sign a transaction are who they say: keys that belong to their accounts, signatures over this transaction."""

from dataclasses import replace

from cosmos.crypto.multisig.keys_pb2 import LegacyAminoPubKey

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.modules.auth.state import Account, check_multisig, check_public_key
from pivot.chain.signatures import Signatures
from pivot.chain.signers import Signer
from pivot.chain.transaction import Transaction
from pivot.chain.types import Block
from pivot.protocol.amino_json import NotInAminoJson, amino_sign_bytes
from pivot.protocol.multisig import member_keys
from pivot.protocol.transactions import sign_bytes


def with_key(signer: Signer, found: Account, *, needed: bool) -> Account:
    """The signer's account with the key that the transaction carries, if it has had none.

    Two keys cannot differ: both hash to the address. Raises SdkError (INVALID_PUBLIC_KEY, UNAUTHORIZED).
    """
    if signer.public_key and signer.public_key != found.public_key:
        check_public_key(signer.address, signer.public_key)
        return replace(found, public_key=signer.public_key)
    if signer.multisig and signer.multisig != found.multisig:
        return replace(found, multisig=check_multisig(signer.address, signer.multisig))
    if needed:
        _require_key(signer, found)
    return found


def check_signature(
    block: Block, transaction: Transaction, signer: Signer, found: Account, signatures: Signatures
) -> None:
    """Raises SdkError (UNAUTHORIZED) unless the account's key, or enough of its keys, have signed this transaction here."""
    signed = _signed_bytes(block, transaction, signer, found)
    if found.multisig:
        good = _enough_have_signed(signer, found, signed, signatures)
    else:
        good = signatures.verify(found.public_key, signed, signer.signature)
    if not good:
        raise SdkError(
            SdkCode.UNAUTHORIZED,
            f"signature verification failed; please verify account number ({found.number}), "
            f"sequence ({found.sequence}) and chain-id ({block.chain_id}): unauthorized",
        )


def _require_key(signer: Signer, found: Account) -> None:
    if not (found.public_key or found.multisig):
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key of {signer.address} is not known: send it along")
    if bool(signer.present) != bool(found.multisig):
        have = "several keys, which make a multisignature" if found.multisig else "one key, which makes one signature"
        raise SdkError(SdkCode.UNAUTHORIZED, f"mode_info: {signer.address} has {have}")


def _signed_bytes(block: Block, transaction: Transaction, signer: Signer, found: Account) -> bytes:
    if not signer.amino:
        return sign_bytes(transaction.body, transaction.auth_info, block.chain_id, found.number)
    try:
        return amino_sign_bytes(transaction.body, transaction.auth_info, block.chain_id, found.number, signer.sequence)
    except NotInAminoJson as error:
        raise SdkError(SdkCode.UNAUTHORIZED, f"SIGN_MODE_LEGACY_AMINO_JSON: {error}") from None


def _enough_have_signed(signer: Signer, found: Account, signed: bytes, signatures: Signatures) -> bool:
    """All signatures that are there must be good, and at least as many as the threshold."""
    key = LegacyAminoPubKey.FromString(found.multisig)
    keys = member_keys(key)
    if len(signer.present) != len(keys):
        raise SdkError(
            SdkCode.UNAUTHORIZED, f"mode_info.multi: bits of {len(signer.present)} members, there are {len(keys)}"
        )
    if len(signer.signatures) < key.threshold:
        raise SdkError(
            SdkCode.UNAUTHORIZED,
            f"{key.threshold} members must sign for {signer.address}: not {len(signer.signatures)}",
        )
    signing = (each for each, bit in zip(keys, signer.present, strict=True) if bit)
    return all(
        signatures.verify(each, signed, signature) for each, signature in zip(signing, signer.signatures, strict=True)
    )
