"""Everything that belongs to an epoch is deleted a few epochs later (W-24)."""

from pivot.chain.modules.epochs.state import EPOCHS, STORE, effective, epoch_key
from pivot.chain.types import Block

PRUNED_PER_BLOCK = 500
"""Rows that one prefix may lose per block, unless its module asks for more."""


def prune(block: Block) -> None:
    """Delete the records of epochs that are past their time."""
    prune_rows(block, EPOCHS)


def prune_rows(block: Block, prefix: bytes, most: int = PRUNED_PER_BLOCK) -> None:
    """Delete rows under `prefix` (keys by `epoch_key`) of epochs past their time, oldest first, some of them per block.

    Called in every block it goes on where it stopped; when nothing is old it costs one look-up.
    """
    current = effective(block.state)
    kept_from = current.index - current.params.epoch_params.inference_pruning_epoch_threshold + 1
    if kept_from <= 0:
        return
    old = block.state.iterate(STORE, prefix, epoch_key(prefix, kept_from)[:-1])
    for _, (key, _) in zip(range(most), old, strict=False):
        block.state.delete(STORE, key)
