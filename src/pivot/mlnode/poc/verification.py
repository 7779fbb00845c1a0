"""Checking other hosts' leaves: compute them again and tell how far the claims are off."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.callback import Callbacks, SprintOver
from pivot.mlnode.poc.worker import Worker
from pivot.protocol.mlnode_api import ValidatedBatch, ValidateRequest
from pivot.protocol.sprint import FINGERPRINT_BYTES, distance

MAX_WAITING_LEAVES = 200_000
MAX_RESULTS = 2_048
"""Results kept for who asks again; the oldest go first."""
CALLBACKS_AT_ONCE = 8


class TooMuchWaiting(Exception):
    """More leaves wait to be checked than this node takes on."""


class Verification:
    """One stay in the state VALIDATING. Requests are done in the order in which they came."""

    def __init__(self, worker: Worker, callbacks: Callbacks) -> None:
        self._worker = worker
        self._callbacks = callbacks
        self._waiting: deque[ValidateRequest] = deque()
        self._grown = asyncio.Event()
        self._requests: OrderedDict[str, ValidateRequest] = OrderedDict()
        self._results: OrderedDict[str, ValidatedBatch] = OrderedDict()
        self._slots = asyncio.Semaphore(CALLBACKS_AT_ONCE)
        self._posting: set[asyncio.Task[None]] = set()
        self._working = asyncio.create_task(self._work())
        self.error: str | None = None
        """Why the last call-back failed."""

    def submit(self, request: ValidateRequest) -> None:
        """Take a request on. One that is known already is only answered again. Raises TooMuchWaiting."""
        result = self._results.get(request.batch_id)
        if result and self._requests.get(request.batch_id) == request:
            self._post(result)
            return
        if request in self._waiting:
            return
        if sum(len(r.nonces) for r in self._waiting) + len(request.nonces) > MAX_WAITING_LEAVES:
            raise TooMuchWaiting(f"more than {MAX_WAITING_LEAVES} leaves wait to be checked")
        self._waiting.append(request)
        self._grown.set()

    async def stop(self) -> None:
        """Drop what is not done."""
        tasks = {self._working, *self._posting}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._grown.clear()
                await self._grown.wait()
            request = self._waiting[0]
            result = ValidatedBatch(batch_id=request.batch_id, distances=await self._distances(request))
            self._waiting.popleft()
            self._keep(request, result)
            self._post(result)

    async def _distances(self, request: ValidateRequest) -> list[int]:
        """How far each claimed fingerprint is from the recomputed one. The worker keeps jobs in order."""
        size = batch_size(self._worker.preset)
        parts = [request.nonces[i : i + size] for i in range(0, len(request.nonces), size)]
        answers = await asyncio.gather(*(self._worker.compute(request.host_address, part) for part in parts))
        computed = b"".join(answers)
        own = (computed[i : i + FINGERPRINT_BYTES] for i in range(0, len(computed), FINGERPRINT_BYTES))
        return [distance(a, b) for a, b in zip(request.leaves(), own, strict=True)]

    def _keep(self, request: ValidateRequest, result: ValidatedBatch) -> None:
        self._requests[request.batch_id] = request
        self._results[request.batch_id] = result
        while len(self._results) > MAX_RESULTS:
            self._results.popitem(last=False)
            self._requests.popitem(last=False)

    def _post(self, result: ValidatedBatch) -> None:
        task = asyncio.create_task(self._post_until_taken(result))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post_until_taken(self, result: ValidatedBatch) -> None:
        async with self._slots:
            try:
                await self._callbacks.post("/validated", result, failed=self._note)
            except SprintOver:
                self._note("the API node takes nothing more for this sprint")
            else:
                self.error = None

    def _note(self, reason: str) -> None:
        self.error = reason
