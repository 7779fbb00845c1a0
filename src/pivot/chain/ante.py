"""What every transaction must pass before its messages run: time-outs, gas, fee, keys, order, signatures.

Whoever is refused here leaves no trace. What passes has paid its fee and used up its sequence, or its time-out if it is
unordered, whatever becomes of its messages.
"""

import base64

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.modules.auth.state import Account, account, check_public_key, has_nonce, note_nonce, put
from pivot.chain.modules.authz.state import may_act
from pivot.chain.modules.bank.state import COMMUNITY_POOL, send
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.members.state import is_member
from pivot.chain.modules.params.state import fee_of
from pivot.chain.signatures import Signatures
from pivot.chain.transaction import Signer, Transaction
from pivot.chain.types import Block, Reader
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import type_url
from pivot.protocol.transactions import MAX_UNORDERED_LIFETIME_NS, sign_bytes


def process_ante(block: Block, transaction: Transaction, signatures: Signatures) -> None:
    """Let a transaction in: take its fee and its place. Raises SdkError and then has changed nothing."""
    with block.frame():
        _check_gas(transaction)
        _process(block, transaction, signatures)


def process_simulated_ante(block: Block, transaction: Transaction) -> None:
    """Let a transaction in that is only tried out: no signature, gas limit or fee is asked for. Raises SdkError."""
    with block.frame():
        _process(block, transaction, None)


def is_free(block: Block, transaction: Transaction) -> bool:
    """Duties of members of the epoch in force or the upcoming one, and of their grantees, cost nothing (design, decision 3)."""
    epoch = effective_index(block.state)
    return transaction.is_duty and all(
        (is_member(block.state, epoch, act.owner) or is_member(block.state, epoch + 1, act.owner))
        and (act.sender == act.owner or may_act(block.state, act.owner, act.sender, type_url(act.message), block.time))
        for act in transaction.acts
    )


def _process(block: Block, transaction: Transaction, signatures: Signatures | None) -> None:
    _check_timeouts(block, transaction)
    for signer in transaction.signers:
        found = _require_account(block.state, signer)
        _check_order(block.state, transaction, signer, found)
        key = _known_key(signer, found, needed=signatures is not None)
        if signatures is not None:
            _require_signature(block, transaction, signer, found, key, signatures)
        _take_place(block, transaction, found, key)
    _take_fee(block, transaction, demanded=signatures is not None)
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


def _known_key(signer: Signer, found: Account, *, needed: bool) -> bytes:
    """The signer's key, from the transaction or from its account. The two cannot differ: both hash to the address."""
    if signer.public_key and signer.public_key != found.public_key:
        check_public_key(signer.address, signer.public_key)
    key = signer.public_key or found.public_key
    if needed and not key:
        raise SdkError(SdkCode.INVALID_PUBLIC_KEY, f"the public key of {signer.address} is not known: send it along")
    return key


def _require_signature(
    block: Block, transaction: Transaction, signer: Signer, found: Account, key: bytes, signatures: Signatures
) -> None:
    signed = sign_bytes(transaction.body, transaction.auth_info, block.chain_id, found.number)
    if not signatures.verify(key, signed, signer.signature):
        raise SdkError(
            SdkCode.UNAUTHORIZED,
            f"signature verification failed; please verify account number ({found.number}), "
            f"sequence ({found.sequence}) and chain-id ({block.chain_id}): unauthorized",
        )


def _take_place(block: Block, transaction: Transaction, found: Account, key: bytes) -> None:
    """Remember the key, and that this sequence, or this time-out, is used up."""
    if transaction.unordered:
        note_nonce(block.state, found.address, transaction.timeout_ns)
    sequence = found.sequence if transaction.unordered else found.sequence + 1
    if sequence != found.sequence or key != found.public_key:
        put(block.state, Account(found.address, found.number, sequence, key))


def _take_fee(block: Block, transaction: Transaction, *, demanded: bool) -> None:
    payer = transaction.signers[0].address
    if demanded:
        least = fee_of(block.state, transaction.gas)
        if transaction.fee < least and not is_free(block, transaction):
            raise SdkError(
                SdkCode.INSUFFICIENT_FEE,
                f"insufficient fees; got: {transaction.fee}{BASE_DENOM} required: {least}{BASE_DENOM}",
            )
    if transaction.fee:
        send(block, payer, COMMUNITY_POOL, transaction.fee)
    block.emit("tx", fee=f"{transaction.fee}{BASE_DENOM}" if transaction.fee else "", fee_payer=payer)
