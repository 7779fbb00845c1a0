"""Whether the host is a member of an epoch."""

from pivot.api.ledger.interface import Chain


async def is_member(chain: Chain, epoch: int, address: str) -> bool:
    """Whether the epoch's group holds the address. Raises LedgerError."""
    group = await chain.epoch_group(epoch)
    return group is not None and any(member.member_address == address for member in group.validation_weights)
