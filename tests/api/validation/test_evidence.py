"""An artifact held against the record: every field that the record knows, and every form that it may have."""

from typing import Any

import orjson
import pytest

from pivot.api.validation.evidence import WrongArtifact, evidence_of
from pivot.primitives.hashes import sha256
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

REQUEST = '{"model": "m", "messages": []}'
TOP = [[letter, -1.0 - number] for number, letter in enumerate("abcde")]


def document() -> dict[str, Any]:
    return {
        "version": 1,
        "inference_id": "id",
        "request": REQUEST,
        "model": "m",
        "max_tokens": 4,
        "prompt_token_ids": [1, 2, 3],
        "token_ids": [5, 6],
        "logprobs": [["a", -1.0, TOP], ["b", -2.0, TOP]],
        "content": "ab",
        "finish_reason": "stop",
        "prompt_token_count": 3,
        "completion_token_count": 2,
    }


def record() -> Inference:
    return Inference(
        inference_id="id",
        prompt_hash=sha256(REQUEST.encode()).hex(),
        response_hash=sha256(b"ab").hex(),
        model="m",
        max_tokens=4,
        prompt_token_count=3,
        completion_token_count=2,
    )


def test_an_artifact_that_matches_is_evidence() -> None:
    found = evidence_of(orjson.dumps(document()), record())
    assert (found.prompt_token_ids, found.token_ids, found.content) == ([1, 2, 3], [5, 6], "ab")
    assert found.positions[1][:2] == ("b", -2.0)
    assert found.request["model"] == "m"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("inference_id", "other"),
        ("request", "{}"),
        ("request", "no json"),
        ("request", "[]"),
        ("model", "n"),
        ("max_tokens", 5),
        ("max_tokens", "4"),
        ("prompt_token_ids", []),
        ("prompt_token_ids", [1, 2]),
        ("prompt_token_ids", [1, 2, -3]),
        ("token_ids", [5]),
        ("token_ids", [5, 2**40]),
        ("token_ids", None),
        ("logprobs", []),
        ("logprobs", [["a", -1.0, TOP]]),
        ("logprobs", [["a", -1.0, []]] * 2),
        ("logprobs", [["a", -1.0, [*TOP, ["f", -9.0]]]] * 2),
        ("logprobs", [["a", 1.0, TOP]] * 2),
        ("logprobs", [["a", -1e9, TOP]] * 2),
        ("logprobs", [["a", None, TOP]] * 2),
        ("content", "abc"),
        ("prompt_token_count", 4),
        ("completion_token_count", 1),
    ],
)
def test_m_item34_whatever_does_not_match_the_record_is_a_failure(name: str, value: Any) -> None:
    wrong = document() | {name: value}
    with pytest.raises(WrongArtifact):
        evidence_of(orjson.dumps(wrong), record())


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 10_000])
def test_what_is_no_artifact_is_a_failure(raw: bytes) -> None:
    with pytest.raises(WrongArtifact):
        evidence_of(raw, record())


def test_a_request_that_no_host_can_have_sent_to_an_engine_is_a_failure() -> None:
    request = '{"model": "m", "messages": ' + "[" * 300 + "]" * 300 + "}"
    told = record()
    told.prompt_hash = sha256(request.encode()).hex()
    with pytest.raises(WrongArtifact, match="nested too deep"):
        evidence_of(orjson.dumps(document() | {"request": request}), told)


def test_an_answer_is_not_longer_than_was_asked_for() -> None:
    long, told = document() | {"max_tokens": 1}, record()
    told.max_tokens = 1
    with pytest.raises(WrongArtifact, match="at most 1"):
        evidence_of(orjson.dumps(long), told)


def test_a_request_of_another_model_is_a_failure() -> None:
    request = '{"model": "n"}'
    told = record()
    told.prompt_hash = sha256(request.encode()).hex()
    with pytest.raises(WrongArtifact, match="model of the request"):
        evidence_of(orjson.dumps(document() | {"request": request}), told)


def test_an_answer_without_a_token_shows_no_work() -> None:
    """Its prompt would be paid for, and no engine need ever have read it."""
    empty = document() | {"token_ids": [], "logprobs": [], "content": "", "completion_token_count": 0}
    told = record()
    told.completion_token_count, told.response_hash = 0, sha256(b"").hex()
    with pytest.raises(WrongArtifact, match="token_ids"):
        evidence_of(orjson.dumps(empty), told)
