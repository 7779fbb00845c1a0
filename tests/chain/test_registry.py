"""Whatever a message or a query says, it is answered or refused: a failure that is no Rejection would stop the node."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivot.chain.errors import Rejection
from pivot.chain.invariants import INVARIANTS
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.params.state import view_of
from pivot.chain.registry import MESSAGES, QUERIES
from pivot.chain.store.database import Database
from pivot.chain.types import STORES
from pivot.protocol.messages import pack, signers
from tests.chain.chain import Chain, key, plain_block
from tests.chain.test_block import genesis

ADDRESSES = [key(name).address for name in ("alice", "bob", "stranger", "nobody")]
TEXTS = st.one_of(
    st.sampled_from([*ADDRESSES, "", "ngonka", "1", "-1", "9" * 30, "http://a.example:1", "/x.Y", "A" * 88, "0" * 64]),
    st.text(max_size=20),
    st.sampled_from(["x" * 600, "é" * 300, "\0", "a/b", "gonka1"]),
)
BYTES = st.one_of(
    st.sampled_from([b"", bytes(32), bytes(33), key("alice").public_key, bytes(64)]), st.binary(max_size=9)
)
DEPTH = 3


def numbers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    unsigned = field.type in {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64}
    wide = field.type in {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT64}
    bits = (64 if wide else 32) - (0 if unsigned else 1)
    return st.one_of(st.integers(0, 3), st.integers(0 if unsigned else -(2**bits), 2**bits - 1))


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    kinds: Mapping[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_STRING: TEXTS,
        FieldDescriptor.TYPE_BYTES: BYTES,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_ENUM: st.integers(0, 5),
    }
    if field.message_type is not None:
        return messages(field.message_type, depth - 1)
    return kinds[field.type] if field.type in kinds else numbers(field)


def messages(descriptor: Descriptor, depth: int = DEPTH) -> st.SearchStrategy[Message]:
    """Messages of a type with any values in their fields."""
    kind = GetMessageClass(descriptor)
    if descriptor.full_name == "google.protobuf.Any":
        inner = [handler.type.DESCRIPTOR for handler in MESSAGES.all().values()]
        return st.sampled_from(inner).flatmap(lambda each: messages(each, min(depth, 1))).map(pack)
    if depth <= 0:
        return st.just(kind())
    fields = {
        field.name: st.lists(values(field, depth), max_size=3)
        if field.label == FieldDescriptor.LABEL_REPEATED
        else values(field, depth)
        for field in descriptor.fields
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: kind(**chosen))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain on disk, in its first sprint."""
    with Database.open(tmp_path_factory.mktemp("state"), STORES) as store:
        chain = Chain(dict.fromkeys(ADDRESSES[:3], 10**6), genesis(), store=store)
        chain.advance(12)
        yield chain


@pytest.mark.parametrize("url", sorted(MESSAGES.all()))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_message_is_handled_or_refused(chain: Chain, url: str, data: st.DataObject) -> None:
    handler = MESSAGES.all()[url]
    message = data.draw(messages(handler.type.DESCRIPTOR))
    block = plain_block()
    block.state = chain.store.begin()
    block.height, block.time = chain.height + 1, chain.time + 1
    with contextlib.suppress(Rejection):
        handler.check(message)
        assert handler.gas(message) >= 0
        for signer in signers(message):
            check_address("signer", signer)
        with block.frame():
            handler.handle(block, message)
    for check in INVARIANTS:
        check(block.state)


@pytest.mark.parametrize("path", sorted(QUERIES.all()))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_query_is_answered_or_refused(chain: Chain, path: str, data: st.DataObject) -> None:
    handler = QUERIES.all()[path]
    request = data.draw(messages(handler.request.DESCRIPTOR))
    with contextlib.suppress(Rejection):
        answer = handler.answer(view_of(chain.state), request)
        assert isinstance(answer, handler.response)
