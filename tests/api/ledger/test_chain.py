"""Queries over gRPC, against a real server in this process."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest, QueryAccountResponse
from cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest, QueryBalanceResponse
from cosmos.base.v1beta1.coin_pb2 import Coin
from google.protobuf.message import Message

from pivot.api.ledger import chain as chain_module
from pivot.api.ledger.chain import GrpcChain
from pivot.api.ledger.interface import ChainRefused, ChainUnavailable
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.params_pb2 import FeeParams, Params
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    Epoch,
    EpochGroupData,
    Inference,
    ModelPrice,
    Participant,
)
from pivot.protocol.messages import pack
from tests.api.ledger.engine import CHAIN_ID, FakeGateway, GatewayRefusal

QUERY = "/inference.inference.Query"
NOT_FOUND = GatewayRefusal(grpc.StatusCode.NOT_FOUND)


@pytest.fixture
async def chain(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GrpcChain]:
    monkeypatch.setattr(chain_module, "RETRY_PAUSES_SECONDS", (0.0, 0.0))
    chain = GrpcChain(f"http://{gateway.url}", CHAIN_ID)
    yield chain
    await chain.close()


def answers(gateway: FakeGateway, method: str, request: type[Message], answer: Any) -> None:
    def function(message: Any) -> Message:
        result = answer(message) if callable(answer) else answer
        if isinstance(result, Exception):
            raise result
        assert isinstance(result, Message)
        return result

    gateway.answer(method if method.startswith("/") else f"{QUERY}/{method}", request, function)


async def test_what_the_chain_does_not_have_is_none(gateway: FakeGateway, chain: GrpcChain) -> None:
    answers(gateway, "Participant", queries.QueryGetParticipantRequest, NOT_FOUND)
    answers(gateway, "Inference", queries.QueryGetInferenceRequest, NOT_FOUND)
    answers(gateway, "EpochGroupData", queries.QueryGetEpochGroupDataRequest, NOT_FOUND)
    answers(gateway, "ActiveParticipants", queries.QueryActiveParticipantsRequest, NOT_FOUND)
    answers(gateway, "/cosmos.auth.v1beta1.Query/Account", QueryAccountRequest, NOT_FOUND)
    assert await chain.participant("a") is None
    assert await chain.inference("i") is None
    assert await chain.epoch_group(1) is None
    assert await chain.active_participants(1) is None
    assert await chain.account_number("a") is None


async def test_a_record_is_returned(gateway: FakeGateway, chain: GrpcChain) -> None:
    answers(
        gateway,
        "Participant",
        queries.QueryGetParticipantRequest,
        lambda request: queries.QueryGetParticipantResponse(participant=Participant(address=request.index)),
    )
    answers(
        gateway,
        "Inference",
        queries.QueryGetInferenceRequest,
        lambda request: queries.QueryGetInferenceResponse(inference=Inference(inference_id=request.index)),
    )
    answers(
        gateway,
        "Params",
        queries.QueryParamsRequest,
        queries.QueryParamsResponse(params=Params(fee_params=FeeParams(free_block_gas=3))),
    )
    found = await chain.participant("host")
    assert found is not None
    assert found.address == "host"
    assert (await chain.inference("a/b+c==")) == Inference(inference_id="a/b+c==")
    assert (await chain.params()).fee_params.free_block_gas == 3


async def test_a34_a_warm_chat_request_costs_no_query(gateway: FakeGateway, chain: GrpcChain) -> None:
    answers(gateway, "EpochInfo", queries.QueryEpochInfoRequest, queries.QueryEpochInfoResponse(block_height=7))
    answers(
        gateway,
        "GetAllModelPerTokenPrices",
        queries.QueryGetAllModelPerTokenPricesRequest,
        queries.QueryGetAllModelPerTokenPricesResponse(model_prices=[ModelPrice(model_id="m", price=5)]),
    )
    answers(
        gateway,
        "EpochGroupData",
        queries.QueryGetEpochGroupDataRequest,
        queries.QueryGetEpochGroupDataResponse(epoch_group_data=EpochGroupData(epoch_index=1, model_id="m")),
    )
    answers(
        gateway,
        "ActiveParticipants",
        queries.QueryActiveParticipantsRequest,
        queries.QueryActiveParticipantsResponse(active_participants=ActiveParticipants(epoch_id=1)),
    )
    answers(
        gateway,
        "/cosmos.bank.v1beta1.Query/Balance",
        QueryBalanceRequest,
        QueryBalanceResponse(balance=Coin(denom="ngonka", amount="12")),
    )

    async def request() -> None:
        assert (await chain.epoch_info()).block_height == 7
        assert await chain.model_price("m") == 5
        assert await chain.model_price("unknown") is None
        group, members = await chain.epoch_group(1, "m"), await chain.active_participants(1)
        assert group is not None
        assert members is not None
        assert group.model_id == "m"
        assert members.epoch_id == 1
        assert await chain.balance("gateway") == 12

    await chain.new_block(7)
    await request()
    cold = len(gateway.asked)
    for _ in range(3):
        await request()
    assert len(gateway.asked) == cold
    await chain.new_block(8)
    await request()
    assert [path for path in gateway.asked[cold:] if "Group" in path or "Active" in path] == []


async def test_every_block_asks_where_the_network_stands(gateway: FakeGateway, chain: GrpcChain) -> None:
    heights = iter([5, 6])
    answers(
        gateway,
        "EpochInfo",
        queries.QueryEpochInfoRequest,
        lambda _: queries.QueryEpochInfoResponse(block_height=next(heights), latest_epoch=Epoch(index=1)),
    )
    assert (await chain.new_block(5)).block_height == 5
    assert (await chain.new_block(6)).block_height == 6
    assert (await chain.epoch_info()).block_height == 6


async def test_an_epoch_that_has_no_group_yet_is_asked_for_again_in_the_next_block(
    gateway: FakeGateway, chain: GrpcChain
) -> None:
    answers(gateway, "EpochInfo", queries.QueryEpochInfoRequest, queries.QueryEpochInfoResponse())
    formed: list[Any] = [NOT_FOUND]
    answers(gateway, "EpochGroupData", queries.QueryGetEpochGroupDataRequest, lambda _: formed[-1])
    assert await chain.epoch_group(2) is None
    formed.append(queries.QueryGetEpochGroupDataResponse(epoch_group_data=EpochGroupData(epoch_index=2)))
    assert await chain.epoch_group(2) is None
    await chain.new_block(2)
    assert await chain.epoch_group(2) == EpochGroupData(epoch_index=2)


async def test_the_keys_of_an_account_are_its_own_and_its_grantees(gateway: FakeGateway, chain: GrpcChain) -> None:
    def key(letter: bytes) -> str:
        return base64.b64encode(letter * 33).decode()

    answers(
        gateway,
        "InferenceParticipant",
        queries.QueryInferenceParticipantRequest,
        lambda request: queries.QueryInferenceParticipantResponse(
            pubkey=key(b"o") if request.address == "host" else ""
        ),
    )
    answers(
        gateway,
        "GranteesByMessageType",
        queries.QueryGranteesByMessageTypeRequest,
        lambda request: (
            queries.QueryGranteesByMessageTypeResponse(grantees=[queries.Grantee(address="g", pub_key=key(b"g"))])
            if request.message_type_url == "/x"
            else NOT_FOUND
        ),
    )
    assert await chain.public_keys("host", "/x") == [b"o" * 33, b"g" * 33]
    assert await chain.public_keys("host", "/y") == [b"o" * 33]
    assert await chain.public_keys("stranger", "/y") == []


async def test_an_accounts_number_is_read_from_its_record(gateway: FakeGateway, chain: GrpcChain) -> None:
    account = pack(BaseAccount(address="a", account_number=42))
    answers(gateway, "/cosmos.auth.v1beta1.Query/Account", QueryAccountRequest, QueryAccountResponse(account=account))
    assert await chain.account_number("a") == 42


async def test_a_refused_query_tells_why(gateway: FakeGateway, chain: GrpcChain) -> None:
    refusal = GatewayRefusal(grpc.StatusCode.INVALID_ARGUMENT, "that is no address")
    for method, request in (
        ("Participant", queries.QueryGetParticipantRequest),
        ("/cosmos.auth.v1beta1.Query/Account", QueryAccountRequest),
    ):
        answers(gateway, method, request, refusal)
    with pytest.raises(ChainRefused, match="that is no address") as refused:
        await chain.participant("a")
    assert refused.value.code == 3
    with pytest.raises(ChainRefused):
        await chain.account_number("a")


async def test_a_gateway_that_is_briefly_away_is_asked_again(gateway: FakeGateway, chain: GrpcChain) -> None:
    outcomes: list[Any] = [
        GatewayRefusal(grpc.StatusCode.UNAVAILABLE),
        queries.QueryGetInferenceResponse(inference=Inference(index="i")),
    ]
    answers(gateway, "Inference", queries.QueryGetInferenceRequest, lambda _: outcomes.pop(0))
    assert await chain.inference("i") == Inference(index="i")
    assert len(gateway.asked) == 2


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_gateway_that_stays_away_is_unavailable(
    gateway: FakeGateway, chain: GrpcChain, code: grpc.StatusCode
) -> None:
    answers(gateway, "Inference", queries.QueryGetInferenceRequest, GatewayRefusal(code))
    with pytest.raises(ChainUnavailable, match="does not answer"):
        await chain.inference("i")
    assert len(gateway.asked) == (3 if code is grpc.StatusCode.UNAVAILABLE else 1)
