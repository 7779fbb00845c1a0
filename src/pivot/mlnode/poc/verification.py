"""Checking other hosts' leaves: compute them again and tell how far the claims are off."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine

from pivot.mlnode.poc.callback import Callbacks, NotTaken
from pivot.mlnode.poc.crew import Crew
from pivot.mlnode.poc.work import WorkerFailed
from pivot.protocol.mlnode_api import ValidatedBatch, ValidateRequest
from pivot.protocol.sprint import FINGERPRINT_BYTES, distance

MAX_WAITING_LEAVES = 200_000
MAX_RESULTS = 2_048
"""Results kept for who asks again; the oldest go first."""
CALLBACKS_AT_ONCE = 8


class TooMuchWaiting(Exception):
    """More leaves wait to be checked than this node takes on."""


class Verification:
    """One stay in the state VALIDATING. Requests are done in the order in which they came, several in one batch."""

    def __init__(self, crew: Crew, callbacks: Callbacks) -> None:
        self.error: str | None = None
        """Why the last check or call-back failed."""
        self._crew = crew
        self._callbacks = callbacks
        self._waiting: dict[str, ValidateRequest] = {}
        self._results: OrderedDict[str, tuple[ValidateRequest, ValidatedBatch]] = OrderedDict()
        self._slots = asyncio.Semaphore(CALLBACKS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Leaves that are not checked yet."""
        return sum(len(request.nonces) for request in self._waiting.values())

    def submit(self, request: ValidateRequest) -> None:
        """Take a request on. One that is known already is only answered again. Raises TooMuchWaiting."""
        known, result = self._results.get(request.batch_id, (None, None))
        if result and known == request:
            self._run(self._post(result))
            return
        if request == self._waiting.get(request.batch_id):
            return
        if self.waiting + len(request.nonces) > MAX_WAITING_LEAVES:
            raise TooMuchWaiting(f"more than {MAX_WAITING_LEAVES} leaves wait to be checked")
        self._waiting[request.batch_id] = request
        self._run(self._check(request, self._crew.compute(request.host_address, request.nonces)))

    async def stop(self) -> None:
        """Drop what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, request: ValidateRequest, computing: asyncio.Future[bytes]) -> None:
        """Answer a request. One that no worker could do is forgotten, so that it can be sent again."""
        try:
            computed = await computing
        except WorkerFailed as error:
            self._note(f"batch {request.batch_id} was not checked: {error}")
            return
        finally:
            if self._waiting.get(request.batch_id) is request:
                del self._waiting[request.batch_id]
        own = (computed[i : i + FINGERPRINT_BYTES] for i in range(0, len(computed), FINGERPRINT_BYTES))
        distances = [distance(a, b) for a, b in zip(request.leaves(), own, strict=True)]
        result = ValidatedBatch(batch_id=request.batch_id, distances=distances)
        self._results[request.batch_id] = request, result
        while len(self._results) > MAX_RESULTS:
            self._results.popitem(last=False)
        await self._post(result)

    async def _post(self, result: ValidatedBatch) -> None:
        """Have a result taken, unless the API node says that it never will."""
        async with self._slots:
            try:
                await self._callbacks.post("/validated", result, failed=self._note)
            except NotTaken as error:
                self._note(str(error))
            else:
                self.error = None

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, reason: str) -> None:
        self.error = reason
