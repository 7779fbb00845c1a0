"""Vectors of texts over real HTTP, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.embeddings import AT_ONCE
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import engine_app
from tests.mlnode import fakes
from tests.mlnode.engines.embedded.oracle import oracle_states
from tests.mlnode.engines.tiny import CONTEXT, VOCABULARY

TOLERANCE = 1e-5
PATH = "/v1/embeddings"
Post = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def engine(model: ServedModel, *, vectors: bool, waiting: int = 2 * AT_ONCE) -> AsyncIterator[Post]:
    scheduler = Scheduler(Batch(model.decoder, 4), waiting)
    running = asyncio.create_task(scheduler.run())
    async with fakes.served(engine_app(model, scheduler, vectors=vectors)) as url, fakes.client(url) as session:
        yield poster(session)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def poster(session: aiohttp.ClientSession) -> Post:
    async def post(body: dict[str, Any], *, path: str = PATH, status: int = 200) -> Any:
        async with session.post(path, json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    return post


@pytest.fixture
async def post(served: ServedModel) -> AsyncIterator[Post]:
    async with engine(served, vectors=True) as post:
        yield post


def vectors(answer: dict[str, Any]) -> np.ndarray:
    assert [each["index"] for each in answer["data"]] == list(range(len(answer["data"])))
    return np.array([each["embedding"] for each in answer["data"]])


async def test_a_vector_is_the_last_state_at_length_one(post: Post, models: Path) -> None:
    tokens = np.random.default_rng(5).integers(0, VOCABULARY, (3, 20)).tolist()
    states = np.stack([oracle_states(models / "tiny-random", each)[-1] for each in tokens])
    answer = await post({"input": tokens})
    found = vectors(answer)
    assert found == pytest.approx(states / np.linalg.norm(states, axis=1, keepdims=True), abs=TOLERANCE)
    assert answer["object"] == "list"
    assert answer["usage"] == {"prompt_tokens": 60, "completion_tokens": 0, "total_tokens": 60}
    raw = vectors(await post({"input": tokens, "use_activation": False}))
    assert raw == pytest.approx(states, abs=1e-3)


async def test_every_way_to_write_an_input_gives_the_same(post: Post, served: ServedModel) -> None:
    text = "What is an epoch?"
    ids = served.encode(text)
    [expected] = vectors(await post({"model": served.name, "input": text}))
    for form in ([text], ids, [ids]):
        assert vectors(await post({"input": form})) == pytest.approx(expected[None], abs=TOLERANCE)
    answer = await post({"input": [text, "A host"], "encoding_format": "base64"})
    decoded = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in answer["data"]]
    assert decoded[0] == pytest.approx(expected, abs=TOLERANCE)
    assert not np.allclose(decoded[0], decoded[1], atol=0.1)


async def test_more_inputs_than_may_wait_are_read_in_portions(post: Post) -> None:
    answer = await post({"input": [[1 + number % 7] for number in range(3 * AT_ONCE + 1)]})
    found = vectors(answer)
    assert len(found) == 3 * AT_ONCE + 1
    assert found[0] == pytest.approx(found[7], abs=TOLERANCE)


async def test_a_text_may_fill_the_whole_context_and_no_more(post: Post) -> None:
    assert (await post({"input": [1] * CONTEXT}))["usage"]["prompt_tokens"] == CONTEXT
    refused = await post({"input": [1] * (CONTEXT + 1)}, status=400)
    assert (refused["error"]["code"], refused["error"]["param"]) == ("context_length_exceeded", "input")
    assert (await post({"input": "word " * 9_000}, status=400))["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("cut", "read"),
    [
        ({"truncate_prompt_tokens": 2}, [5, 6]),
        ({"truncate_prompt_tokens": 2, "truncation_side": "left"}, [7, 8]),
        ({"truncate_prompt_tokens": 9}, [5, 6, 7, 8]),
        ({"truncate_prompt_tokens": -1}, [5, 6, 7, 8]),
    ],
)
async def test_an_input_is_cut_where_it_is_asked_to_be(post: Post, cut: dict[str, Any], read: list[int]) -> None:
    answer = await post({"input": [5, 6, 7, 8], **cut})
    assert answer["usage"]["prompt_tokens"] == len(read)
    assert vectors(answer) == pytest.approx(vectors(await post({"input": read})), abs=TOLERANCE)


async def test_a_text_of_any_length_is_cut_to_the_context(post: Post) -> None:
    answer = await post({"input": "word " * 9_000, "truncate_prompt_tokens": -1})
    assert answer["usage"]["prompt_tokens"] == CONTEXT


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, None),
        ({"input": ""}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [VOCABULARY]}, "input"),
        ({"input": [-1]}, "input.0"),
        ({"input": [1], "encoding_format": "bytes"}, "encoding_format"),
        ({"input": [1], "dimensions": 2}, None),
        ({"input": [1], "truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ({"input": [1], "truncate_prompt_tokens": 0}, "input"),
        ({"input": [1], "truncation_side": "middle"}, "truncation_side"),
        ({"input": [[1]] * 2_049}, None),
    ],
)
async def test_what_cannot_be_done_is_refused(post: Post, body: dict[str, Any], param: str | None) -> None:
    error = (await post(body, status=400))["error"]
    assert error["type"] == "invalid_request_error"
    if param:
        assert error["param"].startswith(param)


async def test_a_model_gives_vectors_or_answers_and_not_both(post: Post, served: ServedModel) -> None:
    await post({"input": "x", "model": "pivot/other"}, status=404)
    await post({"messages": [{"role": "user", "content": "x"}]}, path="/v1/chat/completions", status=404)
    await post({"prompt": "x"}, path="/v1/completions", status=404)
    async with engine(served, vectors=False) as answering:
        await answering({"input": "x"}, status=404)
