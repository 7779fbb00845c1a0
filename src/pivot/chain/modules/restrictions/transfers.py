"""The one way in which users' coins move at their own wish: sent, sent to many, sent by a grantee, or locked for somebody.

What modules take as fees, escrow, deposits or collateral, and what they pay, is no transfer of this kind.
"""

from pivot.chain.errors import RestrictionCode, RestrictionError, SdkCode, SdkError
from pivot.chain.modules.bank.state import MODULE_ACCOUNTS, send
from pivot.chain.modules.restrictions.state import put_uses, restriction_params, uses
from pivot.chain.store.journal import State
from pivot.chain.types import Block
from pivot.primitives.addresses import of_module
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.restrictions.types_pb2 import EmergencyTransferExemption, ExemptionUsage

ANYBODY = "*"
"""In an exemption: any address."""

ABSENT_MODULES = (
    "bonded_tokens_pool",
    "bookkeeper",
    "fee_collector",
    "genesistransfer",
    "mint",
    "nft",
    "not_bonded_tokens_pool",
    "pre_programmed_sale",
    "top_reward",
)
"""Modules of other chains, whose accounts nobody can open here: what is sent to them would be lost for good."""

_CLOSED = frozenset(MODULE_ACCOUNTS.values()) | {of_module(name) for name in ABSENT_MODULES}
"""Accounts whose coins are bookkept by modules, so that a gift would break their books, and those that are nobody's."""


def transfer(block: Block, source: str, target: str, amount: int) -> None:
    """Move a user's ngonka to another account, if that is allowed now, and count the exemption that allows it (W-21).

    Raises SdkError (UNAUTHORIZED: an account that takes no gifts; INSUFFICIENT_FUNDS), RestrictionError (RESTRICTED).
    """
    require_open(target)
    _require_allowed(block, source, target, amount)
    send(block, source, target, amount)


def require_open(target: str) -> None:
    """The account takes coins from users. Raises SdkError (UNAUTHORIZED)."""
    if target in _CLOSED:
        raise SdkError(SdkCode.UNAUTHORIZED, f"{target} is not allowed to receive funds: unauthorized")


def matches(exemption: EmergencyTransferExemption, block: Block, source: str, target: str, amount: int) -> bool:
    """Whether the exemption speaks of such a transfer, and has not expired."""
    return (
        exemption.from_address in {ANYBODY, source}
        and exemption.to_address in {ANYBODY, target}
        and amount <= int(exemption.max_amount)
        and block.height < exemption.expiry_block
    )


def count_use(state: State, exemption: EmergencyTransferExemption, source: str) -> int:
    """Use an exemption once, whichever message does it. Returns the uses that are left to the account.

    Raises RestrictionError (USED_UP).
    """
    used = uses(state, exemption.exemption_id, source)
    if used >= exemption.usage_limit:
        raise RestrictionError(
            RestrictionCode.USED_UP,
            f"{source} has used the exemption {exemption.exemption_id!r} {used} times, its limit is {exemption.usage_limit}",
        )
    put_uses(state, ExemptionUsage(exemption_id=exemption.exemption_id, account_address=source, usage_count=used + 1))
    return int(exemption.usage_limit) - used - 1


def _require_allowed(block: Block, source: str, target: str, amount: int) -> None:
    """Nothing is restricted any more, or an exemption allows it: the first that matches and is not used up is counted."""
    params = restriction_params(block.state)
    if block.height >= params.restriction_end_block:
        return
    for exemption in params.emergency_transfer_exemptions:
        if not matches(exemption, block, source, target, amount):
            continue
        if uses(block.state, exemption.exemption_id, source) < exemption.usage_limit:
            count_use(block.state, exemption, source)
            return
    raise RestrictionError(
        RestrictionCode.RESTRICTED,
        f"transfers of users are restricted until height {params.restriction_end_block}:"
        f" {source} cannot send {amount}{BASE_DENOM} to {target}",
    )
