"""Vectors of texts: what is asked at `/v1/embeddings`, and how it is answered.

As vLLM does it with a decoder that was made to write (`--runner pooling --convert embed`): a text's vector is the state of its
last token, behind the last norm, brought to length 1.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pivot.mlnode.engines.embedded.answers import Json
from pivot.mlnode.engines.embedded.batch import Sequence as BatchSequence
from pivot.mlnode.engines.embedded.requests import EngineRequest, TokenId
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.weights import Floats

MAX_INPUTS = 2_048
"""As OpenAI has it."""
AT_ONCE = 64
"""Inputs of one request that stand in the line together."""
SMALLEST_LENGTH = 1e-12
"""A shorter vector is divided by this, as torch does it."""


class EmbeddingRequest(EngineRequest):
    """Body of `/v1/embeddings`: texts or token ids, one or several."""

    model: str | None = None
    input: str | list[TokenId] | list[str] | list[list[TokenId]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    """Tokens that are read of each input; -1: as many as the context holds."""
    truncation_side: Literal["left", "right"] = "right"
    """Where an input is cut."""
    add_special_tokens: bool = True
    use_activation: bool | None = None
    """False: the vectors as they are, not brought to length 1."""

    @model_validator(mode="after")
    def _only_what_is_offered(self) -> Self:
        if self.dimensions is not None:
            raise ValueError("this model does not support matryoshka representation: its dimensions cannot be changed")
        if not 0 < len(self.inputs) <= MAX_INPUTS:
            raise ValueError(f"input must be 1 to {MAX_INPUTS} inputs")
        return self

    @property
    def inputs(self) -> list[str | list[int]]:
        """The inputs one by one."""
        if isinstance(self.input, str):
            return [self.input]
        ids = [part for part in self.input if isinstance(part, int)]
        return [ids] if ids else [part for part in self.input if not isinstance(part, int)]

    def tokens(self, model: ServedModel, part: str | list[int]) -> list[int]:
        """The tokens of one input that are read. Raises BadPrompt."""
        limit = model.context if self.truncate_prompt_tokens == -1 else self.truncate_prompt_tokens
        if isinstance(part, str):
            part = model.encode(part, add_special_tokens=self.add_special_tokens, param="input", cut=limit is not None)
        if limit is None or limit >= len(part):
            return part
        return part[:limit] if self.truncation_side == "right" else part[len(part) - limit :]


def embedding_answer(request: EmbeddingRequest, model: str, read: Sequence[BatchSequence]) -> Json:
    """The body of the answer. read: the inputs, each read to its end."""
    tokens = sum(len(sequence.prompt) for sequence in read)
    return {
        "id": f"embd-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [
            {"index": index, "object": "embedding", "embedding": _written(request, _state(sequence))}
            for index, sequence in enumerate(read)
        ],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens},
    }


def _written(request: EmbeddingRequest, state: Floats) -> Any:
    """state: (D,)."""
    length = np.float32(1) if request.use_activation is False else np.linalg.norm(state)
    vector = (state / max(length, np.float32(SMALLEST_LENGTH))).astype("<f4")
    return base64.b64encode(vector.tobytes()).decode() if request.encoding_format == "base64" else vector.tolist()


def _state(sequence: BatchSequence) -> Floats:
    if sequence.state is None:
        raise ValueError("a text that was not read has no vector")
    return sequence.state
