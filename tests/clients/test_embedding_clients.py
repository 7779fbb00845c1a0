"""Published clients, unmodified, asked for vectors, on a network whose hosts serve a model for them; the answers are settled and checked."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.clients.pooling_network import VECTORS
from tests.e2e.network import Network, until

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(600)]
RunClient = Callable[..., str]
DIMENSIONS = 256
PRICE = 3


def told_by(output: str) -> Any:
    return json.loads(output.strip().splitlines()[-1])


@pytest.fixture
def settings(pooling: Network) -> dict[str, str]:
    return {"OPENAI_BASE_URL": pooling.hosts[0]["public_url"] + "/v1", "OPENAI_API_KEY": pooling.api_key}


@pytest.fixture
def vectors(run_client: RunClient, settings: dict[str, str]) -> Any:
    return told_by(run_client("ask_embeddings.py", VECTORS, **settings))


def test_the_openai_client_gets_vectors_that_are_settled_by_their_input_and_pass_their_check(
    pooling: Network, vectors: Any
) -> None:
    assert [len(vector) for vector in vectors["vectors"]] == [DIMENSIONS] * 2
    assert all(sum(x * x for x in vector) == pytest.approx(1, abs=1e-5) for vector in vectors["vectors"])
    assert vectors["float"] == pytest.approx(vectors["vectors"][0], abs=1e-5)
    assert vectors["usage"]["prompt_tokens"] == vectors["usage"]["total_tokens"] > 2
    assert vectors["model"]["endpoints"] == ["/v1/embeddings"]
    assert vectors["empty"][0] == 400
    assert vectors["too_long"] == [400, "context_length_exceeded"]
    assert vectors["chat"] == [404, "wrong_endpoint"]
    assert vectors["headers"]["x-pivot-executor"] in {host["address"] for host in pooling.hosts}

    async def checked() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session:

            async def validated() -> dict[str, Any] | None:
                record = await pooling.record(session, 0, vectors["headers"]["x-pivot-inference-id"])
                return record if record["status"] not in {"STARTED", "FINISHED"} else None

            return await until(validated)

    record = asyncio.run(checked())
    assert record["status"] == "VALIDATED"
    assert record["completion_token_count"] == 0
    assert record["prompt_token_count"] == vectors["usage"]["prompt_tokens"]
    assert record["actual_cost"] == record["prompt_token_count"] * record["per_token_price"] > 0


def test_the_openai_client_for_javascript_gets_the_same_vectors(
    run_javascript: RunClient, settings: dict[str, str], vectors: Any
) -> None:
    told = told_by(run_javascript("ask_embeddings.mjs", VECTORS, **settings))
    for vector, same in zip(told["vectors"], vectors["vectors"], strict=True):
        assert vector == pytest.approx(same, abs=1e-5)
    assert told["usage"]["total_tokens"] == vectors["usage"]["total_tokens"]


def test_frameworks_get_the_same_vectors(run_framework: RunClient, settings: dict[str, str], vectors: Any) -> None:
    told = told_by(run_framework("ask_embeddings_frameworks.py", VECTORS, **settings))
    for framework in ("langchain", "litellm"):
        for vector, same in zip(told[framework], vectors["vectors"], strict=True):
            assert vector == pytest.approx(same, abs=1e-5), framework
    assert told["usage"]["prompt_tokens"] == vectors["usage"]["prompt_tokens"]
