"""The release of slots: it begins at the switch to an epoch and takes as many blocks as there are schedules."""

from itertools import islice

from pivot.chain.modules.bank.state import STREAMVESTING, move
from pivot.chain.modules.streamvesting.state import (
    Release,
    Schedule,
    forget_release,
    put_release,
    put_schedule,
    release,
    schedules,
)
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM

SCHEDULES_PER_BLOCK = 500
"""Addresses that one block looks at."""


def begin(block: Block, epoch: int) -> None:
    """Begin to release what falls due at the switch to `epoch`; `release_some` does the work.

    A release that is still under way is begun again: whoever has been paid has nothing due before `epoch` any more.
    """
    before = release(block.state) or Release(epoch)
    put_release(block.state, before._replace(epoch=epoch, last=""))


def release_some(block: Block) -> None:
    """Go on with the release under way, if there is one, in the order of addresses."""
    under_way = release(block.state)
    if under_way is None:
        return
    looked_at = 0
    for address, found in islice(schedules(block.state, under_way.last), SCHEDULES_PER_BLOCK):
        due = _pay_due(block, address, found, under_way.epoch)
        looked_at += 1
        under_way = under_way._replace(
            unlocked=under_way.unlocked + due,
            paid=under_way.paid + (due > 0),
            processed=under_way.processed + 1,
            last=address,
        )
    if looked_at == SCHEDULES_PER_BLOCK:
        put_release(block.state, under_way)
        return
    forget_release(block.state)
    if under_way.processed:
        block.emit(
            "unlock_tokens",
            unlocked_amount=f"{under_way.unlocked}{BASE_DENOM}",
            participants_unlocked=under_way.paid,
            participants_processed=under_way.processed,
        )


def _pay_due(block: Block, address: str, found: Schedule, epoch: int) -> int:
    """Pay the slots up to that of `epoch`. Returns their sum."""
    slots = max(epoch - found.first + 1, 0)
    if not slots:
        return 0
    due = sum(found.amounts[:slots])
    move(block.state, STREAMVESTING, address, due)
    put_schedule(block.state, address, Schedule(found.first + slots, found.amounts[slots:]))
    return due
