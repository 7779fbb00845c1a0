"""The executor's side: check what a transfer agent sent, lend a node, answer, and settle what was answered.

What the chain would refuse whatever its state is must be refused here too, before any work: it would never be paid.
"""

import asyncio
import base64
from contextlib import aclosing, suppress
from functools import partial
from http import HTTPStatus

import aiohttp
import orjson
import structlog

from pivot.api.fleet.interface import Fleet, NoNodeAvailable
from pivot.api.group_writer import GroupWriter
from pivot.api.http.errors import BadRequest, Forbidden, Unauthorized, Unavailable, error_object
from pivot.api.identity import Identity
from pivot.api.inference import artifacts, assembly, embedding_input, embeddings, engine, relaying, sse
from pivot.api.inference.access import require_in_window
from pivot.api.inference.embeddings import Vectors
from pivot.api.inference.funds import Funds
from pivot.api.inference.market import Market
from pivot.api.inference.parts import Accepted, Bound, Head, Parts
from pivot.api.inference.request import Request, max_tokens, prompt_bound
from pivot.api.inference.settlements import Settlements
from pivot.api.inference.transcript import Transcript
from pivot.api.inference.used_signatures import Role, UsedSignatures
from pivot.api.ledger.interface import Outbox
from pivot.primitives import addresses, keys
from pivot.primitives.keys import InvalidSignature
from pivot.protocol import pricing, signing
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishInference, MsgStartInference
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus

NODES_TO_TRY = 2
"""Nodes that are asked before the transfer agent is sent to the next host."""
MAX_NODE_VERSION_LENGTH = 64
"""As on the chain. Nobody signs this field of a start."""
LONG_ANSWER_TOKENS = 512
"""Above this many tokens an artifact is made in a thread, so that other requests do not wait for it."""

log = structlog.get_logger(__name__)


class Execution:
    """Answers requests for which this host was drawn."""

    def __init__(
        self,
        *,
        identity: Identity,
        market: Market,
        funds: Funds,
        used: UsedSignatures,
        writer: GroupWriter,
        outbox: Outbox,
        fleet: Fleet,
        http: aiohttp.ClientSession,
    ) -> None:
        self._identity = identity
        self._market = market
        self._funds = funds
        self._used = used
        self._writer = writer
        self._outbox = outbox
        self._fleet = fleet
        self._http = http
        self._settlements = Settlements()

    async def admit(self, start: MsgStartInference) -> None:
        """Refuse a start that the chain would refuse, or that is not for this host, before its body is read (A-18).

        Raises BadRequest, Unauthorized, Forbidden, OutsideTimeWindow, SignatureReused, UnknownModel, Unavailable.
        """
        if start.assigned_to != self._identity.address:
            raise Forbidden(f"this start is for {start.assigned_to}, this host is {self._identity.address}")
        _require_recordable(start)
        signature = _require_developer(start)
        await self._require_transfer_signature(start)
        self._used.require_unused(signature, Role.EXECUTOR)
        moment = await self._market.reach(start.epoch_id)
        require_in_window(start.request_timestamp, moment)
        current, grace = moment.effective.index, moment.effective.params.epoch_params.previous_epoch_grace
        in_grace = (
            start.epoch_id == current - 1
            and moment.head.height <= moment.effective.boundaries.set_new_validators + grace
        )
        if start.epoch_id != current and not in_grace:
            raise Forbidden(f"epoch {start.epoch_id} is over or has not begun; the current one is {current}")
        agent = await self._market.host(start.transferred_by)
        if agent is None or not agent.inference_url or agent.status == ParticipantStatus.INVALID:
            raise Forbidden(f"the transfer agent {start.transferred_by} is no registered host")
        drawn = (await self._market.terms(start.model, start.epoch_id)).candidates(start.inference_id)
        if start.attempt >= len(drawn) or drawn[start.attempt] != self._identity.address:
            raise Forbidden(f"this host is not drawn as executor {start.attempt} of {start.inference_id}")

    async def serve(self, request: Request, start: MsgStartInference, patience_s: float) -> Parts:
        """As `answer`, for another host that has sent a start; it was admitted, and speaks of this body, and somebody can pay.

        Raises BadRequest, WrongEndpoint, InsufficientBalance, and what `answer` raises.
        """
        _require_same(request, start)
        terms = await self._market.terms(request.model, start.epoch_id)
        terms.require_offered(request)
        if start.prompt_token_count < prompt_bound(request, terms.context_window):
            raise BadRequest(
                "the start's prompt_token_count is below the bound of the body", param="prompt_token_count"
            )
        if start.max_tokens != max_tokens(request, terms.context_window):
            raise BadRequest("the start's max_tokens is not that of the body", param="max_tokens")
        escrow = pricing.escrow(start.prompt_token_count, start.max_tokens, terms.price)
        payers, named = [start.requested_by], start.requested_by
        host = await self._market.host(start.transferred_by)
        if host is not None and host.gateway_address and host.gateway_address != start.requested_by:
            payers.append(host.gateway_address)
            named = f"{start.requested_by}, together with the transfer agent's {host.gateway_address},"
        with await self._funds.hold(payers, escrow, named=named) as hold:
            accepted = False
            try:
                async with aclosing(self.answer(request, start, patience_s)) as parts:
                    async for part in parts:
                        if isinstance(part, Accepted):
                            accepted = True
                        elif isinstance(part, Head):
                            hold.spent = part.status == HTTPStatus.OK
                        yield part
            except asyncio.CancelledError:
                hold.spent = accepted  # what was answered by now will be settled
                raise

    async def answer(self, request: Request, start: MsgStartInference, patience_s: float) -> Parts:
        """The answer's parts. Waits up to `patience_s` seconds for a node.

        Raises SignatureReused and Unavailable before the acceptance, Unavailable also between it and the head. After the
        head, a node that breaks off ends a stream with an error event, and any other answer with a ConnectionError.
        Whoever leaves before the end pays for what was answered by then, or, if the engine was asked for a whole answer,
        for all of it.
        """
        asked_seed = request.document.get("seed")
        seed = engine.seed_of(start.inference_id) if asked_seed is None else asked_seed
        streams = request.stream or assembly.is_possible(request, start.max_tokens)
        body, most_bytes = _for_engine(request, start, seed, streams=streams)
        acceptance = ""
        begun = left = False
        try:
            for _ in range(NODES_TO_TRY):
                transcript = _transcript(request, start)
                try:
                    async with self._fleet.lend(request.model, wait_s=patience_s) as lease:
                        if not acceptance:
                            marked = self._use_signature(start)
                            acceptance = self._acceptance(start)
                            yield Accepted(acceptance)
                            if not streams:
                                yield Bound()
                        async with (
                            engine.ask(
                                self._http,
                                lease.inference_url,
                                request.path,
                                body,
                                most_bytes=most_bytes,
                                stream=streams,
                            ) as reply,
                            aclosing(relaying.relayed(reply, transcript)) as relayed,
                        ):
                            async for part in relayed:
                                if not begun:
                                    await marked  # the mark goes to disk while the engine works
                                    begun = True
                                yield part
                            return
                except NoNodeAvailable as error:
                    raise Unavailable(f"no node of this host is free for {request.model!r}: {error}") from None
                except (ConnectionError, engine.EngineFailed) as error:
                    log.warning("node_failed", node=lease.node_id, reason=str(error), begun=begun)
                    if begun:  # only a stream can break after its head: any other answer is sent when it is whole
                        sentence = "the ML node that answered has failed"
                        yield sse.event(orjson.dumps(error_object(sentence, "server_error", None, "node_failed")))
                        return
            raise Unavailable(f"no node of this host could answer for {request.model!r}")
        except asyncio.CancelledError:
            left = bool(acceptance)
            raise
        finally:
            if begun or left:
                self._settle_later(transcript, start, acceptance, seed)

    async def close(self) -> None:
        """Wait until everything that was answered is recorded."""
        await self._settlements.close()

    async def _require_transfer_signature(self, start: MsgStartInference) -> None:
        if start.transferred_by == self._identity.address:
            transfer_keys = [self._identity.account.public_key]
        else:
            transfer_keys = await self._market.signing_keys(start.transferred_by)
        signature, signed = _signature(start.transfer_signature), signing.start_sign_bytes(start)
        if not any(keys.verify(key, signed, signature) for key in transfer_keys):
            raise Unauthorized("Unable to validate request against TransferSignature")

    def _use_signature(self, start: MsgStartInference) -> asyncio.Future[None]:
        return self._used.use(_signature(start.inference_id), Role.EXECUTOR, start.request_timestamp)

    def _acceptance(self, start: MsgStartInference) -> str:
        return self._identity.account.sign_base64(signing.acceptance_sign_bytes(start))

    def _settle_later(
        self, transcript: Transcript | Vectors, start: MsgStartInference, acceptance: str, seed: int
    ) -> None:
        if isinstance(transcript, Transcript):
            with suppress(ValueError):  # what cannot be read does not count
                transcript.finish()
        if transcript.answered:
            self._settlements.later(start.inference_id, partial(self._settle, transcript, start, acceptance, seed))

    async def _settle(
        self, transcript: Transcript | Vectors, start: MsgStartInference, acceptance: str, seed: int
    ) -> None:
        """Keep the artifact, and put the finish into the outbox, which takes it to the chain.

        Rows get to disk in their order, these two as a rule in one transaction: there is no finish without its artifact.
        """

        def packed() -> artifacts.Packed:
            if isinstance(transcript, Vectors):
                return artifacts.packed(transcript.document())
            return artifacts.packed(artifacts.document(transcript, start.max_tokens, seed))

        is_short = isinstance(transcript, Transcript) and transcript.completion_token_count <= LONG_ANSWER_TOKENS
        artifact = packed() if is_short else await asyncio.to_thread(packed)
        kept = artifacts.keep(self._writer, start.inference_id, start.epoch_id, artifact)
        finish = MsgFinishInference(
            creator=self._identity.address,
            inference_id=start.inference_id,
            response_hash=transcript.response_hash,
            prompt_token_count=transcript.prompt_token_count,
            completion_token_count=transcript.completion_token_count,
            executed_by=self._identity.address,
            start=start,
            artifact_hash=artifact.hash,
        )
        finish.start.acceptance_signature = acceptance
        finish.executor_signature = self._identity.account.sign_base64(signing.finish_sign_bytes(finish))
        await self._outbox.put(f"finish:{start.inference_id}", finish)
        await kept


def _transcript(request: Request, start: MsgStartInference) -> Transcript | Vectors:
    if request.wants_vectors:
        return Vectors(request, start.inference_id)
    return Transcript(request, start.inference_id, start.max_tokens)


def _for_engine(request: Request, start: MsgStartInference, seed: int, *, streams: bool) -> tuple[bytes, int]:
    """The engine's request, and the most bytes of its answer."""
    if request.wants_vectors:
        return embeddings.engine_body(request), embeddings.longest_answer(embedding_input.count(request.document))
    body = engine.engine_body(request, start.max_tokens, seed, stream=streams)
    return body, engine.longest_answer(start.prompt_token_count, start.max_tokens)


def _require_same(request: Request, start: MsgStartInference) -> None:
    """The start speaks of this body."""
    if start.prompt_hash != request.body_hash:
        raise BadRequest("the start's prompt_hash is not that of the body", param="prompt_hash")
    if request.choices != 1:
        raise BadRequest("n must be 1: a start is for one answer", param="n")
    if start.model != request.model:
        raise BadRequest("the start's model is not that of the body", param="model")


def _require_recordable(start: MsgStartInference) -> None:
    """Nothing but the chain's state can speak against this start."""
    try:
        addresses.require(start.transferred_by)
    except addresses.InvalidAddress as error:
        raise BadRequest(f"transferred_by: {error}", param="transferred_by") from None
    if not keys.is_public_key(start.developer_public_key):
        raise Unauthorized("developer_public_key is not a compressed secp256k1 key")
    if len(start.node_version) > MAX_NODE_VERSION_LENGTH:
        raise BadRequest(f"node_version has more than {MAX_NODE_VERSION_LENGTH} characters", param="node_version")
    if start.prompt_token_count > pricing.MAX_TOKENS_PER_REQUEST:
        raise BadRequest(f"prompt_token_count is above {pricing.MAX_TOKENS_PER_REQUEST}", param="prompt_token_count")


def _require_developer(start: MsgStartInference) -> bytes:
    """The developer's signature, which is the inference's id, covers the body and this transfer agent."""
    signature = _signature(start.inference_id)
    if addresses.from_public_key(start.developer_public_key) != start.requested_by:
        raise Unauthorized("developer_public_key does not hash to requested_by")
    signed = signing.developer_sign_bytes(start.prompt_hash, start.request_timestamp, start.transferred_by)
    if not keys.verify(start.developer_public_key, signed, signature):
        raise Unauthorized(
            "Unable to validate request against PubKey: the inference's id is not the developer's signature"
        )
    return signature


def _signature(text: str) -> bytes:
    """The bytes of a signature in the one spelling that the chain takes."""
    try:
        signature = keys.decode_signature(text)
    except InvalidSignature as error:
        raise Unauthorized(str(error)) from None
    if base64.b64encode(signature).decode() != text:
        raise Unauthorized("the signature is not in the base64 that encoders write")
    return signature
