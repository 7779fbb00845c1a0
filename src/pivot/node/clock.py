"""The machine's clock against the network's: a node whose clock is off signs times that others do not believe, and its host's
requests are refused.
"""

import asyncio
from collections.abc import Callable

from pivot.node.chain_node import ChainNode
from pivot.node.errors import NodeError

LARGEST_DIFFERENCE_S = 10.0
"""Other hosts refuse requests whose time is off by more."""
LONGEST_BLOCK_S = 10.0
"""A block tells the time at which the one before it was signed."""
LOOK_SECONDS = 10.0


def complaint(name: str, ahead_s: float, whose: str) -> str:
    """What is wrong with a clock that is so far ahead of (negative: behind) another's; empty when it is not off."""
    if abs(ahead_s) <= LARGEST_DIFFERENCE_S:
        return ""
    side = "ahead of" if ahead_s > 0 else "behind"
    return (
        f"{name}: this machine's clock is {abs(ahead_s):.0f} s {side} {whose}: set it by NTP (timedatectl set-ntp true)"
    )


async def watch_clock(node: ChainNode, say: Callable[[str], None], look_seconds: float = LOOK_SECONDS) -> None:
    """Compare the clock with the times of blocks that have just come, for ever; say so when it is off, once.

    A block that came since the last look is at most that old, so a chain that stands still is not taken for a wrong clock.
    """
    height, said = 0, False
    while True:
        await asyncio.sleep(look_seconds)
        try:
            told = await node.identity()
        except NodeError:
            continue
        is_new, height = 0 < height < told.height and not told.catching_up, told.height
        if not is_new:
            continue
        found = complaint(node.name, _certainly(told.block_age_s, look_seconds), "the network's newest block")
        if found and not said:
            say(found)
        said = bool(found)


def _certainly(age_s: float, look_seconds: float) -> float:
    """How far the clock is ahead at least when a block that has just come looks so old."""
    return age_s if age_s < 0 else max(0.0, age_s - look_seconds - LONGEST_BLOCK_S)
