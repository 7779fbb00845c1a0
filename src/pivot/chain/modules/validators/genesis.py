"""The first validators: the members of epoch 0, who count as proven, or those of an exported chain."""

from collections.abc import Iterable, Mapping, Sequence

from pivot.chain.modules.members.state import electorate
from pivot.chain.modules.validators.state import (
    process_updates,
    prove,
    put_power,
    put_seen_revisions,
    put_unproven,
    set_members,
)
from pivot.chain.types import Block, ValidatorUpdate
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisState


def begin(block: Block, _: GenesisState) -> None:
    """Give the first members their power. The block's updates are the set with which the engine begins."""
    first = electorate(block.state, 0)
    for member in first:
        prove(block.state, consensus_address(member[1]))
    set_members(block, first)
    process_updates(block)


def restore(
    block: Block,
    *,
    members: Sequence[tuple[str, bytes]],
    powers: Mapping[bytes, int],
    proven: Iterable[bytes],
    unproven: Iterable[tuple[bytes, int, int]],
    seen: bytes,
) -> None:
    """Write the rows of an exported chain, and tell the engine the set that it was told there last.

    members: (address, consensus key). powers: by consensus key, above 0. proven: consensus addresses. unproven:
    (consensus address, blocks seen, blocks signed). seen: revisions at the last look for changes.
    """
    set_members(block, members)
    for key in sorted(powers):
        put_power(block.state, key, powers[key])
        block.validator_updates.append(ValidatorUpdate(key, powers[key]))
    for address20 in proven:
        prove(block.state, address20)
    for row in unproven:
        put_unproven(block.state, *row)
    if seen:
        put_seen_revisions(block.state, seen)
