"""Vectors of texts, read once on their way from the engine to the developer.

A request names all that its vectors depend on, so a checker asks its own engine the same and needs no token ids. What was given
is kept as it was: its hash is in the signed finish.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from pivot.api.inference import embedding_input
from pivot.api.inference.request import Request
from pivot.primitives.hashes import sha256
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST

MAX_DIMENSIONS = 4_096
"""Of a vector. With `embedding_input.MAX_INPUTS` no answer holds more than 16 MiB of numbers."""
VERSION = 1
BYTES_BESIDE_VECTORS = 2**16
BYTES_BESIDE_A_VECTOR = 256

Vector = npt.NDArray[np.float32]
"""(D,) little-endian."""


@dataclass
class Vectors:
    """The answer to a request for embeddings: what `Transcript` is to an answer in words."""

    request: Request
    inference_id: str
    vectors: list[Vector] = field(default_factory=list)
    prompt_token_count: int = 0
    completion_token_count: int = 0

    @property
    def answered(self) -> bool:
        """Whether there is anything to settle."""
        return bool(self.vectors)

    @property
    def response_hash(self) -> str:
        """Lower-case hex of SHA-256 of all vectors' bytes, one behind the other."""
        return hash_of(self.vectors)

    def whole(self, data: bytes) -> bytes:
        """Note a whole answer; the JSON for the developer. Raises ValueError, KeyError, TypeError for none that can be one."""
        document = orjson.loads(data)
        found = read_vectors(document, embedding_input.count(self.request.document))
        self.prompt_token_count = read_count(document)
        self.vectors = found
        return self._for_developer()

    def document(self) -> bytes:
        """The artifact as canonical JSON: keys sorted, no spaces."""
        contents: dict[str, Any] = {
            "version": VERSION,
            "inference_id": self.inference_id,
            "request": self.request.body.decode(),
            "model": self.request.model,
            "vectors": [written(vector) for vector in self.vectors],
            "prompt_token_count": self.prompt_token_count,
            "completion_token_count": self.completion_token_count,
        }
        return orjson.dumps(contents, option=orjson.OPT_SORT_KEYS)

    def _for_developer(self) -> bytes:
        """Vector by vector, so that a long answer leaves others their turn."""
        as_text = self.request.document.get("encoding_format") == "base64"
        entries = [
            orjson.dumps(
                {"object": "embedding", "index": index, "embedding": written(vector) if as_text else vector},
                option=orjson.OPT_SERIALIZE_NUMPY,
            )
            for index, vector in enumerate(self.vectors)
        ]
        tokens = self.prompt_token_count
        rest = {
            "model": self.request.model,
            "id": self.inference_id,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return b'{"object":"list","data":[' + b",".join(entries) + b"]," + orjson.dumps(rest)[1:]


def engine_body(request: Request) -> bytes:
    """The body for the engine: as the developer sent it, with the vectors in the form that loses nothing and is the shortest."""
    return orjson.dumps({**request.document, "encoding_format": "base64"})


def longest_answer(inputs: int) -> int:
    """What an engine's answer with so many vectors can be long; an engine that writes more has failed."""
    return BYTES_BESIDE_VECTORS + inputs * (BYTES_BESIDE_A_VECTOR + MAX_DIMENSIONS * 4 * 4 // 3)


def read_vectors(document: dict[str, Any], count: int) -> list[Vector]:
    """The vectors in an engine's answer to `count` inputs. Raises ValueError, KeyError, TypeError for what are none."""
    data = document["data"]
    if [each["index"] for each in data] != list(range(count)):
        raise ValueError(f"not the vectors of {count} inputs")
    vectors = [read(each["embedding"]) for each in data]
    if any(len(vector) != len(vectors[0]) for vector in vectors):
        raise ValueError("vectors of several lengths")
    return vectors


def read_count(document: dict[str, Any]) -> int:
    """The tokens that an engine has counted. Raises ValueError, KeyError, TypeError for a number that they cannot be."""
    tokens = document["usage"]["prompt_tokens"]
    if type(tokens) is not int or not 0 < tokens <= MAX_TOKENS_PER_REQUEST:
        raise ValueError(f"usage.prompt_tokens is {tokens!r:.40}, it can be 1 to {MAX_TOKENS_PER_REQUEST}")
    return tokens


def read(text: Any) -> Vector:
    """A vector in base64. Raises TypeError, ValueError for none, and for one that says nothing: not a number, or of length 0."""
    if not isinstance(text, str):
        raise TypeError("a vector is not in base64")
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a vector is not in base64: {error}") from None
    if len(raw) % 4 or not 0 < len(raw) // 4 <= MAX_DIMENSIONS:
        raise ValueError(f"a vector of {len(raw)} bytes, it can have 1 to {MAX_DIMENSIONS} numbers of 4")
    vector = np.frombuffer(raw, "<f4")
    if not np.isfinite(vector).all() or not vector.any():
        raise ValueError("a vector of zeros, or with what is no number")
    return vector


def written(vector: Vector) -> str:
    """A vector in base64, as OpenAI and engines write it."""
    return base64.b64encode(vector.tobytes()).decode()


def hash_of(vectors: list[Vector]) -> str:
    """Lower-case hex of SHA-256 of all vectors' bytes, one behind the other."""
    return sha256(b"".join(vector.tobytes() for vector in vectors)).hex()
