"""The release of withdrawn collateral: it begins at a switch and takes as many blocks as there are rows due."""

from itertools import islice

from pivot.chain.modules.bank.state import COLLATERAL, send
from pivot.chain.modules.collateral.state import due, put_unbonding, unbonding
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM

RELEASES_PER_BLOCK = 500


def release_some(block: Block) -> None:
    """Pay out what is due in the epoch in force, oldest first; when nothing is, it costs one look-up.

    Called only while no settlement is under way: the epoch that has ended may still cost its hosts collateral.
    """
    for address, epoch in list(islice(due(block.state, effective_index(block.state)), RELEASES_PER_BLOCK)):
        amount = unbonding(block.state, address, epoch)
        send(block, COLLATERAL, address, amount)
        put_unbonding(block.state, address, epoch, 0)
        block.emit("process_withdrawal", participant=address, amount=f"{amount}{BASE_DENOM}", completion_epoch=epoch)
