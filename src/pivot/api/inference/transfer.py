"""The transfer agent's side: draw the executors, ask them one after the other, pass the first answer on (weakness A-17)."""

import asyncio
import base64
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from http import HTTPStatus

import structlog

from pivot.api.http.errors import ApiError, Unavailable
from pivot.api.identity import Identity
from pivot.api.inference import hop, sse
from pivot.api.inference.access import Order
from pivot.api.inference.engine import CLIENT_ERRORS
from pivot.api.inference.execution import Execution
from pivot.api.inference.funds import Funds
from pivot.api.inference.market import Market, Terms
from pivot.api.inference.parts import EVENT_STREAM, Accepted, CandidateFailed, Chosen, Head, Parts
from pivot.api.inference.peers import BUSY, Peers
from pivot.api.inference.request import Request, max_tokens, prompt_bound
from pivot.api.inference.settlements import Settlements
from pivot.api.inference.standing import Standings
from pivot.api.inference.used_signatures import Role, UsedSignatures
from pivot.api.keys.charges import Charges
from pivot.api.ledger.interface import LedgerError, Outbox
from pivot.primitives.keys import InvalidSignature, decode_signature, verify
from pivot.protocol import pricing, signing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus

SHORT_PATIENCE_SECONDS = 2.0
"""First every drawn host is given this long to find a free node; then those that were only busy are asked once more."""
SHOWN_REFUSAL_BYTES = 300
LAST_EVENT = sse.event(sse.DONE)
"""How a stream ends that is whole."""

log = structlog.get_logger(__name__)


class Transfer:
    """Passes developers' requests to the hosts that the network draws for them."""

    def __init__(
        self,
        *,
        identity: Identity,
        market: Market,
        funds: Funds,
        charges: Charges,
        used: UsedSignatures,
        outbox: Outbox,
        execution: Execution,
        peers: Peers,
    ) -> None:
        self._identity = identity
        self._market = market
        self._funds = funds
        self._charges = charges
        self._used = used
        self._outbox = outbox
        self._execution = execution
        self._peers = peers
        self._settlements = Settlements()
        self._standings = Standings()

    async def answer(self, request: Request, order: Order) -> Parts:
        """Head and bytes of the answer.

        Raises UnknownModel, WrongEndpoint, InsufficientBalance, BudgetSpent, SignatureReused, Unavailable; after the head ConnectionError.
        Whoever leaves once an executor has accepted may have to pay: what it had answered by then it settles by itself.
        """
        terms = await self._market.terms(request.model)
        terms.require_offered(request)
        start = self._start(request, order, terms)
        escrow = pricing.escrow(start.prompt_token_count, start.max_tokens, terms.price)
        payer = order.requested_by
        named = f"this node's gateway account {payer}" if payer == self._identity.gateway.address else payer
        with (
            self._charges.held(order.api_key, start.inference_id, escrow, self._market.height) as begin_charge,
            await self._funds.hold([payer], escrow, named=named) as hold,
        ):
            marked = self._used.use(order.signature, Role.TRANSFER, order.timestamp_ns)

            def spend() -> None:
                hold.spent = True
                begin_charge()

            async with aclosing(self._first_answer(request, start, terms, spend)) as parts:
                async for part in parts:
                    if isinstance(part, Head):
                        await marked
                    yield part

    async def close(self) -> None:
        """Wait until every start is in the outbox."""
        await self._settlements.close()

    async def _first_answer(
        self, request: Request, start: MsgStartInference, terms: Terms, spend: Callable[[], None]
    ) -> Parts:
        """Head and bytes of the first candidate that answers. Raises Unavailable."""
        candidates = self._standings.in_order(terms.candidates(start.inference_id))
        failures: dict[str, str] = {}
        for patience_s in (SHORT_PATIENCE_SECONDS, hop.LONGEST_PATIENCE_SECONDS):
            busy = []
            for attempt, address in candidates:
                try:
                    with self._standings.asked(address):
                        is_stream, last = False, b""
                        async with aclosing(self._asked(request, start, attempt, address, patience_s, spend)) as parts:
                            async for part in parts:
                                if isinstance(part, bytes):
                                    last = (last + part[-len(LAST_EVENT) :])[-len(LAST_EVENT) :]
                                elif isinstance(part, Chosen):
                                    self._standings.begun(address, part.waited_s if request.stream else None)
                                elif isinstance(part, Head):
                                    is_stream = part.content_type == EVENT_STREAM
                                yield part
                        if is_stream and last != LAST_EVENT:  # its ML node has failed
                            self._standings.failed(address)
                        else:
                            self._standings.answered(address)
                        return
                except CandidateFailed as failure:
                    log.info("candidate_failed", host=address, attempt=attempt, reason=str(failure))
                    failures[address] = str(failure)
                    if failure.busy:
                        self._standings.was_busy(address)
                        busy.append((attempt, address))
                    else:
                        self._standings.failed(address, refused=failure.refused)
                except ConnectionError:
                    self._standings.failed(address)
                    raise
            candidates = busy
        tried = "; ".join(f"{address}: {reason}" for address, reason in failures.items())
        raise Unavailable(f"none of the hosts drawn for {request.model!r} could answer ({tried})")

    def _start(self, request: Request, order: Order, terms: Terms) -> MsgStartInference:
        return MsgStartInference(
            creator=self._identity.address,
            inference_id=order.inference_id,
            prompt_hash=request.body_hash,
            model=request.model,
            requested_by=order.requested_by,
            max_tokens=max_tokens(request, terms.context_window),
            prompt_token_count=prompt_bound(request, terms.context_window),
            request_timestamp=order.timestamp_ns,
            epoch_id=terms.epoch,
            transferred_by=self._identity.address,
            developer_public_key=order.public_key,
        )

    async def _asked(
        self,
        request: Request,
        start: MsgStartInference,
        attempt: int,
        address: str,
        patience_s: float,
        spend: Callable[[], None],
    ) -> Parts:
        """Head and bytes of one candidate. Raises CandidateFailed before the head.

        spend: called when the answer will be paid for. If the developer leaves before the head, no start is put: it would
        blame an executor that has nothing to settle yet, and the finish of one that has embeds it. Nor is one put for an answer
        that this host itself gives in one piece: the finish that embeds it goes to the chain with it.
        """
        start.assigned_to, start.attempt = address, attempt
        signed = signing.start_sign_bytes(start)
        start.transfer_signature = base64.b64encode(self._identity.account.sign(signed)).decode()
        acceptance, begun = "", False
        asked_s = time.perf_counter()
        try:
            async with aclosing(await self._parts_of(request, start, patience_s)) as parts:
                async for part in parts:
                    if isinstance(part, Accepted):
                        acceptance = part.signature
                        await self._require_acceptance(start, acceptance)
                        continue
                    if isinstance(part, Head):
                        begun = True
                        if part.status == HTTPStatus.OK:
                            spend()
                            if request.stream or address != self._identity.address:
                                self._put_later(start, acceptance)
                        elif part.status not in CLIENT_ERRORS:
                            raise CandidateFailed(f"{part.status}: {await _beginning(parts)}", refused=True)
                        yield Chosen(address, start.inference_id, time.perf_counter() - asked_s)
                    yield part
        except asyncio.CancelledError:
            if acceptance and not begun:
                spend()
            raise
        except ApiError as refusal:
            busy = not acceptance and refusal.status in BUSY
            raise CandidateFailed(refusal.message, busy=busy, refused=True) from None

    async def _parts_of(self, request: Request, start: MsgStartInference, patience_s: float) -> Parts:
        if start.assigned_to == self._identity.address:
            return self._execution.answer(request, start, patience_s)
        try:
            host = await self._market.host(start.assigned_to)
        except LedgerError as error:
            raise CandidateFailed(f"its URL is not known: {error}") from error
        if host is None or host.status == ParticipantStatus.INVALID:
            raise CandidateFailed("it has become invalid")
        return self._peers.answer(host.inference_url, request, start, patience_s)

    async def _require_acceptance(self, start: MsgStartInference, acceptance: str) -> None:
        """Without a good one the chain refuses the start, and cannot blame the executor for a missing answer."""
        if start.assigned_to == self._identity.address:
            return
        try:
            host_keys = await self._market.signing_keys(start.assigned_to)
            signature = decode_signature(acceptance)
        except (LedgerError, InvalidSignature) as error:
            raise CandidateFailed(f"its acceptance cannot be checked: {error}") from error
        signed = signing.acceptance_sign_bytes(start)
        is_canonical = base64.b64encode(signature).decode() == acceptance
        if not is_canonical or not any(verify(key, signed, signature) for key in host_keys):
            raise CandidateFailed("its acceptance does not cover the start")

    def _put_later(self, start: MsgStartInference, acceptance: str) -> None:
        """The start goes to the chain while the answer goes to the developer."""
        accepted = MsgStartInference()
        accepted.CopyFrom(start)
        accepted.acceptance_signature = acceptance
        key = f"start:{start.inference_id}"
        self._settlements.later(start.inference_id, partial(self._outbox.put, key, accepted))


async def _beginning(parts: Parts) -> str:
    """The first bytes of what a host says against a request."""
    said = b""
    async for part in parts:
        if isinstance(part, bytes):
            said += part
        if len(said) >= SHOWN_REFUSAL_BYTES:
            break
    return said[:SHOWN_REFUSAL_BYTES].decode(errors="replace")
