"""A model with all that belongs to it, as its folder has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pivot.mlnode.engines.embedded.batch import Sequence as BatchSequence
from pivot.mlnode.engines.embedded.chat_template import ChatTemplate, TemplateRefused
from pivot.mlnode.engines.embedded.decoder import Decoder
from pivot.mlnode.engines.embedded.requests import ChatMessage, GenerationRequest
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.tokenizer import Tokenizer


class BadPrompt(Exception):
    """The prompt cannot be taken. `code` is OpenAI's, if it has one."""

    def __init__(self, message: str, *, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True)
class ServedModel:
    """What is served under a name."""

    name: str
    decoder: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate | None
    stop_ids: frozenset[int]
    """Tokens that end an answer."""
    sampling: Sampling
    """How tokens are chosen unless a request says otherwise."""

    @classmethod
    def load(cls, folder: Path, name: str, context: int | None = None) -> ServedModel:
        """The model of a folder of Hugging Face files. Raises UnsupportedModel."""
        config = json.loads((folder / "config.json").read_text())
        path = folder / "generation_config.json"
        generation = json.loads(path.read_text()) if path.exists() else {}
        ends = generation.get("eos_token_id", config.get("eos_token_id"))
        return cls(
            name,
            Decoder.load(folder, context),
            Tokenizer.load(folder),
            ChatTemplate.load(folder),
            frozenset(ends if isinstance(ends, list) else [ends] if ends is not None else []),
            _sampling_defaults(generation),
        )

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        return self.decoder.shape.context

    def chat_prompt(
        self,
        messages: Sequence[ChatMessage],
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[int]:
        """The ids of a chat. variables: what the template may want besides. Raises BadPrompt."""
        if self.template is None:
            raise BadPrompt("this model has no chat template; use /v1/completions", param="messages")
        known = {"messages": [message.for_template() for message in messages]}
        try:
            text = self.template.render({**variables, **known, "add_generation_prompt": add_generation_prompt})
        except TemplateRefused as error:
            raise BadPrompt(str(error), param="messages") from error
        return self.encode(text)

    def encode(
        self, text: str, *, add_special_tokens: bool = False, param: str = "prompt", cut: bool = False
    ) -> list[int]:
        """The ids of a text. Raises BadPrompt, without reading it, for one that cannot fit the context, unless it will be cut."""
        if not cut and len(text) > self.context * self.tokenizer.longest:
            raise self._too_long(f"at least {len(text) // self.tokenizer.longest}", param)
        return self.tokenizer.encode(text, add_special_tokens=add_special_tokens)

    def sequence(self, prompt: Sequence[int], request: GenerationRequest, choice: int) -> BatchSequence:
        """One choice of a request, ready for the batch. Raises BadPrompt."""
        limit = request.token_limit
        room = self._room_behind(prompt, "prompt")
        if room < min(1, 1 if limit is None else limit):
            raise self._too_long(str(len(prompt)), "prompt")
        ends = frozenset() if request.ignore_eos else self.stop_ids
        return BatchSequence(
            prompt,
            max_tokens=room if limit is None else min(limit, room),
            sampling=request.sampling(self.sampling, choice),
            stop_ids=ends | set(request.stop_token_ids),
            top=request.top or 0,
            prompt_top=request.prompt_top,
        )

    def read_sequence(self, text: Sequence[int]) -> BatchSequence:
        """A text that is to be read and not continued, ready for the batch. Raises BadPrompt."""
        if self._room_behind(text, "input") < 0:
            raise self._too_long(str(len(text)), "input")
        return BatchSequence(text, max_tokens=0)

    def _room_behind(self, tokens: Sequence[int], param: str) -> int:
        """What the context leaves; below 0 for tokens that do not fit. Raises BadPrompt for what are no tokens."""
        if not tokens:
            raise BadPrompt(f"the {param} has no tokens", param=param)
        if max(tokens) >= self.decoder.shape.vocabulary:
            raise BadPrompt(f"token {max(tokens)} is out of vocabulary", param=param)
        return self.context - len(tokens)

    def _too_long(self, tokens: str, param: str) -> BadPrompt:
        message = f"This model's maximum context length is {self.context} tokens, and the {param} has {tokens}."
        return BadPrompt(message, param=param, code="context_length_exceeded")


def _sampling_defaults(generation: dict[str, Any]) -> Sampling:
    """As vLLM takes them from `generation_config.json`."""
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    return Sampling(**{name: generation[name] for name in names if generation.get(name) is not None})
