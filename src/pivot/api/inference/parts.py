"""An answer, as it passes from the executor through the transfer agent to the developer: a sequence of parts.

First `Accepted`, for some answers `Bound`, then one `Head`, then bytes. The executor in this process and one at the other end
of a connection give the same sequence, so the transfer agent does not care which it is; but for `Bound`, which stays with the
executor: a transfer agent that leaves does not stop it.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

EVENT_STREAM = "text/event-stream"
JSON = "application/json"


@dataclass(frozen=True)
class Accepted:
    """The executor has a node for the request and answers for it from now on."""

    signature: str
    """base64, over `acceptance_sign_bytes`."""


@dataclass(frozen=True)
class Bound:
    """From here on the executor finishes the answer, and is paid for all of it, whoever leaves.

    It comes in one piece, so nothing of it could be settled before its end: anybody could have long ones computed for nothing, by
    leaving just before.
    """


@dataclass(frozen=True)
class Chosen:
    """Which host answers: what a transfer agent says before the head. Its executors do not."""

    executor: str
    inference_id: str
    waited_s: float
    """Seconds from asking this host to the head of its answer."""


@dataclass(frozen=True)
class Head:
    """Status and kind of the answer. After it nobody else can answer any more."""

    status: int
    content_type: str
    length: int | None = None
    """Bytes that follow; None for a stream."""


Part = Accepted | Bound | Chosen | Head | bytes
Parts = AsyncGenerator[Part, None]


class CandidateFailed(Exception):
    """A drawn host did not take the request, or lost it before its first byte: the next one is asked."""

    def __init__(self, reason: str, *, busy: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """The host is there, and says that it cannot answer this request, which may be at fault itself."""
        self.busy = busy
        """The host is well, but has no node free for it now: it may be asked again and given more time."""
