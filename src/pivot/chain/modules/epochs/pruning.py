"""Everything that belongs to an epoch is deleted a few epochs later (W-24)."""

from collections.abc import Callable
from itertools import islice

from pivot.chain.modules.epochs.state import EPOCHS, STORE, effective, epoch_key
from pivot.chain.types import Block

PRUNED_PER_BLOCK = 500
"""Rows that one prefix may lose per block, unless its module asks for more."""


def prune(block: Block) -> None:
    """Delete the records of epochs that are past their time."""
    prune_rows(block, EPOCHS)


def prune_rows(
    block: Block, prefix: bytes, most: int = PRUNED_PER_BLOCK, may_go: Callable[[bytes], bool] = lambda _: True
) -> bool:
    """Delete rows under `prefix` (keys by `epoch_key`) of epochs past their time, oldest first, some of them per block.

    Called in every block it goes on where it stopped; when nothing is old it costs one look-up. The first row that may not
    go yet ends the round; False then.
    """
    current = effective(block.state)
    kept_from = current.index - current.params.epoch_params.inference_pruning_epoch_threshold + 1
    if kept_from <= 0:
        return True
    old = block.state.iterate(STORE, prefix, epoch_key(prefix, kept_from)[:-1])
    for key, row in islice(old, most):
        if not may_go(row):
            return False
        block.state.delete(STORE, key)
    return True
