"""gRPC over a real socket, with reflection."""

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from cosmos.bank.v1beta1 import query_pb2 as bank_query
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pivot.chain.gateway.methods import Method
from pivot.chain.gateway.rpc import grpc_server
from pivot.protocol.generated.inference.inference import query_pb2
from tests.chain.gateway.conftest import HEIGHT


@pytest.fixture
async def channel(methods: list[Method], tmp_path: object) -> AsyncIterator[grpc.aio.Channel]:
    address = f"unix:{tmp_path}/grpc.sock"
    server = grpc_server(methods, address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened
    await server.stop(None)


async def test_a_query_is_answered_at_the_committed_height(channel: grpc.aio.Channel) -> None:
    ask = channel.unary_unary(
        "/cosmos.bank.v1beta1.Query/Balance",
        request_serializer=bank_query.QueryBalanceRequest.SerializeToString,
        response_deserializer=bank_query.QueryBalanceResponse.FromString,
    )
    call = ask(bank_query.QueryBalanceRequest(address="gonka1x4", denom="ngonka"))
    assert (await call).balance.amount == "124"
    assert dict(await call.initial_metadata())["x-cosmos-block-height"] == str(HEIGHT)
    for height in ("3", "soon", "9" * 5_000):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await ask(bank_query.QueryBalanceRequest(address="a"), metadata=(("x-cosmos-block-height", height),))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_refusal_has_the_published_code(channel: grpc.aio.Channel) -> None:
    ask = channel.unary_unary(
        "/inference.inference.Query/Inference",
        request_serializer=query_pb2.QueryGetInferenceRequest.SerializeToString,
        response_deserializer=query_pb2.QueryGetInferenceResponse.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(query_pb2.QueryGetInferenceRequest(index="x"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([request])):
        names = {service.name for service in answer.list_services_response.service}
        break
    assert {"cosmos.bank.v1beta1.Query", "inference.inference.Query"} <= names


async def test_reflection_knows_the_files_of_a_service(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="cosmos.bank.v1beta1.Query")
    async for answer in stub.ServerReflectionInfo(iter([request])):
        files = [FileDescriptorProto.FromString(raw) for raw in answer.file_descriptor_response.file_descriptor_proto]
        break
    assert "cosmos/bank/v1beta1/query.proto" in {file.name for file in files}
