"""Inferences as clients read them."""

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.inferences.queries import QUERIES
from pivot.chain.modules.participants.state import put, require_participant
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.inference import query_pb2
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllInferenceRequest,
    QueryAllInferenceResponse,
    QueryGetInferenceRequest,
)
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus
from tests.chain.chain import next_block
from tests.chain.modules.test_inferences import deliver
from tests.chain.requests import MODEL, executors, make_finish, make_start, network

_ANSWERS = {handler.method.name: handler.answer for handler in QUERIES}


def view(block: Block) -> View:
    return View(block.state, block.chain_id, block.height, block.time)


def all_pages(block: Block, *, limit: int, reverse: bool) -> list[str]:
    """Ids in the order in which the pages give them."""
    ids: list[str] = []
    page = PageRequest(limit=limit, reverse=reverse)
    while True:
        answer = _ANSWERS["InferenceAll"](view(block), QueryAllInferenceRequest(pagination=page))
        assert isinstance(answer, QueryAllInferenceResponse)
        assert len(answer.inference) <= limit
        ids += [found.inference_id for found in answer.inference]
        if not answer.pagination.next_key:
            return ids
        page = PageRequest(limit=limit, reverse=reverse, key=answer.pagination.next_key)


def test_an_inference_is_found_by_its_id() -> None:
    block = network()
    start = make_start(block)
    deliver(block, start)
    answer = _ANSWERS["Inference"](view(block), QueryGetInferenceRequest(index=start.inference_id))
    assert answer.inference.inference_id == start.inference_id  # type: ignore[attr-defined]


@pytest.mark.parametrize("index", ["", "nothing", "ü" * 88, "A" * 88, "x" * 100_000])
def test_an_unknown_id_is_not_found(index: str) -> None:
    with pytest.raises(NetworkError) as refused:
        _ANSWERS["Inference"](view(network()), QueryGetInferenceRequest(index=index))
    assert refused.value.code == NetworkCode.INFERENCE_NOT_FOUND


@pytest.mark.parametrize("reverse", [False, True])
def test_all_are_listed_in_the_order_in_which_they_came_or_newest_first(reverse: bool) -> None:
    block = network()
    ids = []
    for number in range(7):
        block = next_block(block)
        start = make_start(block, body=str(number).encode())
        deliver(block, make_finish(start) if number % 2 else start)
        ids.append(start.inference_id)
    assert all_pages(block, limit=3, reverse=reverse) == (ids[::-1] if reverse else ids)


def test_open_inferences_are_told_by_the_height_at_which_they_expire() -> None:
    block = network()
    starts = [make_start(block, body=str(number).encode()) for number in range(2)]
    for start in starts:
        deliver(block, start)
    expires = block.height + 3000
    ids = sorted(start.inference_id for start in starts)
    found = _ANSWERS["InferenceTimeoutAll"](view(block), query_pb2.QueryAllInferenceTimeoutRequest())
    assert [(each.expiration_height, each.inference_id) for each in found.inference_timeout] == [
        (expires, each) for each in ids
    ]
    one = query_pb2.QueryGetInferenceTimeoutRequest(expirationHeight=expires, inferenceId=ids[0])
    assert _ANSWERS["InferenceTimeout"](view(block), one).inference_timeout.inference_id == ids[0]
    deliver(block, make_finish(next(start for start in starts if start.inference_id == ids[0])))
    for height, inference_id in ((expires, ids[0]), (expires + 1, ids[1]), (expires, "x")):
        request = query_pb2.QueryGetInferenceTimeoutRequest(expirationHeight=height, inferenceId=inference_id)
        with pytest.raises(NetworkError) as refused:
            _ANSWERS["InferenceTimeout"](view(block), request)
        assert refused.value.code == NetworkCode.INFERENCE_NOT_FOUND


def test_a_random_executor_is_the_draws_and_not_an_invalid_one() -> None:
    block = network()
    inference_id = make_start(block).inference_id
    first, second, third = executors(block, inference_id)

    def executor(**fields: str) -> str:
        request = query_pb2.QueryGetRandomExecutorRequest(model=MODEL, **fields)
        answer = _ANSWERS["GetRandomExecutor"](view(block), request)
        assert isinstance(answer, query_pb2.QueryGetRandomExecutorResponse)
        return answer.executor.address

    assert executor(inference_id=inference_id) == first
    assert executor() in {first, second, third}
    for address, expected in ((first, second), (second, third)):
        record = require_participant(block.state, address)
        record.status = ParticipantStatus.INVALID
        put(block.state, record)
        assert executor(inference_id=inference_id) == expected
    with pytest.raises(NetworkError, match="nobody serves"):
        _ANSWERS["GetRandomExecutor"](view(block), query_pb2.QueryGetRandomExecutorRequest(model="org/other"))
