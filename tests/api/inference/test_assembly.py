"""Whole answers from the events of a stream."""

from typing import Any

import orjson
import pytest

from pivot.api.inference import engine, relaying
from pivot.api.inference.assembly import SHORT_ANSWER_TOKENS, Assembly, is_possible
from pivot.api.inference.parts import Head
from pivot.api.inference.request import parse
from pivot.api.inference.transcript import Transcript


def request_of(**fields: Any) -> Any:
    return parse(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}))


@pytest.mark.parametrize(
    ("fields", "possible"),
    [
        ({}, True),
        ({"seed": 1, "temperature": 0.5, "stop": ["a"], "response_format": {"type": "json_object"}}, True),
        ({"tools": None}, True),
        ({"tools": [{}]}, False),
        ({"tool_choice": "auto"}, False),
        ({"modalities": ["text"]}, False),
        ({"stream_options": {"include_usage": True}}, False),
        ({"stream": True}, False),
    ],
)
def test_what_a_stream_may_change_is_asked_whole(fields: dict[str, Any], possible: bool) -> None:
    assert is_possible(request_of(**fields), SHORT_ANSWER_TOKENS + 1) is possible
    assert not is_possible(request_of(**fields), SHORT_ANSWER_TOKENS)


def test_texts_and_lists_grow_and_of_everything_else_the_last_word_counts() -> None:
    assembly = Assembly(is_chat=True)
    head = {"id": "i", "created": 1, "object": "chat.completion.chunk"}
    for choice in (
        {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
        {"delta": {"reasoning": "Hm"}, "logprobs": None, "token_ids": [1]},
        {"delta": {"content": "A", "reasoning": "."}, "logprobs": {"content": [1]}, "token_ids": [2, 3]},
        {"delta": {"content": "b", "refusal": None}, "logprobs": {"content": [2]}, "finish_reason": "stop"},
    ):
        assembly.add({**head, "choices": [{"index": 0, **choice}]})
    assembly.add({**head, "choices": [], "usage": {"completion_tokens": 3}})
    assert orjson.loads(assembly.whole()) == {
        "id": "i",
        "created": 1,
        "object": "chat.completion",
        "usage": {"completion_tokens": 3},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Ab", "reasoning": "Hm.", "refusal": None},
                "logprobs": {"content": [1, 2]},
                "finish_reason": "stop",
                "token_ids": [1, 2, 3],
            }
        ],
    }


def test_calls_of_tools_that_nobody_asked_for_are_no_answer() -> None:
    with pytest.raises(ValueError, match="tool_calls"):
        Assembly(is_chat=True).add({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]})


def test_a_stream_that_says_nothing_is_no_answer() -> None:
    assembly = Assembly(is_chat=False)
    assembly.add({"choices": [], "usage": {}})
    with pytest.raises(ValueError, match="without an answer"):
        assembly.whole()


class Reply:
    """A stream that is here already."""

    status, is_stream = 200, True

    def __init__(self, *pieces: bytes) -> None:
        self.first, *self._rest = pieces

    async def more(self) -> bytes:
        return self._rest.pop(0) if self._rest else b""


EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"token_ids":[7]}]}\n\n'
DONE = b"data: [DONE]\n\n"


async def told(*pieces: bytes, **fields: Any) -> tuple[list[Any], Transcript]:
    transcript = Transcript(request_of(**fields), "id", 10)
    parts = [part async for part in relaying.relayed(Reply(*pieces), transcript)]  # type: ignore[arg-type]  # what is asked of one
    return parts, transcript


async def test_an_answer_in_one_piece_begins_when_its_stream_has_ended() -> None:
    parts, transcript = await told(EVENT[:20], EVENT[20:] + EVENT, DONE)
    assert isinstance(parts[0], Head)
    assert parts[0].length == len(parts[1])
    assert orjson.loads(parts[1])["choices"][0]["message"]["content"] == "aa"
    assert transcript.token_ids.tolist() == [7, 7]


@pytest.mark.parametrize(
    ("pieces", "fault", "reason"),
    [
        ((EVENT,), engine.NodeLost, "ended before its last event"),
        ((EVENT, b'data: {"error":{"message":"out of memory"}}\n\n', DONE), engine.EngineFailed, "out of memory"),
        ((DONE,), engine.EngineFailed, "without an answer"),
        ((EVENT, b"data: {\n\n", DONE), engine.EngineFailed, "cannot be read"),
        ((EVENT.replace(b"7", b"99999999999"), DONE), engine.EngineFailed, "cannot be read"),
        ((EVENT.replace(b"7", b'"7"'), DONE), engine.EngineFailed, "cannot be read"),
        ((EVENT * 11, DONE), engine.EngineFailed, "more than 10 tokens"),
    ],
)
async def test_a_stream_that_is_no_answer_is_refused_before_its_head(
    pieces: tuple[bytes, ...], fault: type[Exception], reason: str
) -> None:
    with pytest.raises(fault, match=reason):
        await told(*pieces)
