"""Inferences as clients read them."""

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
import pytest
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.inferences.queries import QUERIES
from pivot.chain.types import Block, View
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllInferenceRequest,
    QueryAllInferenceResponse,
    QueryGetInferenceRequest,
)
from tests.chain.chain import next_block
from tests.chain.modules.test_inferences import deliver
from tests.chain.requests import make_finish, make_start, network

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
