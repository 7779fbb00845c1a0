"""From blocks to epochs to duties: where the network stands, and what changed since the last block seen.

Duties follow from height ranges and from records of what is done, never from seeing one exact block, so a node that was
away catches up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pivot.api.ledger.interface import Head
from pivot.protocol.epochs import Phase
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch


@dataclass(frozen=True)
class Moment:
    """The network at one block."""

    head: Head
    latest: Epoch
    """The upcoming epoch as soon as its sprint has begun, else the effective one. Index 0 before the first sprint."""
    effective: Epoch
    """The epoch whose members serve now."""
    phase: Phase
    next_poc_start: int
    synced: bool


Listener = Callable[[Moment], Awaitable[None]]


class Phases(Protocol):
    """Keeps the current moment. Listeners are called for every block (or once for several, after a gap), one after the other."""

    @property
    def moment(self) -> Moment | None:
        """None until the first block was seen."""
        ...

    def listen(self, listener: Listener) -> None: ...

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        """The first moment (the current one included) that meets `condition`; None when the time is over."""
        ...
