"""What every transaction must pass before its messages run: time-outs, gas, fee, keys, order, signatures.

Whoever is refused here leaves no trace. What passes has paid its fee and used up its sequence, or its time-out if it is
unordered, whatever becomes of its messages.
"""

import base64

from pivot.chain.authentication import check_signature, with_key
from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.fees import take_fee
from pivot.chain.modules.auth.state import Account, account, has_nonce, note_nonce, put
from pivot.chain.signatures import Signatures
from pivot.chain.signers import Signer
from pivot.chain.transaction import Transaction
from pivot.chain.types import Block, Reader
from pivot.protocol.transactions import MAX_UNORDERED_LIFETIME_NS


def process_ante(block: Block, transaction: Transaction, signatures: Signatures) -> None:
    """Let a transaction in: take its fee and its place. Raises SdkError and then has changed nothing."""
    with block.frame():
        _check_gas(transaction)
        _process(block, transaction, signatures)


def process_simulated_ante(block: Block, transaction: Transaction) -> None:
    """Let a transaction in that is only tried out: no signature, gas limit or fee is asked for. Raises SdkError."""
    with block.frame():
        _process(block, transaction, None)


def _process(block: Block, transaction: Transaction, signatures: Signatures | None) -> None:
    _check_timeouts(block, transaction)
    for signer in transaction.signers:
        found = _require_account(block.state, signer)
        _check_order(block.state, transaction, signer, found)
        keyed = with_key(signer, found, needed=signatures is not None)
        if signatures is not None:
            check_signature(block, transaction, signer, keyed, signatures)
        _take_place(block, transaction, found, keyed)
    take_fee(block, transaction, demanded=signatures is not None)
    for signer in transaction.signers:
        block.emit("tx", acc_seq=f"{signer.address}/{signer.sequence}")
        block.emit("tx", signature=base64.b64encode(signer.signature).decode())


def _check_gas(transaction: Transaction) -> None:
    if transaction.gas_limit and transaction.gas > transaction.gas_limit:
        raise SdkError(
            SdkCode.OUT_OF_GAS,
            f"out of gas: the transaction takes {transaction.gas}, its gas limit is {transaction.gas_limit}",
        )


def _check_timeouts(block: Block, transaction: Transaction) -> None:
    if transaction.timeout_height and block.height > transaction.timeout_height:
        raise SdkError(
            SdkCode.TX_TIMEOUT_HEIGHT,
            f"the transaction was valid until height {transaction.timeout_height}, this is {block.height}",
        )
    if not transaction.timeout_ns:
        return
    if transaction.timeout_ns <= block.time:
        raise SdkError(SdkCode.TX_TIMEOUT_HEIGHT, "timeout_timestamp has already passed")
    if transaction.unordered and transaction.timeout_ns > block.time + MAX_UNORDERED_LIFETIME_NS:
        raise SdkError(
            SdkCode.INVALID_REQUEST, "timeout_timestamp of an unordered transaction is over 10 minutes ahead"
        )


def _require_account(state: Reader, signer: Signer) -> Account:
    found = account(state, signer.address)
    if found is None:
        raise SdkError(
            SdkCode.UNKNOWN_ADDRESS,
            f"account {signer.address} does not exist. Send some tokens there before trying to query sequence.",
        )
    return found


def _check_order(state: Reader, transaction: Transaction, signer: Signer, found: Account) -> None:
    if transaction.unordered:
        if has_nonce(state, signer.address, transaction.timeout_ns):
            raise SdkError(
                SdkCode.INVALID_REQUEST,
                f"already used timeout {transaction.timeout_ns} for address {signer.address}",
            )
    elif signer.sequence != found.sequence:
        raise SdkError(
            SdkCode.WRONG_SEQUENCE,
            f"account sequence mismatch, expected {found.sequence}, got {signer.sequence}: incorrect account sequence",
        )


def _take_place(block: Block, transaction: Transaction, found: Account, keyed: Account) -> None:
    """Remember the key, and that this sequence, or this time-out, is used up."""
    if transaction.unordered:
        note_nonce(block.state, found.address, transaction.timeout_ns)
        changed = keyed
    else:
        changed = Account(found.address, found.number, found.sequence + 1, keyed.public_key, keyed.multisig)
    if changed is not found:
        put(block.state, changed)
