"""Log-probabilities that are cut out of events, against those of events that are parsed whole."""

import json
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pivot.api.inference import artifacts, positions, transcript
from pivot.api.inference.positions import PACK_AT, READ_AT_BYTES, Positions, cut_logprobs
from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH, parse
from pivot.api.inference.transcript import Transcript
from tests.api.inference.engine import completion_logprobs, entry

NASTY = (
    '},"',
    ',"logprobs":{',
    '"},"token":"',
    '\\"',
    "\\",
    '","',
    ':1},"',
    "}]}]},",
    "é€😀",
    "\u2028",
    "\x00",
    '{"index":0',
)
"""Texts that look like what surrounds them."""
words = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=6), st.lists(st.sampled_from(NASTY), max_size=3).map("".join)
)
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9_999, 0))


@st.composite
def chat_logprobs(draw: st.DrawFn, count: int) -> dict[str, Any]:
    def one() -> dict[str, Any]:
        word = draw(words)
        fields = {"token": word, "logprob": draw(numbers), "bytes": draw(st.sampled_from([None, list(word.encode())]))}
        return dict(draw(st.permutations(list(fields.items()))))

    return {
        "content": [{**one(), "top_logprobs": [one() for _ in range(draw(st.integers(0, 3)))]} for _ in range(count)]
    }


@st.composite
def text_logprobs(draw: st.DrawFn, count: int) -> dict[str, Any]:
    tokens = [draw(words) for _ in range(count)]
    fields = {
        "text_offset": list(range(count)),
        "token_logprobs": [draw(numbers) for _ in tokens],
        "tokens": tokens,
        "top_logprobs": [draw(st.dictionaries(words, numbers, max_size=3)) for _ in tokens],
    }
    return dict(draw(st.permutations(list(fields.items()))))


@st.composite
def events(draw: st.DrawFn, *, is_chat: bool) -> list[bytes]:
    """As engines write them, in any order of the keys, with and without spaces, with keys that nobody knows."""

    def write(document: Any) -> bytes:
        separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        return json.dumps(document, separators=separators, ensure_ascii=draw(st.booleans())).encode()

    written = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(0, 3))
        text = draw(words)
        choice: dict[str, Any] = {
            "index": 0,
            **({"delta": {"content": text}} if is_chat else {"text": text}),
            "logprobs": draw(chat_logprobs(count) if is_chat else text_logprobs(count)),
            "finish_reason": draw(st.sampled_from([None, "stop"])),
            "token_ids": [draw(st.integers(0, 2**17)) for _ in range(count)],
            **draw(st.dictionaries(words, st.one_of(words, st.dictionaries(words, words, max_size=2)), max_size=2)),
        }
        choice = dict(draw(st.permutations(list(choice.items()))))
        document = {"id": "x", "model": draw(words), "choices": [choice], "usage": None}
        written.append(write(dict(draw(st.permutations(list(document.items()))))))
    return written


def answered(path: str, told: list[bytes], *, whole: bool) -> tuple[list[Any], Any]:
    """What the developer gets, and the artifact."""
    asked = {"prompt": "x"} if path == COMPLETIONS_PATH else {"messages": [{"role": "user"}]}
    found = Transcript(parse(orjson.dumps({"model": "m", "stream": True, **asked}), path), "id")
    with pytest.MonkeyPatch.context() as patched:
        if whole:
            patched.setattr(transcript, "cut_logprobs", lambda _: None)
        for_developer = [orjson.loads(found.event(data) or b"null") for data in told]
    found.finish()
    return for_developer, orjson.loads(artifacts.document(found, 100, 1))


@pytest.mark.parametrize("path", [CHAT_PATH, COMPLETIONS_PATH])
@settings(deadline=None)
@given(data=st.data())
def test_a_cut_event_gives_developer_and_artifact_what_a_parsed_one_does(path: str, data: st.DataObject) -> None:
    told = data.draw(events(is_chat=path == CHAT_PATH))
    assert answered(path, told, whole=False) == answered(path, told, whole=True)


@settings(deadline=None)
@given(words, words)
@example('},"', "x")
@example(',"logprobs":{"content":[', '"}]}')
def test_an_event_as_engines_write_it_is_cut_unless_its_texts_look_like_its_frame(word: str, other: str) -> None:
    data = orjson.dumps(chat_event(word, other))
    found = cut_logprobs(data)
    if any(b'},"' in orjson.dumps(each) for each in (word, other)):
        assert found is None
        return
    assert found is not None
    document, logprobs = found
    assert document["choices"][0]["logprobs"] is None
    assert orjson.loads(logprobs) == chat_event(word, other)["choices"][0]["logprobs"]
    assert document["choices"][0]["delta"]["content"] == word


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[]}',
        b'{"choices":[{"index":0,"logprobs":null}]}',
        b'{"choices":[{"index":0,"logprobs":{"content":[]}}]}',
        b'{"choices":[{"delta":{"x":1,"logprobs":{"content":[]},"y":1},"z":1}]}',
        b'{"choices":[{"index":0,"logprobs":{"a":{},"b":1},"c":1}]}',
        b'{"choices":[{"index":0,"logprobs":{"content":[]},"logprobs":null}]}',
        b'{"choices":[{"index":0,"logprobs":{"content":[]},"x":1},{"index":1}]}',
        b'{"x":1,"logprobs":{"content":[]},"y":{"choices":[]}}',
        b'{"choices":[{"index":0,"logprobs":{"content":[]},"x":',
    ],
    ids=["none", "null", "last", "elsewhere", "deeper", "twice", "two choices", "no choices", "cut off"],
)
def test_what_is_unusual_is_not_cut(data: bytes) -> None:
    assert cut_logprobs(data) is None


def test_a_cut_that_is_no_json_is_refused_when_it_is_read_and_what_came_before_is_kept() -> None:
    request = parse(b'{"model":"m","messages":[{"role":"user"}],"stream":true}')
    found = Transcript(request, "id")
    found.event(orjson.dumps(chat_event(" a", "b")))
    found.finish()
    found.event(orjson.dumps(chat_event(" c", "d")).replace(b"-0.5", b"-0,5"))
    with pytest.raises(ValueError, match="unexpected"):
        found.finish()
    assert len(found.positions) == len(found.token_ids) == found.completion_token_count == 1
    assert [row[0] for row in orjson.loads(found.positions.json())] == [" a"]


@pytest.mark.parametrize("logprobs", [b'{"content":[{}]}', b'{"content":[1]}', b'{"content":1}', b"[]"])
def test_log_probabilities_of_another_shape_are_refused(logprobs: bytes) -> None:
    found = Positions(is_chat=True, most=10)
    found.add_cut(logprobs, 1)
    with pytest.raises(ValueError, match="cannot be read"):
        found.read()
    assert len(found) == 0


def test_an_engine_that_tells_of_more_positions_than_tokens_is_not_believed() -> None:
    found = Positions(is_chat=True, most=2)
    content = orjson.dumps({"content": [entry(" a", number) for number in range(3)]})
    found.add_cut(content, 1)
    with pytest.raises(ValueError, match="more than 2"):
        found.read()
    assert len(found) == 0


@pytest.mark.parametrize("count", [1, PACK_AT, 3 * PACK_AT + 1])
@pytest.mark.parametrize("is_chat", [True, False])
def test_all_positions_are_found_again_in_order(count: int, is_chat: bool) -> None:
    found = Positions(is_chat=is_chat, most=count)
    for number in range(count):
        word = f" {number}"
        told = {"content": [entry(word, 0)]} if is_chat else completion_logprobs((word,))
        if number % 3:
            found.add_cut(orjson.dumps(told), 1)
        else:
            found.add((positions.rows_of_chat if is_chat else positions.rows_of_completion)(told))
        assert len(found) == number + 1
    found.read()
    assert [row[0] for row in orjson.loads(found.json())] == [f" {number}" for number in range(count)]


def test_little_waits_to_be_read() -> None:
    found = Positions(is_chat=True, most=10**6)
    logprobs = orjson.dumps({"content": [entry(" word", 0)]})
    for _ in range(2_000):
        found.add_cut(logprobs, 1)
        assert found._cut_bytes <= READ_AT_BYTES
        assert len(found._rows) < PACK_AT
    assert sum(map(len, found._packed)) < 2_000 * 100


def test_an_answer_of_500_tokens_takes_less_than_50_kb() -> None:
    data = orjson.dumps(chat_event(" word", " other"))
    request = parse(b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}')
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        found = Transcript(request, "id")
        for _ in range(500):
            found.event(data)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.positions) == 500
    assert held - before < 50_000


def chat_event(word: str, other: str) -> dict[str, Any]:
    logprobs = {
        "content": [
            {
                "token": word,
                "logprob": -0.5,
                "bytes": None,
                "top_logprobs": [{"token": other, "logprob": -1, "bytes": [1]}],
            }
        ]
    }
    choice = {"index": 0, "delta": {"content": word}, "logprobs": logprobs, "finish_reason": None, "token_ids": [1]}
    return {"id": "x", "choices": [choice], "usage": None}
