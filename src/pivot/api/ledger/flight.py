"""A transaction of the outbox under way: from the moment it is noted on disk until all its entries are settled or put back."""

from dataclasses import dataclass

from pivot.api.ledger.parcels import Entry


@dataclass
class Flight:
    """A transaction under way."""

    hash: str
    timeout_ns: int
    entries: list[Entry]
    raw: bytes = b""
    """Empty after a restart, until it is signed once more."""
    sent_height: int = 0
    arrived: bool = False
    """The mempool is known to have it. If not, nobody answered when it was sent, or this node has ended since."""
    overdue: int = 0
    """Blocks since its time-out in which it was looked for in vain."""
