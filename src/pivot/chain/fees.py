"""What a transaction costs, and who pays (design, decision 3).

A transaction pays at least the minimum price of its gas, out of the payer's coins or of an allowance. It may pay nothing if it
is a duty that finds room in its hosts' free space; or if there is no minimum price, while the payer holds coins for its gas.
"""

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.free_space import FreeSpace
from pivot.chain.modules.bank import quota
from pivot.chain.modules.bank.state import COMMUNITY_POOL, send
from pivot.chain.modules.feegrant import state as feegrant
from pivot.chain.modules.params.state import fee_params, price_of
from pivot.chain.transaction import Transaction
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.messages import type_url

BLOCKS_AHEAD = 10
"""Free duties may wait for so many blocks' space; what comes beyond them is asked for a fee when it is checked."""


def take_fee(block: Block, transaction: Transaction, *, demanded: bool) -> None:
    """Take what the transaction offers, and refuse it if that is too little (`demanded`). Raises SdkError, FeegrantError."""
    source = transaction.granter or transaction.payer
    hosts = _require_enough(block, transaction, source) if demanded else ()
    if source != transaction.payer:
        messages = [type_url(call.message) for call in transaction.calls]
        feegrant.use(block, source, transaction.payer, transaction.fee, messages)
    if transaction.fee:
        send(block, source, COMMUNITY_POOL, transaction.fee)
    block.emit("tx", fee=f"{transaction.fee}{BASE_DENOM}" if transaction.fee else "", fee_payer=source)
    if hosts:
        free_space(block).take(hosts, transaction.gas)


def free_space(block: Block) -> FreeSpace:
    """The free space of the block under way, or of the blocks that what is being checked may wait for."""
    return FreeSpace(block.state, block.time, block.free_gas, 1 if block.hash else BLOCKS_AHEAD)


def _require_enough(block: Block, transaction: Transaction, source: str) -> tuple[str, ...]:
    """The hosts in whose free space the transaction finds room; none if it pays, or if coins stand behind it."""
    rules = fee_params(block.state)
    least = price_of(rules.minimum_gas_price_e18, transaction.gas)
    if 0 < least <= transaction.fee:
        return ()
    if transaction.is_duty and (hosts := _with_room(block, transaction)):
        return hosts
    if least:
        raise SdkError(
            SdkCode.INSUFFICIENT_FEE,
            f"insufficient fees; got: {transaction.fee}{BASE_DENOM} required: {least}{BASE_DENOM}",
        )
    if held := price_of(rules.held_per_gas_e18, transaction.gas):
        quota.use(block.state, source, held, lent=source != transaction.payer)
    return ()


def _with_room(block: Block, transaction: Transaction) -> tuple[str, ...]:
    space = free_space(block)
    hosts = space.hosts(transaction)
    return hosts if space.is_first(hosts) or space.has_room(hosts, transaction.gas) else ()
