"""The artifact that an executor shows for an answer, read and held against the chain's record.

Whatever does not match here is a failure, and the same for every checker: the artifact's hash is in the signed finish.
"""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pivot.api.validation.positions import Told
from pivot.primitives.hashes import sha256
from pivot.protocol.engine_arguments import LEAST_LOGPROBS
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

LOWEST_LOGPROB = -10_000.0
"""Engines write about this for what cannot be chosen."""
HIGHEST_LOGPROB = 1e-3
"""0, and what rounding adds."""

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Logprob = Annotated[float, Field(ge=LOWEST_LOGPROB, le=HIGHEST_LOGPROB, allow_inf_nan=False)]
Top = Annotated[list[tuple[str, Logprob]], Field(min_length=1, max_length=LEAST_LOGPROBS)]
"""Where a completion's tokens have the same text they are listed once."""


class WrongArtifact(Exception):
    """The artifact is the one that was signed, and does not show the answer that was recorded."""


class Artifact(BaseModel):
    """The document (`inference/artifacts.py`)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    version: Literal[1]
    inference_id: str
    request: str
    model: str
    max_tokens: int
    prompt_token_ids: Annotated[list[TokenId], Field(min_length=1)]
    token_ids: Annotated[list[TokenId], Field(min_length=1)]
    """An engine that has read its prompt has made a token: an answer without one would be paid for its prompt and show no work."""
    logprobs: list[tuple[str, Logprob, Top]]
    content: str
    finish_reason: str | None
    prompt_token_count: int
    completion_token_count: int


class Evidence(BaseModel):
    """An artifact that matches the record, with the request that it answers."""

    model_config = ConfigDict(frozen=True)

    request: dict[str, Any]
    prompt_token_ids: list[int]
    token_ids: list[int]
    positions: list[Told]
    content: str


def evidence_of(raw: bytes, record: Inference) -> Evidence:
    """What an artifact shows. raw: the document whose hash is the record's. Raises WrongArtifact."""
    try:
        artifact = Artifact.model_validate_json(raw)
        request = orjson.loads(artifact.request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WrongArtifact(f"{where}: {first['msg']}") from None
    except ValueError as error:
        raise WrongArtifact(f"its request is not JSON: {error}") from None
    _require_shallow(request)
    count = artifact.completion_token_count
    for what, told, recorded in (
        ("inference_id", artifact.inference_id, record.inference_id),
        ("hash of the request", sha256(artifact.request.encode()).hex(), record.prompt_hash),
        ("model", artifact.model, record.model),
        ("model of the request", request.get("model") if isinstance(request, dict) else None, record.model),
        ("max_tokens", artifact.max_tokens, record.max_tokens),
        ("hash of the answer", sha256(artifact.content.encode()).hex(), record.response_hash),
        ("prompt_token_count", artifact.prompt_token_count, record.prompt_token_count),
        ("number of prompt_token_ids", len(artifact.prompt_token_ids), record.prompt_token_count),
        ("completion_token_count", count, record.completion_token_count),
        ("number of token_ids", len(artifact.token_ids), count),
        ("number of logprobs", len(artifact.logprobs), count),
    ):
        if told != recorded:
            raise WrongArtifact(f"{what} is {str(told)[:100]}, not {str(recorded)[:100]}")
    if count > record.max_tokens:
        raise WrongArtifact(f"{count} tokens, at most {record.max_tokens} were asked for")
    return Evidence.model_construct(
        request=request,
        prompt_token_ids=artifact.prompt_token_ids,
        token_ids=artifact.token_ids,
        positions=artifact.logprobs,
        content=artifact.content,
    )


def _require_shallow(request: Any) -> None:
    """No host can have sent an engine what cannot be written, nor can a checker. Raises WrongArtifact."""
    try:
        orjson.dumps(request)
    except TypeError as error:
        raise WrongArtifact(f"its request is nested too deep: {error}") from None
