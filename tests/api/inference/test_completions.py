"""`/v1/completions`: the same signatures, price and settlement as a chat's."""

from typing import Any

import orjson
import pytest

from pivot.api.inference import artifacts
from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH
from pivot.primitives.hashes import sha256
from tests.api.inference.engine import WORDS
from tests.api.inference.network import Network, Reply

ANSWER = "".join(WORDS)


async def ask(network: Network, body: bytes, headers: dict[str, str] | None = None) -> Reply:
    return await network.post(network.hosts[0], body, headers, COMPLETIONS_PATH)


@pytest.mark.parametrize("executor", [0, 1])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_completion_is_answered_by_the_drawn_host_and_settled(
    network: Network, executor: int, stream: bool
) -> None:
    host = network.hosts[executor]
    body, headers = network.first_drawn(host, messages=None, prompt="An epoch", stream=stream)
    reply = await ask(network, body, headers)
    assert reply.status == 200, reply.raw
    answers = reply.events if stream else [reply.json]
    assert "".join(each["choices"][0]["text"] for each in answers) == ANSWER
    assert {each["id"] for each in answers} == {headers["Authorization"]}
    for each in answers:
        assert each["choices"][0]["logprobs"] is None
        assert not {"token_ids", "prompt_token_ids"} & set(each["choices"][0])
    [start] = await network.hosts[0].started()
    [finish] = await host.settled()
    assert finish.start == start
    assert (finish.prompt_token_count, finish.completion_token_count) == (4, 6)
    assert finish.response_hash == sha256(ANSWER.encode()).hex()
    document = await artifacts.find(host.database, start.inference_id)
    assert document is not None
    kept = orjson.loads(document)
    assert kept["request"].encode() == body
    assert kept["prompt_token_ids"] == [1, 2, 3, 4]
    assert kept["token_ids"] == [100, 101, 102, 103, 104, 105]
    assert kept["logprobs"][0] == ["An", -0.1, [["An", -0.1], *([f"~{rank}", -0.1 - rank] for rank in range(1, 5))]]


async def test_the_engine_is_asked_for_a_completion_with_what_checking_needs(network: Network) -> None:
    body = network.completion(max_completion_tokens=3, guided_regex="a+", stop=["b"])
    assert (await ask(network, body)).status == 200
    [told] = [body for host in network.hosts for body in host.engine.bodies]
    assert (told["logprobs"], told["return_token_ids"], told["max_tokens"]) == (5, True, 3)
    assert not {"top_logprobs", "max_completion_tokens", "messages"} & set(told)
    assert (told["guided_regex"], told["stop"]) == ("a+", ["b"])


@pytest.mark.parametrize(("asked", "alternatives"), [(0, 1), (2, 2), (5, 5)])
@pytest.mark.parametrize("stream", [True, False])
async def test_as_many_log_probabilities_as_were_asked_for(
    network: Network, asked: int, alternatives: int, stream: bool
) -> None:
    reply = await ask(network, network.completion(logprobs=asked, stream=stream))
    answers = reply.events if stream else [reply.json]
    tops = [top for each in answers for top in each["choices"][0]["logprobs"]["top_logprobs"]]
    assert [len(top) for top in tops] == [alternatives] * 6


@pytest.mark.parametrize("prompt", ["An epoch", ["An epoch"], [1, 2, 3], [[1, 2, 3]]])
async def test_one_prompt_is_taken_however_it_is_written(network: Network, prompt: Any) -> None:
    assert (await ask(network, network.completion(prompt))).status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"prompt": "a", "logprobs": 6}, "logprobs"),
        ({"prompt": "a", "logprobs": True}, "logprobs"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "n": 9}, "n"),
    ],
)
async def test_a_malformed_completion_is_refused_with_the_field(
    network: Network, fields: dict[str, Any], param: str
) -> None:
    body = network.body(**{"messages": None, **fields})
    reply = await ask(network, body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)
    assert all(host.engine.bodies == [] for host in network.hosts)


async def test_a_chat_sent_as_a_completion_is_refused(network: Network) -> None:
    assert (await ask(network, network.body())).status == 400
    assert (await network.post(network.hosts[0], network.completion(), path=CHAT_PATH)).status == 400


async def test_what_an_engine_says_against_a_completion_stays_a_400(network: Network) -> None:
    for host in network.hosts:
        host.engine.refuses_with = {"object": "error", "message": "suffix is not supported", "code": 400}
    reply = await ask(network, network.completion(suffix="x"))
    assert reply.status == 400
    assert reply.error == "suffix is not supported"
    assert await network.hosts[0].started() == []
