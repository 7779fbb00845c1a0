"""The chain's queries over gRPC (`interface.Chain`)."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest, QueryAccountResponse
from cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest, QueryBalanceResponse
from google.protobuf.message import Message

from pivot.api.ledger.answers import BriefAnswers, LastingAnswers
from pivot.api.ledger.interface import GRPC_CODESPACE, Answer, ChainRefused, ChainUnavailable
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    EpochGroupData,
    Inference,
    Participant,
)

DEADLINE_SECONDS = 5.0
RETRY_PAUSES_SECONDS = (0.05, 0.2)
"""A query is asked again after each of these when nobody listens."""
MAX_ANSWER_BYTES = 64 * 2**20
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

_SERVICE = "/inference.inference.Query"


class GrpcChain:
    """One chain node's gateway. Use it inside one event loop."""

    def __init__(self, grpc_url: str, chain_id: str) -> None:
        self.chain_id = chain_id
        self._url = grpc_url.rpartition("://")[2]
        self._channel = grpc.aio.insecure_channel(self._url, options=CHANNEL_OPTIONS)
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {}
        self._brief = BriefAnswers()
        self._lasting = LastingAnswers()

    async def close(self) -> None:
        await self._brief.close()
        await self._channel.close(None)

    async def query(self, path: str, request: Message, response: type[Answer]) -> Answer:
        call = self._calls.get(path)
        if call is None:
            call = self._channel.unary_unary(
                path, request_serializer=_serialise, response_deserializer=response.FromString
            )
            self._calls[path] = call
        for pause in (*RETRY_PAUSES_SECONDS, None):
            try:
                return cast("Answer", await call(request, timeout=DEADLINE_SECONDS))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE and pause is not None:
                    await asyncio.sleep(pause)
                    continue
                raise self._ledger_error(path, error) from error
        raise AssertionError  # the last turn of the loop returns or raises

    async def new_block(self, height: int) -> queries.QueryEpochInfoResponse:
        """The one question of every block: where the network stands. Answers of earlier blocks are old from now on."""
        self._brief.advance(height)
        info = await self._query("EpochInfo", queries.QueryEpochInfoRequest(), queries.QueryEpochInfoResponse)
        self._brief.put("epoch info", info, max(height, info.block_height))
        return info

    async def epoch_info(self) -> queries.QueryEpochInfoResponse:
        request = queries.QueryEpochInfoRequest()
        return await self._brief.get(
            "epoch info", lambda: self._query("EpochInfo", request, queries.QueryEpochInfoResponse)
        )

    async def params(self) -> Params:
        request = queries.QueryParamsRequest()
        answer = await self._brief.get("params", lambda: self._query("Params", request, queries.QueryParamsResponse))
        return answer.params

    async def epoch_group(self, epoch: int, model: str = "") -> EpochGroupData | None:
        async def ask() -> EpochGroupData | None:
            request = queries.QueryGetEpochGroupDataRequest(epoch_index=epoch, model_id=model)
            answer = await self._find("EpochGroupData", request, queries.QueryGetEpochGroupDataResponse)
            return None if answer is None else answer.epoch_group_data

        return await self._formed(("group", epoch, model), ask)

    async def active_participants(self, epoch: int) -> ActiveParticipants | None:
        async def ask() -> ActiveParticipants | None:
            request = queries.QueryActiveParticipantsRequest(epoch_index=epoch)
            answer = await self._find("ActiveParticipants", request, queries.QueryActiveParticipantsResponse)
            return None if answer is None else answer.active_participants

        return await self._formed(("participants", epoch), ask)

    async def participant(self, address: str) -> Participant | None:
        async def ask() -> Participant | None:
            request = queries.QueryGetParticipantRequest(index=address)
            answer = await self._find("Participant", request, queries.QueryGetParticipantResponse)
            return None if answer is None else answer.participant

        return await self._brief.get(("participant", address), ask)

    async def balance(self, address: str) -> int:
        async def ask() -> int:
            request = QueryBalanceRequest(address=address, denom=BASE_DENOM)
            answer = await self.query("/cosmos.bank.v1beta1.Query/Balance", request, QueryBalanceResponse)
            return int(answer.balance.amount or 0)

        return await self._brief.get(("balance", address), ask)

    async def account_number(self, address: str) -> int | None:
        """The number that the chain gave the account; None while it does not exist."""
        try:
            answer = await self.query(
                "/cosmos.auth.v1beta1.Query/Account", QueryAccountRequest(address=address), QueryAccountResponse
            )
        except ChainRefused as refusal:
            if refusal.not_found:
                return None
            raise
        account = BaseAccount()
        answer.account.Unpack(account)
        return int(account.account_number)

    async def public_keys(self, address: str, message_type: str) -> list[bytes]:
        async def ask() -> list[bytes]:
            owner = queries.QueryInferenceParticipantRequest(address=address)
            grants = queries.QueryGranteesByMessageTypeRequest(granter_address=address, message_type_url=message_type)
            own, granted = await asyncio.gather(
                self._find("InferenceParticipant", owner, queries.QueryInferenceParticipantResponse),
                self._find("GranteesByMessageType", grants, queries.QueryGranteesByMessageTypeResponse),
            )
            keys = [own.pubkey] if own else []
            keys += [grantee.pub_key for grantee in granted.grantees] if granted else []
            return [base64.b64decode(key) for key in keys if key]

        return await self._brief.get(("keys", address, message_type), ask)

    async def model_price(self, model: str) -> int | None:
        async def ask() -> dict[str, int]:
            request = queries.QueryGetAllModelPerTokenPricesRequest()
            answer = await self._query(
                "GetAllModelPerTokenPrices", request, queries.QueryGetAllModelPerTokenPricesResponse
            )
            return {price.model_id: price.price for price in answer.model_prices}

        return (await self._brief.get("prices", ask)).get(model)

    async def inference(self, inference_id: str) -> Inference | None:
        request = queries.QueryGetInferenceRequest(index=inference_id)
        answer = await self._find("Inference", request, queries.QueryGetInferenceResponse)
        return None if answer is None else answer.inference

    async def _query(self, method: str, request: Message, response: type[Answer]) -> Answer:
        return await self.query(f"{_SERVICE}/{method}", request, response)

    async def _find(self, method: str, request: Message, response: type[Answer]) -> Answer | None:
        try:
            return await self._query(method, request, response)
        except ChainRefused as refusal:
            if refusal.not_found:
                return None
            raise

    async def _formed(self, key: tuple[object, ...], ask: Callable[[], Awaitable[Answer | None]]) -> Answer | None:
        """A record that never changes once it exists; that it does not exist yet holds for a block."""
        return await self._lasting.get(key, lambda: self._brief.get(key, ask))

    def _ledger_error(self, path: str, error: grpc.aio.AioRpcError) -> ChainRefused | ChainUnavailable:
        if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            return ChainUnavailable(f"the gateway at {self._url} does not answer {path}: {error.details()}")
        number: int = error.code().value[0]
        return ChainRefused(number, GRPC_CODESPACE, error.details() or error.code().name)


def _serialise(message: Message) -> bytes:
    return bytes(message.SerializeToString())
