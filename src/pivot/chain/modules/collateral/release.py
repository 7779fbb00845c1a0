"""The release of withdrawn collateral: it begins with a sprint and takes as many blocks as there are rows due.

Answers of an epoch are judged until the next epoch's sprint begins. Before that no coins go that stood behind the host which gave
them: a host could else withdraw, cheat in the epoch's last blocks, and be gone when it is found out.
"""

from itertools import islice

from pivot.chain.modules.bank.state import COLLATERAL, send
from pivot.chain.modules.collateral.state import due, put_unbonding, unbonding
from pivot.chain.modules.epochs.state import effective
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM

RELEASES_PER_BLOCK = 500


def release_some(block: Block) -> None:
    """Pay out what is due in the epoch in force once its sprint begins, oldest first; when nothing is, it costs two look-ups.

    Called only while no settlement is under way: the epoch that has ended may still cost its hosts collateral.
    """
    serving = effective(block.state)
    last = serving.index if block.height >= serving.boundaries.next_poc_start else serving.index - 1
    for address, epoch in list(islice(due(block.state, last), RELEASES_PER_BLOCK)):
        amount = unbonding(block.state, address, epoch)
        send(block, COLLATERAL, address, amount)
        put_unbonding(block.state, address, epoch, 0)
        block.emit("process_withdrawal", participant=address, amount=f"{amount}{BASE_DENOM}", completion_epoch=epoch)
