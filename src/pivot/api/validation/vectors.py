"""Judging embeddings: an own ML node is asked the same, and what it finds is held against what was given (docs/protocol/checking.md, 7).

Unlike a text, a vector has nothing to choose, and all that it depends on is in the request; so the check needs nothing of the
executor but its vectors. Which kind of answer it is says the model's registration, never the artifact.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import aiohttp
import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pivot.api.http.errors import BadRequest
from pivot.api.inference import embedding_input
from pivot.api.inference.embeddings import Vector, hash_of, longest_answer, read, read_count, read_vectors
from pivot.api.inference.engine import EngineFailed
from pivot.api.inference.request import EMBEDDINGS_PATH, parse
from pivot.api.validation.evidence import WrongArtifact
from pivot.api.validation.judge import MILLION, Judgement
from pivot.api.validation.replay import posted
from pivot.primitives.hashes import sha256
from pivot.protocol.engine_arguments import DEFAULTS, DTYPE, QUANTIZATION
from pivot.protocol.generated.inference.inference.types_pb2 import Inference

HALF_ROUNDING = 2.0**-11
"""Of 16-bit floats, and of what machines may put in the place of 32-bit ones."""
BRAIN_ROUNDING = 2.0**-8
BRAIN_TYPES = frozenset({"bfloat16", "auto"})
"""`auto` is what the model's files say, which is mostly bfloat16."""
SQUARED_ROUNDINGS = 100.0
"""How far a vector may lie from the one found: so many squares of the rounding of the model's numbers.

Rounding noise grows with the square of the rounding, and no faster than the number of layers. Honest machines were measured at 0.9
on average and 3.7 at most with four layers, 3.6 and 8.8 with thirty, in either type; a model that lacks a layer, or has its weights in
4 bits, lies at thousands and more. (benchmarks/calibration/vectors.py)
"""


class _Artifact(BaseModel):
    """The document (`inference/embeddings.py`)."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    version: Literal[1]
    inference_id: str
    request: str
    model: str
    vectors: Annotated[list[str], Field(min_length=1, max_length=embedding_input.MAX_INPUTS)]
    prompt_token_count: int
    completion_token_count: int


@dataclass(frozen=True)
class Given:
    """An artifact that matches the record: what was asked, and what was given for it."""

    request: Mapping[str, Any]
    vectors: list[Vector]
    tokens: int


def given_in(raw: bytes, record: Inference) -> Given:
    """What an artifact shows. raw: the document whose hash is the record's. Raises WrongArtifact."""
    try:
        artifact = _Artifact.model_validate_json(raw)
        request = parse(artifact.request.encode(), EMBEDDINGS_PATH)
        vectors = [read(text) for text in artifact.vectors]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WrongArtifact(f"{where}: {first['msg']}") from None
    except (BadRequest, ValueError) as error:
        raise WrongArtifact(f"it shows no embeddings: {error}") from None
    for what, told, recorded in (
        ("inference_id", artifact.inference_id, record.inference_id),
        ("hash of the request", sha256(artifact.request.encode()).hex(), record.prompt_hash),
        ("model", artifact.model, record.model),
        ("model of the request", request.model, record.model),
        ("hash of the vectors", hash_of(vectors), record.response_hash),
        ("number of vectors", len(vectors), embedding_input.count(request.document)),
        ("prompt_token_count", artifact.prompt_token_count, record.prompt_token_count),
        ("completion_token_count", record.completion_token_count, 0),
    ):
        if told != recorded:
            raise WrongArtifact(f"{what} is {str(told)[:100]}, not {str(recorded)[:100]}")
    return Given(request.document, vectors, record.prompt_token_count)


async def found_again(http: aiohttp.ClientSession, url: str, given: Given) -> tuple[list[Vector], int]:
    """The vectors that this engine finds, and the tokens that it counts. Raises TokensRefused, EngineFailed, NodeLost."""
    sent = orjson.dumps({**given.request, "encoding_format": "base64"})
    raw = await posted(http, url + EMBEDDINGS_PATH, sent, longest_answer(len(given.vectors)))
    return await asyncio.to_thread(_read, raw, len(given.vectors))


def judge_vectors(
    given: Given,
    found: Sequence[Vector],
    tokens: int,
    arguments: Mapping[str, str],
    *,
    least_similarity: float = 0.0,
) -> Judgement:
    """The judgement of one answer.

    tokens: that were found in the input. arguments, least_similarity: of the model's registration; 0 for none.
    """
    if given.tokens != tokens:
        return Judgement(passed=False, value_e6=0, reason=f"the input has {tokens} tokens, not {given.tokens}")
    if len(given.vectors[0]) != len(found[0]):
        sizes = f"{len(given.vectors[0])} dimensions, the replay's have {len(found[0])}"
        return Judgement(passed=False, value_e6=0, reason=f"the vectors have {sizes}")
    distances = [distance(told, again) for told, again in zip(given.vectors, found, strict=True)]
    similarity = max(0.0, 1 - sum(distances) / len(distances))
    most = limit(arguments)
    worst = int(np.argmax(distances))
    reason = ""
    if not distances[worst] <= most:
        reason = f"vector {worst} lies {distances[worst]:.2e} apart, at most {most:.2e}"
    elif similarity < least_similarity:
        reason = f"the similarity is {similarity:.4f}, the model's registration wants {least_similarity:.4f}"
    return Judgement(passed=not reason, value_e6=int(similarity * MILLION), reason=reason)


def distance(told: Vector, found: Vector) -> float:
    """How far two vectors lie apart: 1 − cosine, and what their lengths differ, |a − b|² / (2 |a| |b|)."""
    a, b = told.astype(np.float64), found.astype(np.float64)
    return float(np.vdot(a - b, a - b) / (2 * np.linalg.norm(a) * np.linalg.norm(b)))


def limit(arguments: Mapping[str, str]) -> float:
    """The largest distance of an honest vector, for a model that is registered so.

    Where a model is quantised, machines also round apart what they multiply its weights with.
    """
    coarse = arguments.get(DTYPE, DEFAULTS[DTYPE]) in BRAIN_TYPES or QUANTIZATION in arguments
    return SQUARED_ROUNDINGS * (BRAIN_ROUNDING if coarse else HALF_ROUNDING) ** 2


def _read(raw: bytes, count: int) -> tuple[list[Vector], int]:
    try:
        document = orjson.loads(raw)
        return read_vectors(document, count), read_count(document)
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(f"the engine's vectors cannot be read: {error!r}") from error
