"""Hosts and developers: who they are, what they hold, and how a new one makes itself known."""

import base64
import binascii
import math
import time
from collections.abc import Callable
from typing import Annotated, Any

from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from pivot.api.http.body import read_body
from pivot.api.http.errors import BadRequest, MalformedBody, NotFound, NotPermitted, TooManyRequests, Unauthorized
from pivot.api.keys.shares import Share
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.ledger.interface import Chain, ChainRefused, Outbox
from pivot.api.phases import Phases
from pivot.api.settings import HttpSettings
from pivot.primitives import keys
from pivot.primitives.addresses import from_public_key
from pivot.primitives.hashes import tagged_hash
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitNewUnfundedParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus, ValidationWeight
from pivot.protocol.signing import registration_sign_bytes

QUERY = "/inference.inference.Query"
PAGE_LENGTH = 1_000
MAX_PAGES = 100
REGISTRATION_SECONDS = 20.0
"""How long a registration is awaited before the answer says that it is still under way."""
RETRY_BLOCKS = 20
"""A registration that was refused may be sent again after so many blocks."""
CONSENSUS_KEY_LENGTH = 32
MAX_REGISTRATION_BYTES = 16_384


class Registration(BaseModel):
    """Body of `POST /v1/participants`. A consumer gives address and key; a host all fields, and its signature."""

    address: Annotated[str, Field(max_length=100)] = ""
    pub_key: Annotated[str, Field(max_length=100)] = ""
    """base64 of the account's secp256k1 key, 33 bytes."""
    url: Annotated[str, Field(max_length=1_000)] = ""
    validator_key: Annotated[str, Field(max_length=100)] = ""
    """base64 of the ed25519 consensus key, 32 bytes."""
    registration_signature: Annotated[str, Field(max_length=200)] = ""
    """base64, by the account's key over `protocol/signing.py: registration_sign_bytes`."""


class Participants:
    """The routes under `/v1/participants`."""

    def __init__(
        self,
        own_address: str,
        chain: Chain,
        outbox: Outbox,
        phases: Phases,
        answers: BriefAnswers,
        limits: HttpSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own_address = own_address
        self._chain = chain
        self._outbox = outbox
        self._phases = phases
        self._clock = clock
        self._limits = limits
        self._registrations = Share()
        self._answers = answers
        self.router = APIRouter()
        self.router.add_api_route("/v1/participants", self.everyone)
        self.router.add_api_route(
            "/v1/participants",
            self.register,
            methods=["POST"],
            openapi_extra={
                "requestBody": {"content": {"application/json": {"schema": Registration.model_json_schema()}}}
            },
        )
        self.router.add_api_route("/v1/participants/{address}", self.one)

    async def everyone(self) -> dict[str, Any]:
        """All participants, with what the current epoch says of them."""
        moment = self._phases.moment
        epoch = moment.effective.index if moment else 0
        return await self._answers.get(("participants", epoch), lambda: self._load_everyone(epoch))

    async def one(self, address: str) -> dict[str, Any]:
        """An account's public key and what it holds, in ngonka."""

        async def ask() -> dict[str, Any]:
            request = queries.QueryInferenceParticipantRequest(address=address)
            kind = queries.QueryInferenceParticipantResponse
            answer = await self._chain.query(f"{QUERY}/InferenceParticipant", request, kind)
            return {"pubkey": answer.pubkey, "balance": answer.balance}

        try:
            return await self._answers.get(("participant", address), ask)
        except ChainRefused as refusal:
            raise NotFound("Inference participant not found") from refusal

    async def register(self, request: Request, response: Response) -> dict[str, Any]:
        """Forward a registration to the chain. Answers when a block holds it, or with 202 if that takes long."""
        body = await read_body(dict(request.scope["headers"]), request.receive, MAX_REGISTRATION_BYTES)
        try:
            registration = Registration.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise MalformedBody(f"{field or 'body'}: {first['msg']}", param=field or None) from None
        self._check(registration)
        self._take_allowance()
        message = MsgSubmitNewUnfundedParticipant(
            creator=self._own_address,
            address=registration.address,
            url=registration.url,
            pub_key=registration.pub_key,
            validator_key=registration.validator_key,
            registration_signature=registration.registration_signature,
        )
        moment = self._phases.moment
        height = moment.head.height if moment else 0
        contents = tagged_hash("pivot/forwarded-registration/1", message.SerializeToString(deterministic=True))
        key = f"register:{registration.address}:{contents.hex()[:16]}:{height // RETRY_BLOCKS}"
        await self._outbox.put(key, message)
        outcome = await self._outbox.wait(key, REGISTRATION_SECONDS)
        if outcome is None or not outcome.done:
            response.status_code = 202
            return {"address": registration.address, "status": "pending"}
        if outcome.code:
            raise BadRequest(f"the chain refused the registration: {outcome.log}")
        return {"address": registration.address, "status": "registered"}

    def _check(self, registration: Registration) -> None:
        """Nobody registers in another's name, and never this host itself, which does so by its own message (A-21)."""
        public_key = _decode("pub_key", registration.pub_key, keys.PUBLIC_KEY_LENGTH)
        if not keys.is_public_key(public_key) or from_public_key(public_key) != registration.address:
            raise BadRequest("address must be the address of pub_key", param="address")
        if registration.address == self._own_address:
            raise BadRequest("this host registers itself", param="address")
        if not registration.url and not registration.validator_key:
            return
        if not registration.url:
            raise BadRequest("a host needs a url", param="url")
        _decode("validator_key", registration.validator_key, CONSENSUS_KEY_LENGTH)
        signature = _decode("registration_signature", registration.registration_signature, keys.SIGNATURE_LENGTH)
        signed = registration_sign_bytes(
            self._chain.chain_id, registration.address, registration.url, registration.validator_key
        )
        if not keys.verify(public_key, signed, signature):
            raise Unauthorized("registration_signature does not cover address, url and validator_key on this chain")

    def _take_allowance(self) -> None:
        """Raises TooManyRequests, NotPermitted. The setting may change while the node runs."""
        per_minute = self._limits.registrations_per_minute
        if not per_minute:
            raise NotPermitted("this host forwards no registrations; ask another")
        wait_s = self._registrations.take(per_minute, self._clock())
        if wait_s > 0:
            sentence = f"this host forwards {per_minute} registrations a minute; wait, or ask another"
            raise TooManyRequests(sentence, retry_after_s=math.ceil(wait_s))

    async def _load_everyone(self, epoch: int) -> dict[str, Any]:
        group = await self._chain.epoch_group(epoch) if epoch else None
        weights = {each.member_address: each for each in group.validation_weights} if group else {}
        members = await self._chain.active_participants(epoch) if epoch else None
        models = {each.index: list(each.models) for each in members.participants} if members else {}
        listed: list[dict[str, Any]] = []
        height, page = 0, PageRequest(limit=PAGE_LENGTH)
        for _ in range(MAX_PAGES):
            request = queries.QueryAllParticipantRequest(pagination=page)
            answer = await self._chain.query(f"{QUERY}/ParticipantAll", request, queries.QueryAllParticipantResponse)
            height = answer.block_height
            for each in answer.participant:
                weight = weights.get(each.index, ValidationWeight())
                listed.append(
                    {
                        "id": each.index,
                        "url": each.inference_url,
                        "status": ParticipantStatus.Name(each.status),
                        "models": models.get(each.index, []),
                        "coins_owed": each.coin_balance,
                        "refunds_owed": 0,  # what was not used goes back with the answer's record, never later
                        "balance": each.balance,
                        "voting_power": weight.weight,
                        "reputation": weight.reputation,
                    }
                )
            if not answer.pagination.next_key:
                break
            page = PageRequest(limit=PAGE_LENGTH, key=answer.pagination.next_key)
        return {"participants": listed, "block_height": height}


def _decode(name: str, text: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{name} must be base64", param=name) from None
    if len(raw) != length:
        raise BadRequest(f"{name} must hold {length} bytes, it holds {len(raw)}", param=name)
    return raw
