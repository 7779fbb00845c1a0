"""What an engine answered, read once on its way to the developer.

Every event of a stream is read a single time: what the checkers need is noted, what the developer did not ask for is taken
out, and the engine's id gives way to the inference's id.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from pivot.api.inference.positions import Positions, cut_logprobs, rows_of_chat, rows_of_completion
from pivot.api.inference.request import Request
from pivot.primitives.hashes import sha256
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Transcript:
    """The answer so far."""

    request: Request
    inference_id: str
    most_tokens: int = MAX_TOKENS_PER_REQUEST
    """That were asked for. An engine that tells of more is not believed."""
    prompt_token_ids: list[int] = field(default_factory=list)
    token_ids: "array[int]" = field(default_factory=lambda: array("i"))
    positions: Positions = field(init=False)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    _text: bytearray = field(default_factory=bytearray)
    _is_chat: bool = field(init=False)
    _wants_logprobs: bool = field(init=False)
    _wants_token_ids: bool = field(init=False)
    _wants_usage: bool = field(init=False)

    def __post_init__(self) -> None:
        request = self.request
        self._is_chat, self._wants_logprobs = request.is_chat, request.wants_logprobs
        self._wants_token_ids, self._wants_usage = request.wants_token_ids, request.wants_usage
        self.positions = Positions(is_chat=self._is_chat, most=self.most_tokens)

    @property
    def answered(self) -> bool:
        """Whether there is anything to settle: checkers believe no answer without a token."""
        return self.completion_token_count > 0

    @property
    def content(self) -> str:
        """The text of the answer, without tool calls."""
        return self._text.decode()

    @property
    def response_hash(self) -> str:
        """Lower-case hex of SHA-256 of the text."""
        return sha256(bytes(self._text)).hex()

    @property
    def prompt_token_count(self) -> int:
        """As the engine counted, or as many as it named if it did not come to its count."""
        return int(self.usage.get("prompt_tokens") or len(self.prompt_token_ids))

    @property
    def completion_token_count(self) -> int:
        return int(self.usage.get("completion_tokens") or max(len(self.token_ids), len(self.positions)))

    def event(self, data: bytes) -> bytes | None:
        """Note the JSON of one event of a stream; the JSON for the developer, or None if there is nothing for them in it.

        Raises ValueError, KeyError, TypeError, AttributeError, OverflowError for what cannot be read.
        """
        document = self.note(data)
        if "error" in document:
            return data
        if not self._wants_usage:
            if not document["choices"]:
                return None
            document.pop("usage", None)
        return orjson.dumps(document)

    def note(self, data: bytes) -> dict[str, Any]:
        """Note the JSON of one event; what it says without what only the checkers need. Raises what `event` raises.

        The last usage counts, so `continuous_usage_stats` cannot make an answer cheap (weakness A-28).
        """
        cut = None if self._wants_logprobs else cut_logprobs(data)
        document, logprobs = cut or (orjson.loads(data), None)
        if "error" not in document:
            self._note(document, "delta", logprobs)
        return document

    def whole(self, data: bytes) -> bytes:
        """Note a whole answer; the JSON for the developer. Raises what `event` raises."""
        document = orjson.loads(data)
        self._note(document, "message")
        return orjson.dumps(document)

    def finish(self) -> None:
        """Nothing more comes. Raises ValueError if what came last cannot be read."""
        try:
            self.positions.read()
        except ValueError:
            self._forget_unread()
            raise

    def _note(self, document: dict[str, Any], content_field: str, cut: bytes | None = None) -> None:
        """cut: the log-probabilities of the only choice, if they are not in the document."""
        document["id"] = self.inference_id
        usage = document.get("usage")
        if usage:
            self._require_possible(usage)
            self.usage = usage
        self._note_prompt(document)
        for choice in document["choices"]:
            self._note_prompt(choice)  # where engines put it in a completion
            self._note_choice(choice, content_field, cut)
        if usage and self.token_ids:
            self._put_right(usage)

    def _put_right(self, usage: dict[str, Any]) -> None:
        """Tokens that were named count, whatever the engine says of them: checkers count them, too."""
        prompt, completion = len(self.prompt_token_ids) or usage.get("prompt_tokens") or 0, len(self.token_ids)
        told = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if told != (prompt, completion):
            log.warning("usage_put_right", told=told, named=(prompt, completion))
            usage.update(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)

    def _note_prompt(self, part: dict[str, Any]) -> None:
        if "prompt_token_ids" in part:
            self.prompt_token_ids = part["prompt_token_ids"] or self.prompt_token_ids
            if not self._wants_token_ids:
                del part["prompt_token_ids"]

    def _note_choice(self, choice: dict[str, Any], content_field: str, cut: bytes | None) -> None:
        content = choice[content_field].get("content") if self._is_chat else choice["text"]
        token_ids = choice.get("token_ids") or []
        if len(self.token_ids) + len(token_ids) > self.most_tokens:
            raise ValueError(f"more than {self.most_tokens} tokens")
        if cut is not None:
            self._note_cut(cut, len(token_ids))
        else:
            self._note_logprobs(choice)
        self.token_ids.extend(token_ids)
        if not self._wants_token_ids:
            choice.pop("token_ids", None)
        if content:
            self._text += content.encode()
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _note_cut(self, logprobs: bytes, count: int) -> None:
        try:
            self.positions.add_cut(logprobs, count)
        except ValueError:
            self._forget_unread()
            raise

    def _forget_unread(self) -> None:
        """What cannot be shown to a checker does not count."""
        del self.token_ids[len(self.positions) :]
        self.usage = {}

    def _note_logprobs(self, choice: dict[str, Any]) -> None:
        """Keep all, and leave the developer as many as were asked for."""
        logprobs = choice.get("logprobs")
        if not logprobs:
            return
        self.positions.add((rows_of_chat if self._is_chat else rows_of_completion)(logprobs))
        if not self._wants_logprobs:
            choice["logprobs"] = None
        elif self._is_chat:
            for entry in logprobs.get("content") or []:
                entry["top_logprobs"] = entry["top_logprobs"][: self.request.top_logprobs]
        else:
            logprobs["top_logprobs"] = [
                dict(top[: self.request.top_logprobs]) | {token: logprob}
                for token, logprob, top in rows_of_completion(logprobs)
            ]

    def _require_possible(self, usage: dict[str, Any]) -> None:
        """Raises ValueError for counts that no answer to this request has."""
        for name, most in (("prompt_tokens", MAX_TOKENS_PER_REQUEST), ("completion_tokens", self.most_tokens)):
            count = usage.get(name)
            if count is not None and (type(count) is not int or not 0 <= count <= most):
                raise ValueError(f"usage.{name} is {count!r:.40}, it can be 0 to {most}")
