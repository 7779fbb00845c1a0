"""Every query of the chain, in gRPC, REST and `abci_query`, over a state that a simulation has filled."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import grpc.aio
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tendermint.abci.types_pb2 import RequestQuery

from pivot.chain.errors import Rejection, sentence_of_absence
from pivot.chain.gateway.committed import CommittedState
from pivot.chain.gateway.json_form import document
from pivot.chain.gateway.methods import Answer, Method, method
from pivot.chain.gateway.rest import RestApplication, bindings
from pivot.chain.gateway.rpc import grpc_server
from pivot.chain.handlers import QueryHandler
from pivot.chain.modules.authz.state import permissions
from pivot.chain.modules.gov.state import all_votes
from pivot.chain.modules.params.state import view_of
from pivot.chain.modules.participants.state import hosts
from pivot.chain.queries import answer_query
from pivot.chain.registry import QUERIES
from pivot.chain.store.interface import Store
from pivot.chain.types import View
from pivot.primitives.addresses import operator, to_bytes
from pivot.primitives.coins import BASE_DENOM
from tests.chain.gateway.conftest import call_asgi
from tests.simulation.run import simulate
from tests.simulation.stores import in_memory

SEED, BLOCKS, OPERATIONS = 7, 25, 15
TEXT = FieldDescriptor.TYPE_STRING
_VARIABLE = re.compile(r"\{([a-zA-Z0-9_.]+)(?:=\*+)?\}")
KEYLESS = {
    "/cosmos.bank.v1beta1.Query/DenomsMetadata",
    "/cosmos.bank.v1beta1.Query/SendEnabled",
    "/cosmos.bank.v1beta1.Query/SpendableBalances",
    "/cosmos.distribution.v1beta1.Query/ValidatorSlashes",
    "/cosmos.staking.v1beta1.Query/DelegatorDelegations",
    "/cosmos.staking.v1beta1.Query/DelegatorUnbondingDelegations",
    "/cosmos.staking.v1beta1.Query/DelegatorValidators",
    "/cosmos.staking.v1beta1.Query/Redelegations",
    "/cosmos.staking.v1beta1.Query/ValidatorDelegations",
    "/cosmos.staking.v1beta1.Query/ValidatorUnbondingDelegations",
    "/inference.restrictions.Query/TransferExemptions",
}
"""Lists of nothing, of the one coin, or of a few parameters: they have no keys, so none is refused."""
WITHOUT_REST = "/cosmos.auth.v1beta1.Query/AddressBytesToString"
"""Its published path is that of AddressStringToBytes, too, which gets all that is asked."""
LISTS = sorted(path for path, line in QUERIES.all().items() if "pagination" in line.method.input_type.fields_by_name)


async def _nobody(_: Any, __: int | None) -> Answer:
    raise NotImplementedError


@pytest.fixture(scope="module")
def store() -> Store:
    opened = in_memory()
    assert simulate(SEED, BLOCKS, OPERATIONS, opened).failure is None
    return opened()


@pytest.fixture(scope="module")
def arguments(store: Store) -> dict[str, Any]:
    """Values of requests' fields, by name, to which there are answers."""
    state = store.view()
    host = next(each.address for each in hosts(state))
    permitted = next(permissions(state))
    addresses = dict.fromkeys(
        ("address", "delegator_addr", "delegator_address", "participant", "index", "participantId", "host"), host
    )
    return addresses | {
        "address_bytes": to_bytes(host),
        "address_string": host,
        "denom": BASE_DENOM,
        "validator_addr": operator(host),
        "validator_address": operator(host),
        "grantee": permitted.grantee,
        "granter": permitted.granter,
        "granter_address": permitted.granter,
        "message_type_url": permitted.message_type,
        "proposal_id": next((vote.proposal_id for vote in all_votes(state)), 1),
        "epoch_index": 1,
        "model_id": "a/b",
    }


def request_of(line: QueryHandler, arguments: dict[str, Any]) -> Any:
    """A request with these values; an identifier that is not among them is "x", or 1."""
    names = line.method.input_type.fields_by_name
    request = line.request(**{name: value for name, value in arguments.items() if name in names})
    for name in in_path(bindings(method(line.method, _nobody))[0].template):
        if not getattr(request, name):
            json_format.ParseDict({name: ["x"] if name == "ids" else "x" if names[name].type == TEXT else "1"}, request)
    return request


@pytest.fixture
def methods(store: Store) -> Iterator[list[Method]]:
    @contextmanager
    def opened() -> Iterator[View]:
        with store.view() as snapshot:
            yield view_of(snapshot)

    committed = CommittedState(opened)
    yield committed.methods(QUERIES)
    committed.close()


@pytest.fixture
async def channel(methods: list[Method], tmp_path: object) -> AsyncIterator[grpc.aio.Channel]:
    address = f"unix:{tmp_path}/grpc.sock"
    server = grpc_server(methods, address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened
    await server.stop(None)


async def test_every_query_has_one_answer_in_three_ways(
    store: Store, methods: list[Method], channel: grpc.aio.Channel, arguments: dict[str, Any]
) -> None:
    rest = RestApplication(methods)
    refused = []
    for each in methods:
        line = QUERIES.all()[each.path]
        request = request_of(line, arguments)
        raw = request.SerializeToString()
        told = answer_query(store, RequestQuery(path=each.path, data=raw))
        status, shown, _ = await call_asgi(rest, "GET", target_of(each, request))
        try:
            ask = channel.unary_unary(each.path, request_serializer=None, response_deserializer=None)
            answer, sentence = await ask(raw), ""
        except grpc.aio.AioRpcError as error:
            answer, sentence = b"", str(error.details())
        if told.code:
            refused.append(each.path)
            absent = sentence_of_absence(told.log)
            said = absent or told.log
            assert (sentence, shown["message"]) == (said, said), each.path
            assert (status == 404) is (absent is not None), each.path
            assert status in {400, 404}, each.path
        else:
            assert line.response.FromString(answer) == line.response.FromString(told.value), each.path
            found = (200, document(line.response.FromString(told.value)))
            assert (status, shown) == found or each.path == WITHOUT_REST, each.path
    assert len(refused) < len(methods) / 4, refused


@pytest.mark.parametrize("path", LISTS)
def test_a_list_comes_in_pages(store: Store, arguments: dict[str, Any], path: str) -> None:
    line = QUERIES.all()[path]
    view = view_of(store.view())

    def ask(**page: Any) -> Any:
        request = request_of(line, arguments)
        request.pagination.CopyFrom(PageRequest(**page))
        return line.answer(view, request)

    name = listed_field(line)
    every = list(getattr(ask(limit=1_000, count_total=True), name))
    assert ask(limit=1, count_total=True).pagination.total == len(every)
    walked, key = [], b""
    for _ in range(len(every) + 1):
        page = ask(limit=1, key=key)
        walked += getattr(page, name)
        key = page.pagination.next_key
        if not key:
            break
    assert walked == every
    assert list(getattr(ask(limit=1_000, reverse=True), name)) == every[::-1]
    half = len(every) // 2
    assert list(getattr(ask(limit=1_000, offset=half), name)) == every[half:]
    if path in KEYLESS:
        return
    with pytest.raises(Rejection, match="either offset or key"):
        ask(key=b"k", offset=1)


def target_of(asked: Method, request: Message) -> str:
    """The REST path and query string that stand for a request."""
    template = bindings(asked)[0].template
    given = {field.name: value for field, value in request.ListFields()}
    path = _VARIABLE.sub(lambda found: quote(text_of(given[found[1]]), safe=""), template)
    query = {name: text_of(value) for name, value in given.items() if name not in in_path(template)}
    return f"{path}?{urlencode(query)}"


def in_path(template: str) -> list[str]:
    return [found[1] for found in _VARIABLE.finditer(template)]


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    return str(value) if isinstance(value, int) else ",".join(value)


def listed_field(line: QueryHandler) -> str:
    """The name of the answer's list."""
    (name,) = [field.name for field in line.method.output_type.fields if field.label == FieldDescriptor.LABEL_REPEATED]
    return str(name)
