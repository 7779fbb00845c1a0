"""From blocks to epochs to duties: where the network stands, and what changed since the last block seen.

Duties follow from height ranges and from records of what is done, never from seeing one exact block, so a node that was
away catches up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from pivot.api.ledger.interface import Head, LedgerError
from pivot.protocol.epochs import Phase, phase_at
from pivot.protocol.generated.inference.inference.query_pb2 import QueryEpochInfoResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch

RETRY_SECONDS = 0.5
"""Until the gateway is asked again when it did not answer, or is behind the engine."""
MAX_LAGGING_ANSWERS = 10
"""So many answers from before the block are not taken; then one is, as the gateway may serve another, slower node."""

_log = logging.getLogger(__name__)


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


class Heads(Protocol):
    """Where new blocks come from (`ledger/follower.py`)."""

    @property
    def newest(self) -> Head | None: ...

    @property
    def synced(self) -> bool: ...

    async def next(self) -> Head:
        """The newest block, as soon as it is above the one returned last."""
        ...


class EpochSource(Protocol):
    """Who knows where the network stands (`ledger/chain.py`)."""

    async def new_block(self, height: int) -> QueryEpochInfoResponse: ...


class PhaseKeeper:
    """Turns every new block into a moment, by one query, and tells the listeners (`Phases`)."""

    def __init__(self, heads: Heads, source: EpochSource, *, retry_s: float = RETRY_SECONDS) -> None:
        self._heads = heads
        self._source = source
        self._retry_s = retry_s
        self._listeners: list[Listener] = []
        self._waiting: dict[asyncio.Future[Moment], Callable[[Moment], bool]] = {}
        self._task: asyncio.Task[None] | None = None
        self._moment: Moment | None = None

    @property
    def moment(self) -> Moment | None:
        return self._moment

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def wait_for(self, condition: Callable[[Moment], bool], timeout_s: float) -> Moment | None:
        if self._moment is not None and condition(self._moment):
            return self._moment
        future: asyncio.Future[Moment] = asyncio.get_running_loop().create_future()
        self._waiting[future] = condition
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._waiting[future]

    async def _run(self) -> None:
        while True:
            head = await self._heads.next()
            if self._moment is not None and head.height <= self._moment.head.height:
                continue
            moment = self._moment = await self._moment_of(head)
            for future, condition in list(self._waiting.items()):
                _wake(future, condition, moment)
            for listener in self._listeners:
                try:
                    await listener(moment)
                except Exception:  # noqa: BLE001  one duty's bug must not stop the others
                    _log.exception("a duty failed at block %d; it is called again at the next one", head.height)

    async def _moment_of(self, head: Head) -> Moment:
        """The moment at `head`, or at a newer block if one has come while the gateway did not answer."""
        lagging, told = 0, False
        while True:
            head = self._heads.newest or head
            try:
                info = await self._source.new_block(head.height)
            except LedgerError as error:
                if not told:
                    _log.warning("cannot tell the phase at block %d: %s", head.height, error)
                told = True
            else:
                if info.block_height >= head.height or lagging >= MAX_LAGGING_ANSWERS:
                    return moment_at(head, info, synced=self._heads.synced)
                lagging += 1
            await asyncio.sleep(self._retry_s)


def moment_at(head: Head, info: QueryEpochInfoResponse, *, synced: bool) -> Moment:
    """The moment at a block. An epoch that began only after the block is not seen yet."""
    latest = info.latest_epoch
    if latest.index > info.effective_epoch.index and latest.boundaries.poc_start > head.height:
        latest = info.effective_epoch
    return Moment(
        head=head,
        latest=latest,
        effective=info.effective_epoch,
        phase=phase_at(latest, head.height),
        next_poc_start=latest.boundaries.next_poc_start or info.next_poc_start,
        synced=synced,
    )


def _wake(future: "asyncio.Future[Moment]", condition: Callable[[Moment], bool], moment: Moment) -> None:
    """Hand a waiting caller its moment; what its condition raises is the caller's."""
    try:
        if condition(moment) and not future.done():
            future.set_result(moment)
    except Exception as error:  # noqa: BLE001  whatever it is, it belongs to the caller
        if not future.done():
            future.set_exception(error)
