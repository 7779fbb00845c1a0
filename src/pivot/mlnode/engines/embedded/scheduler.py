"""The batch's time and its callers: one thread steps it, the event loop adds, drops and listens between steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor

from pivot.mlnode.engines.embedded.batch import Batch, Sequence, Step


class Overloaded(Exception):
    """So many requests wait that no more are taken."""


class Scheduler:
    """Steps a batch while there is something to do. All methods belong to the event loop."""

    def __init__(self, batch: Batch, max_waiting: int) -> None:
        self._batch = batch
        self._max_waiting = max_waiting
        self._grown = asyncio.Event()
        self._added: list[Sequence] = []
        self._listeners: dict[Sequence, tuple[int, asyncio.Queue[tuple[int, Step]]]] = {}

    def require_room(self, sequences: int) -> None:
        """Refuse more than may wait. Raises Overloaded."""
        if self._batch.waiting + len(self._added) + sequences > self._max_waiting:
            raise Overloaded(f"more than {self._max_waiting} sequences wait; try again soon")

    async def generate(self, sequences: Many[Sequence]) -> AsyncGenerator[tuple[int, Step], None]:
        """The steps of all these sequences as they come, each with the sequence's place. Raises Overloaded.

        A caller that stops listening ends its sequences; one that needs only some of them no more sets `cancelled`.
        """
        self.require_room(len(sequences))
        steps: asyncio.Queue[tuple[int, Step]] = asyncio.Queue()
        self._listeners |= {sequence: (place, steps) for place, sequence in enumerate(sequences)}
        self._added += sequences
        self._grown.set()
        try:
            going = set(range(len(sequences)))
            while going := {place for place in going if not sequences[place].cancelled}:
                place, step = await steps.get()
                if place in going:
                    if step.finish:
                        going.remove(place)
                    yield place, step
        finally:
            for sequence in sequences:
                sequence.cancelled = True
                self._listeners.pop(sequence, None)

    async def run(self) -> None:
        """Step for ever. Ends only by an exception: a bug, or no memory."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "decoder") as thread:
            while True:
                while self._batch.idle and not self._added:
                    self._grown.clear()
                    await self._grown.wait()
                for sequence in self._added:
                    self._batch.add(sequence)
                self._added.clear()
                for sequence, step in await loop.run_in_executor(thread, self._batch.step):
                    if listener := self._listeners.get(sequence):
                        listener[1].put_nowait((listener[0], step))
