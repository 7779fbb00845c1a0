"""The engine over real HTTP, in OpenAI's shapes and vLLM's additions."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import MAX_BODY_BYTES, engine_app
from tests.mlnode import fakes
from tests.mlnode.engines.tiny import CONTEXT, VOCABULARY

SLOTS = 4
MAX_WAITING = 8
CHAT = {
    "model": "pivot/tiny-random",
    "messages": [{"role": "user", "content": "What is an epoch?"}],
    "seed": 11,
    "temperature": 1.0,
    "max_tokens": 12,
    "ignore_eos": True,
}
TEXT = {"prompt": "A host proves", "seed": 11, "max_tokens": 6, "ignore_eos": True}
Post = Callable[..., Awaitable[Any]]


@pytest.fixture
async def batch(served: ServedModel) -> Batch:
    return Batch(served.decoder, SLOTS)


@asynccontextmanager
async def engine(model: ServedModel, batch: Batch) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an engine that serves the model."""
    scheduler = Scheduler(batch, MAX_WAITING)
    running = asyncio.create_task(scheduler.run())
    async with fakes.served(engine_app(model, scheduler)) as url, fakes.client(url) as session:
        yield session
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def http(served: ServedModel, batch: Batch) -> AsyncIterator[aiohttp.ClientSession]:
    async with engine(served, batch) as session:
        yield session


@pytest.fixture
async def post(http: aiohttp.ClientSession) -> Post:
    return poster(http)


def poster(http: aiohttp.ClientSession) -> Post:
    """Posts a body, changed by fields, to a route. Returns the answer, which must have the expected status."""

    async def post(path: str, body: dict[str, Any], *, status: int = 200, **changes: Any) -> Any:
        async with http.post(path, json=body | changes) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    return post


async def stream(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a streamed answer, which must end with [DONE]."""
    async with http.post(path, json=body | {"stream": True}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        events = (await response.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


async def test_a_chat_is_answered_in_the_openai_shape(post: Post) -> None:
    answer = await post("/v1/chat/completions", CHAT)
    choice = answer["choices"][0]
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == "pivot/tiny-random"
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "length", None)
    assert choice["message"]["role"] == "assistant"
    assert answer["usage"] == {"prompt_tokens": 20, "completion_tokens": 12, "total_tokens": 32}
    assert answer["prompt_logprobs"] is None


async def test_a_stream_says_the_same_as_one_answer(http: aiohttp.ClientSession, post: Post) -> None:
    answer = await post("/v1/chat/completions", CHAT)
    events = await stream(http, "/v1/chat/completions", CHAT | {"stream_options": {"include_usage": True}})
    *chunks, last = events
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == answer["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert (last["choices"], last["usage"]) == ([], answer["usage"])


async def test_without_the_option_a_stream_tells_no_usage(http: aiohttp.ClientSession) -> None:
    assert not any("usage" in event for event in await stream(http, "/v1/chat/completions", CHAT))


async def test_a_field_that_is_null_is_as_if_it_were_not_there(post: Post) -> None:
    names = (
        "stream",
        "stream_options",
        "n",
        "stop",
        "stop_token_ids",
        "top_p",
        "presence_penalty",
        "tools",
        "logprobs",
    )
    more = ("chat_template_kwargs", "add_generation_prompt", "skip_special_tokens", "max_completion_tokens")
    nulls = dict.fromkeys((*names, *more))
    plain, told = await post("/v1/chat/completions", CHAT), await post("/v1/chat/completions", CHAT, **nulls)
    assert told["choices"] == plain["choices"]


async def test_the_usage_so_far_is_told_in_every_chunk_that_asks_for_it(http: aiohttp.ClientSession) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = await stream(http, "/v1/chat/completions", CHAT | {"stream_options": options})
    told = [event["usage"]["completion_tokens"] for event in events]
    assert told == sorted(told)
    assert (told[0], told[-2:]) == (0, [CHAT["max_tokens"]] * 2)
    alone = await stream(http, "/v1/completions", TEXT | {"stream_options": {"continuous_usage_stats": True}})
    assert not any("usage" in event for event in alone)


async def test_a_seed_repeats_an_answer_and_each_choice_has_its_own(post: Post) -> None:
    first, second = [await post("/v1/chat/completions", CHAT, n=3) for _ in range(2)]
    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert texts == [choice["message"]["content"] for choice in second["choices"]]
    assert len(set(texts)) == 3
    assert [choice["index"] for choice in first["choices"]] == [0, 1, 2]
    assert first["usage"] == {"prompt_tokens": 20, "completion_tokens": 36, "total_tokens": 56}


async def test_log_probabilities_of_a_chat(http: aiohttp.ClientSession, post: Post) -> None:
    body = CHAT | {"logprobs": True, "top_logprobs": 5, "return_token_ids": True}
    answer = await post("/v1/chat/completions", body)
    content = answer["choices"][0]["logprobs"]["content"]
    assert len(content) == len(answer["choices"][0]["token_ids"]) == 12
    for entry in content:
        tops = [top["logprob"] for top in entry["top_logprobs"]]
        assert len(tops) == 5
        assert tops == sorted(tops, reverse=True)
        assert entry["logprob"] <= tops[0] <= 0
        assert bytes(entry["bytes"]).decode(errors="replace") == entry["token"]
    events = await stream(http, "/v1/chat/completions", body)
    assert events[0]["prompt_token_ids"] == answer["prompt_token_ids"]
    streamed = [part for event in events[1:] for part in event["choices"][0]["logprobs"]["content"]]
    assert [part["token"] for part in streamed] == [part["token"] for part in content]
    assert [part["logprob"] for part in streamed] == pytest.approx([part["logprob"] for part in content], abs=1e-4)
    assert [i for event in events[1:] for i in event["choices"][0]["token_ids"]] == answer["choices"][0]["token_ids"]


async def test_log_probabilities_can_be_told_without_alternatives_and_by_id(post: Post) -> None:
    body = CHAT | {"logprobs": True, "return_token_ids": True, "return_tokens_as_token_ids": True}
    choice = (await post("/v1/chat/completions", body))["choices"][0]
    content = choice["logprobs"]["content"]
    assert [entry["token"] for entry in content] == [f"token_id:{token}" for token in choice["token_ids"]]
    assert all(entry["top_logprobs"] == [] for entry in content)


async def test_prompt_logprobs_equal_the_generations_to_1e_4(post: Post) -> None:
    body = CHAT | {"logprobs": True, "top_logprobs": 5, "return_token_ids": True, "max_tokens": 40, "top_p": 0.9}
    answer = await post("/v1/chat/completions", body)
    question, choice = answer["prompt_token_ids"], answer["choices"][0]
    check = {"prompt": question + choice["token_ids"], "max_tokens": 1, "prompt_logprobs": 5}
    checked = (await post("/v1/completions", check))["choices"][0]["prompt_logprobs"]
    assert checked[0] is None
    for token, entry, scores in zip(
        choice["token_ids"], choice["logprobs"]["content"], checked[len(question) :], strict=True
    ):
        assert scores[str(token)]["logprob"] == pytest.approx(entry["logprob"], abs=1e-4)
        best = sorted((score["logprob"] for score in scores.values()), reverse=True)[:5]
        assert best == pytest.approx([top["logprob"] for top in entry["top_logprobs"]], abs=1e-4)
        assert {score["rank"] for score in scores.values()} >= {1, 2, 3, 4, 5}
        assert len(scores) in {5, 6}


async def test_prompt_logprobs_of_a_chat(post: Post) -> None:
    answer = await post("/v1/chat/completions", CHAT, prompt_logprobs=0, return_token_ids=True)
    told = answer["prompt_logprobs"]
    assert told[0] is None
    assert [list(entry) for entry in told[1:]] == [[str(token)] for token in answer["prompt_token_ids"][1:]]
    assert set(told[1][str(answer["prompt_token_ids"][1])]) == {"logprob", "rank", "decoded_token"}


async def test_concurrent_requests_get_what_they_get_alone(post: Post) -> None:
    bodies = [CHAT | {"seed": seed, "max_tokens": 10 + seed} for seed in range(8)]
    alone = [await post("/v1/chat/completions", body) for body in bodies]
    together = await asyncio.gather(*(post("/v1/chat/completions", body) for body in bodies))
    assert [a["choices"] for a in alone] == [t["choices"] for t in together]


async def test_a_stop_string_ends_the_answer_and_does_not_show(http: aiohttp.ClientSession, post: Post) -> None:
    text = (await post("/v1/completions", TEXT, max_tokens=40))["choices"][0]["text"]
    stop = text[9:12]
    choice = (await post("/v1/completions", TEXT, max_tokens=40, stop=[stop, "never there"]))["choices"][0]
    assert choice["text"] == text[: text.index(stop)]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
    events = await stream(http, "/v1/completions", TEXT | {"max_tokens": 40, "stop": stop})
    assert "".join(event["choices"][0]["text"] for event in events) == choice["text"]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_stop_token_ends_the_answer(post: Post) -> None:
    ids = (await post("/v1/completions", TEXT, return_token_ids=True))["choices"][0]["token_ids"]
    choice = (await post("/v1/completions", TEXT, return_token_ids=True, stop_token_ids=[ids[3]]))["choices"][0]
    assert choice["token_ids"] == ids[: ids.index(ids[3]) + 1]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", ids[3])


async def test_the_models_own_end_ends_the_answer_unless_ignored(post: Post, served: ServedModel, batch: Batch) -> None:
    ids = (await post("/v1/completions", TEXT, return_token_ids=True))["choices"][0]["token_ids"]
    async with engine(replace(served, stop_ids=frozenset([ids[2]])), batch) as http:
        ended = await poster(http)("/v1/completions", TEXT, ignore_eos=False)
        ignored = await poster(http)("/v1/completions", TEXT, ignore_eos=True)
    assert ended["choices"][0]["finish_reason"] == "stop"
    assert ended["choices"][0]["stop_reason"] is None
    assert ended["usage"]["completion_tokens"] == ids.index(ids[2]) + 1
    assert ignored["choices"][0]["finish_reason"] == "length"


async def test_completions_take_text_ids_and_several_of_them(post: Post) -> None:
    one = await post("/v1/completions", TEXT, return_token_ids=True)
    assert one["object"] == "text_completion"
    assert one["id"].startswith("cmpl-")
    ids = one["choices"][0]["prompt_token_ids"]
    for prompt in ([TEXT["prompt"]], ids, [ids]):
        assert (await post("/v1/completions", TEXT, prompt=prompt))["choices"][0]["text"] == one["choices"][0]["text"]
    several = await post("/v1/completions", TEXT, prompt=[ids, ids[:3]], n=2)
    assert [choice["index"] for choice in several["choices"]] == [0, 1, 2, 3]
    assert several["choices"][0]["text"] == one["choices"][0]["text"]
    assert several["usage"]["prompt_tokens"] == len(ids) + 3


async def test_an_echo_repeats_the_prompt_with_its_log_probabilities(http: aiohttp.ClientSession, post: Post) -> None:
    plain = (await post("/v1/completions", TEXT, logprobs=2))["choices"][0]
    choice = (await post("/v1/completions", TEXT, logprobs=2, echo=True))["choices"][0]
    assert choice["text"] == "A host proves" + plain["text"]
    told, expected = choice["logprobs"], plain["logprobs"]
    assert "".join(told["tokens"][:-6]) == "A host proves"
    assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
    assert told["token_logprobs"][-6:] == pytest.approx(expected["token_logprobs"], abs=1e-4)
    assert all(1 <= len(top) <= 3 for top in told["top_logprobs"][1:])
    assert told["text_offset"][:3] == [0, *(sum(map(len, told["tokens"][:i])) for i in (1, 2))]
    events = await stream(http, "/v1/completions", TEXT | {"echo": True})
    assert "".join(event["choices"][0]["text"] for event in events) == choice["text"]


async def test_a_prompt_can_be_scored_alone(post: Post) -> None:
    answer = await post("/v1/completions", TEXT, max_tokens=0, echo=True, logprobs=0)
    assert answer["choices"][0]["text"] == "A host proves"
    assert answer["usage"]["completion_tokens"] == 0


async def test_streamed_log_probabilities_of_a_completion(http: aiohttp.ClientSession, post: Post) -> None:
    whole = (await post("/v1/completions", TEXT, logprobs=1))["choices"][0]["logprobs"]
    events = await stream(http, "/v1/completions", TEXT | {"logprobs": 1})
    for name in ("tokens", "text_offset"):
        assert [part for event in events for part in event["choices"][0]["logprobs"][name]] == whole[name]


async def test_max_tokens_beyond_the_context_is_cut_to_it(post: Post) -> None:
    for limit in ({"max_tokens": 10_000}, {"max_tokens": None}, {"max_tokens": 3, "max_completion_tokens": 10_000}):
        answer = await post("/v1/chat/completions", CHAT, **limit)
        assert answer["usage"]["total_tokens"] == CONTEXT
        assert answer["choices"][0]["finish_reason"] == "length"


async def test_the_default_temperature_is_the_models(post: Post, served: ServedModel) -> None:
    assert served.sampling.temperature == 0.9
    default = await post("/v1/chat/completions", CHAT, temperature=None)
    assert default["choices"] == (await post("/v1/chat/completions", CHAT, temperature=0.9))["choices"]


async def test_content_may_come_in_parts(post: Post) -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "an epoch?"}]
    answer = await post("/tokenize", {"messages": [{"role": "user", "content": parts}]})
    plain = await post("/tokenize", {"messages": [{"role": "user", "content": "What is\nan epoch?"}]})
    assert answer == plain


async def test_tokenize_and_detokenize(post: Post) -> None:
    answer = await post("/tokenize", {"prompt": "größer", "return_token_strs": True})
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    assert answer["max_model_len"] == CONTEXT
    assert await post("/detokenize", {"tokens": answer["tokens"]}) == {"prompt": "größer"}
    chat = await post("/tokenize", {"messages": CHAT["messages"]})
    text = (await post("/detokenize", {"tokens": chat["tokens"]}))["prompt"]
    assert text == "<|im_start|>user\nWhat is an epoch?<|im_end|>\n<|im_start|>assistant\n"


async def test_models_health_and_version(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/models") as response:
        (model,) = (await response.json())["data"]
        assert (model["id"], model["object"], model["max_model_len"]) == ("pivot/tiny-random", "model", CONTEXT)
    async with http.get("/health") as response:
        assert (response.status, await response.text()) == (200, "")
    async with http.get("/version") as response:
        assert set(await response.json()) == {"version"}


@pytest.mark.parametrize(
    ("path", "change", "param", "sentence"),
    [
        ("/v1/chat/completions", {"temperature": 2.1}, "temperature", "less than or equal to 2"),
        ("/v1/chat/completions", {"temperature": -1}, "temperature", "greater than or equal to 0"),
        ("/v1/chat/completions", {"top_p": 0}, "top_p", "greater than 0"),
        ("/v1/chat/completions", {"top_k": -2}, "top_k", "greater than or equal to -1"),
        ("/v1/chat/completions", {"n": 0}, "n", "greater than or equal to 1"),
        ("/v1/chat/completions", {"n": 17}, "n", "less than or equal to 16"),
        ("/v1/chat/completions", {"max_tokens": -1}, "max_tokens", "greater than or equal to 0"),
        ("/v1/chat/completions", {"seed": 2**63}, "seed", "less than"),
        ("/v1/chat/completions", {"stop": [""]}, "stop.0", "at least 1 character"),
        ("/v1/chat/completions", {"top_logprobs": 5}, None, "logprobs must be set to true"),
        ("/v1/chat/completions", {"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
        ("/v1/chat/completions", {"stream": True, "prompt_logprobs": 1}, None, "not available when stream is true"),
        ("/v1/chat/completions", {"stream_options": {"include_usage": True}}, None, "only be set when stream is true"),
        ("/v1/chat/completions", {"tools": [{}]}, None, "tools are not offered"),
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, None, "response_format"),
        ("/v1/chat/completions", {"messages": []}, "messages", "at least 1 item"),
        ("/v1/chat/completions", {"messages": [{"role": "tool", "content": ""}]}, "messages", "no tools here"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            None,
            "0.type: this model takes text alone, no image_url",
        ),
        ("/v1/completions", {"prompt": []}, None, "1 to 64 prompts"),
        ("/v1/completions", {"prompt": ""}, "prompt", "the prompt has no tokens"),
        ("/v1/completions", {"prompt": [VOCABULARY]}, "prompt", f"token {VOCABULARY} is out of vocabulary"),
        ("/v1/completions", {"prompt": [-1]}, None, "greater than or equal to 0"),
        ("/v1/completions", {"suffix": "x"}, None, "suffix is not offered"),
        ("/v1/completions", {"stream": True, "echo": True, "logprobs": 1}, None, "echo with logprobs"),
        (
            "/tokenize",
            {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi"},
            None,
            "either prompt or messages",
        ),
        ("/detokenize", {"tokens": "x"}, "tokens", "valid list"),
    ],
)
async def test_bad_parameters_are_refused_in_the_openai_shape(
    post: Post, path: str, change: dict[str, Any], param: str | None, sentence: str
) -> None:
    body = {"/v1/chat/completions": CHAT, "/v1/completions": TEXT}.get(path, {})
    error = (await post(path, body | change, status=400))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert sentence in error["message"]
    assert param is None or error["param"] == param


async def test_a_prompt_that_fills_the_context_is_refused(post: Post) -> None:
    error = (await post("/v1/completions", TEXT, prompt=[1] * CONTEXT, status=400))["error"]
    assert error["code"] == "context_length_exceeded"
    assert str(CONTEXT) in error["message"]
    assert (await post("/v1/completions", TEXT, prompt=[1] * (CONTEXT - 1)))["usage"]["completion_tokens"] == 1


async def test_a_text_that_cannot_fit_is_refused_before_it_is_read(post: Post, served: ServedModel) -> None:
    text = "a" * (CONTEXT * served.tokenizer.longest + 1)
    for path, body in (("/v1/completions", TEXT), ("/tokenize", {})):
        error = (await post(path, body, prompt=text, status=400))["error"]
        assert error["code"] == "context_length_exceeded"
        assert f"has at least {CONTEXT}" in error["message"]


async def test_a_model_without_a_template_is_not_for_chat(served: ServedModel, batch: Batch) -> None:
    async with engine(replace(served, template=None), batch) as http:
        error = (await poster(http)("/v1/chat/completions", CHAT, status=400))["error"]
    assert "no chat template" in error["message"]


async def test_a_bug_is_a_500_in_the_same_shape(
    http: aiohttp.ClientSession, served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(served.tokenizer), "encode", lambda *_, **__: 1 / 0)
    async with http.post("/v1/completions", json=TEXT) as response:
        assert response.status == 500
        assert (await response.json())["error"]["type"] == "server_error"


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_bug(
    http: aiohttp.ClientSession, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        raise RuntimeError("the client breaks")

    with pytest.raises((RuntimeError, aiohttp.ClientError)):
        async with http.post("/v1/completions", data=body()):
            pass
    await post("/tokenize", {"prompt": "x"})
    assert "Exception in ASGI application" not in caplog.text


async def test_another_model_is_404(post: Post) -> None:
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/completions", TEXT), ("/tokenize", {"prompt": "x"})):
        error = (await post(path, body, model="gpt-9", status=404))["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "'gpt-9' does not exist" in error["message"]


async def test_a_body_that_is_no_json_object_is_refused(http: aiohttp.ClientSession) -> None:
    for data, sentence in ((b"{", "no valid JSON"), (b"[1]", "valid dictionary"), (b"", "no valid JSON")):
        async with http.post("/v1/chat/completions", data=data) as response:
            assert response.status == 400
            assert sentence in (await response.json())["error"]["message"]


async def test_an_oversized_body_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/completions", data=io.BytesIO(bytes(MAX_BODY_BYTES + 1))) as response:
        assert response.status == 413
        assert "larger than" in (await response.json())["error"]["message"]


async def test_unknown_routes_and_methods_are_errors_of_the_same_shape(http: aiohttp.ClientSession) -> None:
    for method, path, status in (("GET", "/v1/embeddings", 404), ("GET", "/v1/chat/completions", 405)):
        async with http.request(method, path) as response:
            assert response.status == status
            assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_goes_away_frees_its_slot(
    http: aiohttp.ClientSession, batch: Batch, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    steps = 0
    step = batch.step

    def counted() -> Any:
        nonlocal steps
        steps += 1
        return step()

    monkeypatch.setattr(batch, "step", counted)
    monkeypatch.setattr(batch, "_next", slowly(batch._next))
    request = asyncio.create_task(_read_all(http, CHAT | {"stream": streamed, "max_tokens": None}))
    await fakes.until(lambda: steps >= 3)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await fakes.until(lambda: batch.idle)
    assert steps < CONTEXT - 20


def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, taking 5 ms longer."""

    def slow(*arguments: Any) -> Any:
        time.sleep(0.005)
        return function(*arguments)

    return slow


async def _read_all(http: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    async with http.post("/v1/chat/completions", json=body) as response:
        await response.read()


async def test_more_than_may_wait_are_503_with_a_time_to_try_again(http: aiohttp.ClientSession, post: Post) -> None:
    error = await post("/v1/completions", TEXT, n=MAX_WAITING + 1, status=503)
    assert error["error"]["code"] == "overloaded"
    for streamed in (True, False):
        async with http.post("/v1/completions", json=TEXT | {"n": MAX_WAITING + 1, "stream": streamed}) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
    assert (await post("/v1/completions", TEXT, n=MAX_WAITING))["usage"]["completion_tokens"] == 6 * MAX_WAITING
