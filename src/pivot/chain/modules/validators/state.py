"""Consensus keys of the members, what they have signed, and the set that the engine was last told."""

from collections.abc import Sequence

from pivot.chain.types import Block


def note_signatures(block: Block) -> None:
    """Count which of the unproven keys signed the last block. One that signs half of a window is proven for good."""


def set_members(block: Block, members: Sequence[tuple[str, bytes, int]]) -> None:
    """Replace the members (address, consensus key, weight) that hold power. The engine is told by `process_updates`."""


def process_updates(block: Block) -> None:
    """Append to the block what changes in the engine's set: differences alone, in key order, never to an empty set."""
