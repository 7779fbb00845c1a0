"""What a chat can be asked, by the official client, of API nodes whose models vLLM serves: what the embedded engine does not know."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.protocol.mlnode_api import InferenceUp
from tests.api.inference.network import API_KEY, CONTEXT_WINDOW, MODEL, Network, running_network
from tests.mlnode.engines.kinds import CPU, REAL, REAL_VLLM
from tests.mlnode.engines.tiny import make_random_chat

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not REAL_VLLM, reason="MLNODE_VLLM_PYTHON names no interpreter with vLLM"),
]
ARGUMENTS = [
    *("--max-model-len", str(CONTEXT_WINDOW), "--enforce-eager", "--served-model-name", MODEL),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
]
ANSWERS = [{"answer": "yes"}, {"answer": "no"}]


@pytest.fixture
async def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    """Two hosts, each of which lends the same vLLM."""
    for name, value in CPU.items():
        monkeypatch.setenv(name, value)
    make_random_chat(tmp_path / "random-chat")
    async with aiohttp.ClientSession() as session, running_network(tmp_path) as network:
        engine = REAL.make(session, tmp_path)
        await engine.start(InferenceUp(model=REAL.up.model, dtype="float32", additional_args=ARGUMENTS))
        try:
            for host in network.hosts:
                host.engine.url = engine.url
            yield network
        finally:
            await engine.stop()


async def test_what_a_chat_can_be_asked(network: Network, run_client: Callable[..., str]) -> None:
    settings = {"OPENAI_BASE_URL": network.hosts[0].url + "/v1", "OPENAI_API_KEY": API_KEY}
    told = json.loads(await asyncio.to_thread(run_client, "ask_surface.py", MODEL, **settings))
    check_answers(told)
    check_streams(told)
    check_refusals(told)
    finishes = [finish for host in network.hosts for finish in await host.settled()]
    assert all(finish.prompt_token_count and finish.completion_token_count for finish in finishes)
    paid = sum(finish.completion_token_count for finish in finishes)
    used = [each["usage"]["completion_tokens"] for each in told.values() if isinstance(each, dict) and "usage" in each]
    assert paid >= sum(used) > 0


def check_answers(told: dict[str, Any]) -> None:
    for name in ("plain", "long", "max_completion_tokens"):
        [choice], usage = told[name]["choices"], told[name]["usage"]
        assert choice["message"]["content"], name
        assert choice["logprobs"] is None, name
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], name
        assert not {"token_ids", "prompt_token_ids"} & {*choice, *told[name]}, name
    assert told["long"]["usage"]["completion_tokens"] == 80
    assert told["max_completion_tokens"]["usage"]["completion_tokens"] == 3
    assert len(set(told["seeded"])) == 1
    assert [choice["index"] for choice in told["several"]["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in told["several"]["choices"]}) == 3
    [choice] = told["logprobs"]["choices"]
    assert [len(each["top_logprobs"]) for each in choice["logprobs"]["content"]] == [2] * 8
    assert json.loads(told["schema"]["choices"][0]["message"]["content"]) in ANSWERS
    [call] = told["tool"]["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"]) in ANSWERS) == ("look_up", True)
    assert told["guided"]["choices"][0]["message"]["content"] in {"red", "blue"}
    assert told["stopped"]["choices"][0]["finish_reason"] == "stop"


def check_streams(told: dict[str, Any]) -> None:
    plain = told["plain"]["choices"][0]["message"]["content"]
    assert told["stream"] == {"texts": {"0": plain}, "arguments": "", "usages": [], "logprobs": 0, "ends": ["length"]}
    assert [each["completion_tokens"] for each in told["stream_usage"]["usages"]] == [8]
    so_far = [each["completion_tokens"] for each in told["stream_continuous"]["usages"]]
    assert so_far == sorted(so_far)
    assert so_far[-2:] == [8, 8]
    assert set(told["stream_several"]["texts"]) == {"0", "1"}
    assert [each["completion_tokens"] for each in told["stream_several"]["usages"]] == [16]
    assert told["stream_logprobs"]["logprobs"] > 0
    assert json.loads(told["stream_schema"]["texts"]["0"]) in ANSWERS
    assert json.loads(told["stream_tool"]["arguments"]) in ANSWERS


def check_refusals(told: dict[str, Any]) -> None:
    for name in ("picture", "too_long", "too_many", "too_hot", "bad_schema", "empty"):
        assert told[name]["status"] == 400, told[name]
        assert told[name]["message"], name
    assert told["too_long"]["code"] == told["too_many"]["code"] == "context_length_exceeded"
    assert told["empty"]["param"] == "messages"
    assert (told["unknown_model"]["status"], told["unknown_model"]["code"]) == (404, "model_not_found")
