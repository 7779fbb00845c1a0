"""How an epoch's members come to be, at the end of the checks of its sprint."""

from collections.abc import Sequence
from dataclasses import dataclass

from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, MLNodeInfo


@dataclass(frozen=True)
class Work:
    """What one host brings into an epoch."""

    address: str
    nodes: tuple[MLNodeInfo, ...]
    """Its nodes with the weight of each: those that were credited, and those that served through the sprint."""
    credit: int
    """Weight that the checkers gave its commit."""
    tip: bytes = b""
    """Tip of its hash chain; empty if it did not commit."""


def form(block: Block, epoch: Epoch, work: Sequence[Work]) -> None:
    """Make the groups and the published list of the epoch's members, and say so in an event.

    If nobody's commit was credited, the members of the epoch before carry over (decision 6).
    """
