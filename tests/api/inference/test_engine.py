"""What engines say, and how it is read."""

import io
from typing import Any

import orjson
import pytest

from pivot.api.inference import engine, sse
from pivot.api.inference.payload import LARGE_BODY_BYTES, payload
from pivot.api.inference.request import (
    COMPLETIONS_PATH,
    DEFAULT_COMPLETION_TOKENS,
    TEMPLATE_ALLOWANCE,
    max_tokens,
    parse,
    prompt_bound,
)
from pivot.api.inference.transcript import Transcript


@pytest.mark.parametrize(
    ("complaint", "message"),
    [
        (b'{"object":"error","message":"too long","code":400}', "too long"),
        (b'{"error":{"message":"too long","param":"messages"}}', "too long"),
        (b'{"error":"too long"}', "too long"),
        (b'{"detail":"too long"}', "too long"),
        (b'"too long"', "too long"),
        (b"too long", "too long"),
        (b"{}", "the engine refused the request"),
    ],
)
def test_an_engines_complaint_becomes_an_openai_error(complaint: bytes, message: str) -> None:
    error = orjson.loads(engine.client_error(complaint))["error"]
    assert error["message"] == message
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "complaint",
    [
        {"error": {"message": "x", "code": "context_length_exceeded"}},
        {"error": {"message": "This model's maximum context length is 1024 tokens. However, ...", "code": 400}},
        {"error": {"message": "Input length (9) exceeds model's maximum context length (8).", "code": 400}},
        {"error": {"message": "max_tokens=9 cannot be greater than max_model_len=8. Please request fewer."}},
        {"error": {"message": "The prompt is longer than the maximum model length of 8."}},
    ],
)
def test_what_is_longer_than_the_context_has_openais_code(complaint: Any) -> None:
    error = orjson.loads(engine.client_error(orjson.dumps(complaint)))["error"]
    assert error["code"] == "context_length_exceeded"


def test_any_other_complaint_is_the_engines() -> None:
    assert (
        orjson.loads(engine.client_error(b'{"error":{"message":"no","code":400}}'))["error"]["code"]
        == "refused_by_engine"
    )


def test_the_seed_of_a_request_follows_from_its_id() -> None:
    assert engine.seed_of("id") == engine.seed_of("id") != engine.seed_of("other")
    assert 0 <= engine.seed_of("id") < 2**31


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a30_events_are_whole_wherever_the_pieces_were_cut(size: int) -> None:
    stream = b'data: {"a":1}\n\n: a comment\n\ndata:{"b":2}\n\ndata: [DONE]\n\n'
    events = sse.Events()
    found = [data for i in range(0, len(stream), size) for data in events.feed(stream[i : i + size])]
    assert found == [b'{"a":1}', b'{"b":2}', sse.DONE]


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 10)
    with pytest.raises(ValueError, match="longer than 10"):
        sse.Events().feed(b"data: " + b"x" * 20)


def test_an_engines_error_in_a_stream_is_passed_on() -> None:
    transcript = Transcript(parse(b'{"model":"m","messages":[{"role":"user"}]}'), "id")
    event = b'{"error":{"message":"out of memory"}}'
    assert transcript.event(event) == event
    assert not transcript.answered


def request_of(**fields: Any) -> Any:
    return parse(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 400}], **fields}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None}, None),
        ({}, None),
    ],
)
def test_a27_max_completion_tokens_wins_over_max_tokens(fields: dict[str, Any], expected: int | None) -> None:
    request = request_of(**fields)
    left = 1024 - prompt_bound(request, 1024)
    assert max_tokens(request, 1024) == (left if expected is None else expected)


@pytest.mark.parametrize(("context_window", "expected"), [(10**6, 5000), (500, 62), (0, 1)])
def test_the_default_of_max_tokens_has_bounds(context_window: int, expected: int) -> None:
    assert max_tokens(request_of(), context_window) == expected


def test_the_prompts_bound_is_above_the_bytes_of_its_texts() -> None:
    request = request_of(tools=[{"type": "function", "function": {"name": "f"}}])
    assert prompt_bound(request, 1024) == len(request.body) + TEMPLATE_ALLOWANCE


def test_the_bound_of_a_prompt_with_media_is_the_context_window() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = request_of(messages=[{"role": "user", "content": [picture]}])
    assert prompt_bound(request, 1024) == 1024


def test_a_completion_without_max_tokens_has_openais_default() -> None:
    request = parse(b'{"model":"m","prompt":"x"}', COMPLETIONS_PATH)
    assert max_tokens(request, 1024) == DEFAULT_COMPLETION_TOKENS


def test_large_bodies_go_out_piece_by_piece() -> None:
    assert payload(b"small") == b"small"
    assert isinstance(payload(b" " * LARGE_BODY_BYTES), io.BytesIO)
