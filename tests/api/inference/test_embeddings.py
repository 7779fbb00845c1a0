"""`/v1/embeddings`: the same signatures, draw and settlement as a chat's; paid by the input alone."""

from base64 import b64decode, b64encode
from typing import Any

import numpy as np
import orjson
import pytest

from pivot.api.inference import artifacts, hop
from pivot.api.inference.embedding_input import MAX_INPUTS
from pivot.api.inference.embeddings import MAX_DIMENSIONS, longest_answer, read
from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from pivot.primitives.hashes import sha256
from pivot.protocol.pricing import escrow
from tests.api.inference.network import EPOCH, MODEL, PRICE, Host, Network, Reply

POOLING = ("--runner", "pooling", "--convert", "embed")
VECTOR = [0.6, 0.8]
TOKENS = 4
"""That the engine counts of each input."""


@pytest.fixture
def network(network: Network) -> Network:
    """All hosts serve a model that gives vectors."""
    network.chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(POOLING)
    return network


def body(asked: Any = "An epoch", **fields: Any) -> bytes:
    return orjson.dumps({"model": MODEL, "input": asked, **fields})


async def ask(network: Network, sent: bytes, headers: dict[str, str] | None = None) -> Reply:
    return await network.post(network.hosts[0], sent, headers, EMBEDDINGS_PATH)


def first_drawn(network: Network, sent: bytes, host: Host) -> dict[str, str]:
    while True:
        headers = network.signed(sent, network.hosts[0])
        if network.drawn(headers["Authorization"])[0] == host.address:
            return headers


@pytest.mark.parametrize("executor", [0, 1])
async def test_embeddings_come_from_the_drawn_host_and_are_settled_by_their_input_alone(
    network: Network, executor: int
) -> None:
    host, sent = network.hosts[executor], body(["An epoch", "A host"])
    headers = first_drawn(network, sent, host)
    reply = await ask(network, sent, headers)
    assert reply.status == 200, reply.raw
    assert reply.json == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": pytest.approx(VECTOR, abs=1e-6)} for index in (0, 1)
        ],
        "model": MODEL,
        "id": headers["Authorization"],
        "usage": {"prompt_tokens": 2 * TOKENS, "total_tokens": 2 * TOKENS},
    }
    assert reply.headers["x-pivot-executor"] == host.address
    assert reply.headers["x-pivot-inference-id"] == headers["Authorization"]
    assert float(reply.headers["x-pivot-overhead-ms"]) >= 0
    [start] = await network.hosts[0].started()
    [finish] = await host.settled()
    assert finish.start == start
    assert (start.prompt_token_count, start.max_tokens) == (len(sent) + 64, 1)
    assert (finish.prompt_token_count, finish.completion_token_count) == (2 * TOKENS, 0)
    raw = np.array(VECTOR, "<f4").tobytes()
    assert finish.response_hash == sha256(raw * 2).hex()
    document = await artifacts.find(host.database, start.inference_id)
    assert document is not None
    assert finish.artifact_hash == sha256(document).hex()
    assert orjson.loads(document) == {
        "version": 1,
        "inference_id": start.inference_id,
        "request": sent.decode(),
        "model": MODEL,
        "vectors": [b64encode(raw).decode()] * 2,
        "prompt_token_count": 2 * TOKENS,
        "completion_token_count": 0,
    }


async def test_vectors_come_in_the_form_that_was_asked_for(network: Network) -> None:
    reply = await ask(network, body("An epoch", encoding_format="base64"))
    [entry] = reply.json["data"]
    assert np.frombuffer(b64decode(entry["embedding"]), "<f4") == pytest.approx(VECTOR)
    assert (await ask(network, body("An epoch", encoding_format="float"))).json["data"][0]["embedding"] == VECTOR


@pytest.mark.parametrize("asked", ["a", ["a"], [1, 2, 3], [[1, 2], [3]]])
async def test_every_form_of_input_reaches_the_engine_with_what_else_was_said(network: Network, asked: Any) -> None:
    reply = await ask(network, body(asked, dimensions=2, user="ada", use_activation=False, cache_salt="s"))
    assert reply.status == 200, reply.raw
    [told] = [each for host in network.hosts for each in host.engine.bodies]
    assert told == {
        "model": MODEL,
        "input": asked,
        "dimensions": 2,
        "user": "ada",
        "use_activation": False,
        "cache_salt": "s",
        "encoding_format": "base64",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ["a", [1]]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [[1], ["a"]]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [{"role": "user", "content": "a"}]}, "input"),
        ({"input": ["a"] * (MAX_INPUTS + 1)}, "input"),
        ({"encoding_format": "bytes"}, "encoding_format"),
        ({"encoding_format": 1}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "2"}, "dimensions"),
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages"),
        ({"prompt": "a"}, "prompt"),
        ({"stream": True}, "stream"),
        ({"padding": "max_length"}, "padding"),
        ({"embed_dtype": "float16"}, "embed_dtype"),
        ({"chat_template": "{{x}}"}, "chat_template"),
        ({"priority": 1}, "priority"),
    ],
)
async def test_what_cannot_be_asked_is_a_400_that_names_the_field(
    network: Network, fields: dict[str, Any], param: str
) -> None:
    reply = await ask(network, body(**{"asked": fields.pop("input", "a"), **fields}))
    assert reply.status == 400
    assert reply.json["error"]["param"] == param
    assert not any(host.engine.bodies for host in network.hosts)


async def test_a_model_that_gives_vectors_is_asked_nothing_else(network: Network) -> None:
    for sent, path in ((network.body(), CHAT_PATH), (network.completion(), COMPLETIONS_PATH)):
        reply = await network.post(network.hosts[0], sent, path=path)
        assert (reply.status, reply.json["error"]["code"]) == (404, "wrong_endpoint")
        assert reply.json["error"]["param"] == "model"
        assert f"not served at {path}; ask it at {EMBEDDINGS_PATH}" in reply.error
    assert not any(host.engine.bodies for host in network.hosts)


async def test_a_model_that_writes_gives_no_vectors(network: Network) -> None:
    network.chain.form_group(EPOCH, {host.address: 10 for host in network.hosts})
    reply = await ask(network, body())
    assert (reply.status, reply.json["error"]["code"]) == (404, "wrong_endpoint")
    assert f"ask it at {CHAT_PATH} or {COMPLETIONS_PATH}" in reply.error


async def test_an_unknown_model_is_not_found(network: Network) -> None:
    reply = await ask(network, orjson.dumps({"model": "other", "input": "a"}))
    assert (reply.status, reply.json["error"]["code"]) == (404, "model_not_found")


async def test_a_transfer_agent_cannot_have_a_model_asked_elsewhere(network: Network) -> None:
    host = network.hosts[1]
    sent = network.body()
    start = network.start_for(host, sent)
    reply = await network.post(host, sent, hop.request_headers(start, 1.0))
    assert (reply.status, reply.json["error"]["code"]) == (404, "wrong_endpoint")


async def test_what_may_be_spent_is_held_before_the_engine_works(network: Network) -> None:
    sent = body()
    network.chain.balances[network.developer.address] = escrow(len(sent) + 64, 1, PRICE) - 1
    reply = await ask(network, sent, network.signed(sent, network.hosts[0]))
    assert (reply.status, reply.json["error"]["code"]) == (402, "insufficient_balance")
    network.chain.balances[network.developer.address] += 1
    assert (await ask(network, sent, network.signed(sent, network.hosts[0]))).status == 200


async def test_what_an_engine_says_against_an_input_stays_a_400(network: Network) -> None:
    for host in network.hosts:
        host.engine.refuses_with = {"error": {"message": "too long", "param": "input"}}
    reply = await ask(network, body())
    assert (reply.status, reply.json["error"]["param"]) == (400, "input")
    for host in network.hosts:
        assert not await host.settled()


@pytest.mark.parametrize(
    "vectors",
    [
        [np.array([np.nan, 1], "<f4").tobytes()],
        [np.array([np.inf, 1], "<f4").tobytes()],
        [np.zeros(2, "<f4").tobytes()],
        [b""],
        [b"abc"],
        [],
        [np.ones(MAX_DIMENSIONS + 1, "<f4").tobytes()],
    ],
    ids=["not a number", "infinite", "zero", "empty", "cut", "none", "too long"],
)
async def test_a_vector_that_says_nothing_is_no_answer_and_costs_nothing(
    network: Network, vectors: list[bytes]
) -> None:
    """An executor that passed it on would be paid for nothing; the ML node has failed, and others are asked."""
    first, second = network.hosts
    first.engine.vectors = vectors
    sent = body()
    reply = await ask(network, sent, first_drawn(network, sent, first))
    assert reply.status == 200
    assert reply.headers["x-pivot-executor"] == second.address
    assert not await first.settled()
    second.engine.vectors = vectors
    sent = body("Another")
    assert (await ask(network, sent, network.signed(sent, network.hosts[0]))).status == 503
    assert len(await second.settled()) == 1


@pytest.mark.parametrize("tokens", [0, -1, 1_000_001, "4", None, 4.0])
async def test_a_count_that_cannot_be_is_no_answer(network: Network, tokens: Any) -> None:
    told = {
        "data": [{"index": 0, "embedding": b64encode(np.ones(2, "<f4").tobytes()).decode()}],
        "usage": {"prompt_tokens": tokens},
    }
    for host in network.hosts:
        host.engine.garbage = orjson.dumps(told)
    assert (await ask(network, body())).status == 503


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 1, "embedding": "AACAPw=="}],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": "?"}],
        [{"index": 0}],
        [{"index": 0, "embedding": "AACAPw=="}, {"index": 1, "embedding": "AACAPw=="}],
        None,
    ],
)
async def test_an_answer_in_another_form_is_no_answer(network: Network, data: Any) -> None:
    for host in network.hosts:
        host.engine.garbage = orjson.dumps({"data": data, "usage": {"prompt_tokens": 1}})
    assert (await ask(network, body())).status == 503


async def test_vectors_of_several_lengths_are_no_answer(network: Network) -> None:
    for host in network.hosts:
        host.engine.vectors = [np.ones(2, "<f4").tobytes(), np.ones(3, "<f4").tobytes()]
    assert (await ask(network, body(["a", "b"]))).status == 503


async def test_an_engine_that_writes_without_an_end_is_cut_off(network: Network) -> None:
    for host in network.hosts:
        host.engine.garbage = b" " * (longest_answer(1) + 1)
    assert (await ask(network, body())).status == 503


async def test_a_long_answer_is_read_beside_the_loop(network: Network) -> None:
    vector = np.full(MAX_DIMENSIONS, 0.5, "<f4").tobytes()
    for host in network.hosts:
        host.engine.vectors = [vector] * 64
    reply = await ask(network, body(["a"] * 64))
    assert [each["index"] for each in reply.json["data"]] == list(range(64))
    assert reply.json["data"][63]["embedding"] == [0.5] * MAX_DIMENSIONS


def test_no_answer_is_larger_than_an_artifact_may_be() -> None:
    longest = b64encode(np.ones(MAX_DIMENSIONS, "<f4").tobytes()).decode()
    assert len(read(longest)) == MAX_DIMENSIONS
    assert longest_answer(MAX_INPUTS) < 24 * 2**20
