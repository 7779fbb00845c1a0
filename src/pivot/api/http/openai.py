"""`POST /v1/chat/completions` and `/v1/completions`: the hot path, on the raw request.

A request with a transfer agent's start in its headers is one for this host as executor; any other comes from a developer,
for whom this host is the transfer agent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, nullcontext
from functools import partial

import structlog

from pivot.api.http import request_ids
from pivot.api.http.answer import Answer
from pivot.api.http.body import Receive, Scope, Send, Shelf, read_body
from pivot.api.http.errors import ApiError, Unavailable
from pivot.api.http.presence import Presence
from pivot.api.http.turns import Turns
from pivot.api.inference import choices, hop
from pivot.api.inference.access import Headers
from pivot.api.inference.parts import JSON, Accepted, Head, Part, Parts
from pivot.api.inference.request import Request, parse
from pivot.api.inference.service import InferenceService
from pivot.api.keys.issued import IssuedKey
from pivot.api.ledger.interface import LedgerError

MAX_TRANSFERS = 512
MAX_EXECUTIONS = 512
"""Requests under way in each role. Two limits, because hosts that wait for each other must not share one."""
MAX_WAITING = 1_024
"""Developers' requests that wait for their turn. Nobody waits as an executor: the transfer agent asks another host at once."""
LONGEST_WAIT_SECONDS = 10.0
MAX_BODY_BYTES_UNDER_WAY = 256 * 2**20
"""Of all requests' bodies together, also while they are being read: anybody can claim a signature until then."""
CHAIN_AWAY = "this node's chain does not answer"

log = structlog.get_logger(__name__)


class QuestionEndpoint:
    """ASGI application of the routes in `request.PATHS`."""

    def __init__(
        self,
        service: InferenceService,
        *,
        max_transfers: int = MAX_TRANSFERS,
        max_executions: int = MAX_EXECUTIONS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._service = service
        self._transfers = Turns(max_transfers, waiting=max_waiting, patience_s=LONGEST_WAIT_SECONDS)
        self._executions = Turns(max_executions, waiting=0, patience_s=0)
        self._shelf = Shelf(MAX_BODY_BYTES_UNDER_WAY)

    @property
    def waiting(self) -> int:
        """Developers' requests that wait for their turn."""
        return self._transfers.waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        request_id = request_ids.of(headers)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = Answer(send, request_id)
        try:
            if hop.is_executor_request(headers):
                await self._execute(scope["path"], headers, receive, answer)
            else:
                await self._transfer(scope["path"], headers, receive, answer)
        except ApiError as refusal:
            await answer.refuse(refusal)
        except LedgerError as error:
            log.warning("chain_away", reason=str(error))
            await answer.refuse(Unavailable(CHAIN_AWAY))
        except ConnectionError as error:
            log.info("answer_broke_off", reason=str(error))
            await answer.break_off("the host that answered has broken off")
        except Exception:
            log.exception("request_failed")
            await answer.refuse(ApiError("this node failed; its log says why"))

    async def _transfer(self, path: str, headers: Headers, receive: Receive, answer: Answer) -> None:
        service = self._service
        admitted = service.access.admit(headers, service.market.moment)  # nobody gets a body read without credentials
        limits = admitted.place() if isinstance(admitted, IssuedKey) else nullcontext()
        with limits, self._shelf.place() as take:
            request = parse(await read_body(headers, receive, service.max_request_bytes, take), path)
            if isinstance(admitted, IssuedKey):
                await self._answer(partial(self._for_key, admitted, request), receive, answer)
                return
            order = service.access.identify(admitted, request, service.market.moment)
            with service.place(order):
                await self._answer(partial(service.transfer.answer, request, order), receive, answer)

    async def _answer(self, begin: Callable[[], Parts], receive: Receive, answer: Answer) -> None:
        """Give an answer that is begun when it is the request's turn."""
        async with Presence(receive) as presence, self._transfers:
            async with aclosing(presence.attended(begin())) as parts:
                async for part in parts:
                    await answer.give(part)
            await answer.end()

    def _for_key(self, key: IssuedKey, request: Request) -> Parts:
        """The answer to a request with an API key, of as many choices as it asks for."""
        service = self._service
        moment = service.market.moment
        if request.choices == 1:
            return service.transfer.answer(request, service.access.identify(key, request, moment))
        each = [
            service.transfer.answer(one, service.access.identify(key, one, moment)) for one in choices.split(request)
        ]
        return choices.merged(each, request)

    async def _execute(self, path: str, headers: Headers, receive: Receive, answer: Answer) -> None:
        service = self._service
        start = hop.read_start(headers)
        await service.execution.admit(start)
        with self._shelf.place() as take:
            request = parse(await read_body(headers, receive, service.max_request_bytes, take), path)
            async with Presence(receive) as presence, self._executions:
                patience_s = hop.read_patience(headers)
                async with aclosing(presence.attended(service.execution.serve(request, start, patience_s))) as parts:
                    await _give_to_transfer_agent(parts, answer)
                await answer.end()


async def _give_to_transfer_agent(parts: Parts, answer: Answer) -> None:
    """The parts as the hop carries them: acceptance, heartbeats, head, bytes."""
    accepted = await anext(parts)
    if not isinstance(accepted, Accepted):
        raise TypeError(f"an execution began with {accepted!r}")
    await answer.accept(accepted)
    try:
        head = await _with_heartbeats(anext(parts), answer)
    except ApiError as lost:
        body = lost.body()
        await answer.write(hop.head_line(Head(lost.status, JSON, len(body))) + body)
        return
    if not isinstance(head, Head):
        raise TypeError(f"an execution went on with {head!r}")
    await answer.write(hop.head_line(head))
    async for piece in parts:
        await answer.give(piece)


async def _with_heartbeats(part: Awaitable[Part], answer: Answer) -> Part:
    awaited = asyncio.ensure_future(part)
    try:
        while not (await asyncio.wait({awaited}, timeout=hop.HEARTBEAT_SECONDS))[0]:
            await answer.write(hop.HEARTBEAT)
        return awaited.result()
    finally:
        if not awaited.done():
            awaited.cancel()
            await asyncio.gather(awaited, return_exceptions=True)
