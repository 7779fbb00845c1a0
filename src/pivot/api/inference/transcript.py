"""What an engine answered, read once on its way to the developer.

Every event of a stream is parsed a single time: what the checkers need is noted, what the developer did not ask for is taken
out, and the engine's id gives way to the inference's id.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from pivot.api.inference.request import MAX_TOP_LOGPROBS, Request
from pivot.primitives.hashes import sha256
from pivot.protocol.pricing import MAX_TOKENS_PER_REQUEST

Position = tuple[str, float, list[tuple[str, float]]]
"""A token of the answer, its log-probability, and what else stood high at its place. A plain tuple: there is one per token."""


@dataclass
class Transcript:
    """The answer so far."""

    request: Request
    inference_id: str
    most_tokens: int = MAX_TOKENS_PER_REQUEST
    """That were asked for. An engine that tells of more is not believed."""
    prompt_token_ids: list[int] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    _content: list[str] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether there is anything to settle."""
        return bool(self.usage or self.token_ids or self.positions)

    @property
    def content(self) -> str:
        """The text of the answer, without tool calls."""
        return "".join(self._content)

    @property
    def response_hash(self) -> str:
        """Lower-case hex of SHA-256 of the text."""
        return sha256(self.content.encode()).hex()

    @property
    def prompt_token_count(self) -> int:
        """As the engine counted, or as many as it named if it did not come to its count."""
        return int(self.usage.get("prompt_tokens") or len(self.prompt_token_ids))

    @property
    def completion_token_count(self) -> int:
        return int(self.usage.get("completion_tokens") or max(len(self.token_ids), len(self.positions)))

    def event(self, data: bytes) -> bytes | None:
        """Note the JSON of one event of a stream; the JSON for the developer, or None if there is nothing for them in it.

        The last usage counts, so `continuous_usage_stats` cannot make an answer cheap (weakness A-28).
        """
        document = orjson.loads(data)
        if "error" in document:
            return data
        self._note(document, "delta")
        if not document["choices"] and not self.request.wants_usage:
            return None
        if not self.request.wants_usage:
            document.pop("usage", None)
        return orjson.dumps(document)

    def whole(self, data: bytes) -> bytes:
        """Note a whole answer; the JSON for the developer."""
        document = orjson.loads(data)
        self._note(document, "message")
        return orjson.dumps(document)

    def _note(self, document: dict[str, Any], content_field: str) -> None:
        document["id"] = self.inference_id
        usage = document.get("usage")
        if usage:
            self._require_possible(usage)
            self.usage = usage
        self._note_prompt(document)
        for choice in document["choices"]:
            self._note_prompt(choice)  # where engines put it in a completion
            self._note_choice(choice, content_field)

    def _note_prompt(self, part: dict[str, Any]) -> None:
        prompt_token_ids = part.get("prompt_token_ids")
        if prompt_token_ids:
            self.prompt_token_ids = prompt_token_ids
        if not self.request.wants_token_ids:
            part.pop("prompt_token_ids", None)

    def _note_choice(self, choice: dict[str, Any], content_field: str) -> None:
        self._require_room(choice)
        content = choice[content_field].get("content") if self.request.is_chat else choice["text"]
        if content:
            self._content.append(content)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        token_ids = choice.get("token_ids")
        if token_ids:
            self.token_ids += token_ids
        if not self.request.wants_token_ids:
            choice.pop("token_ids", None)
        logprobs = choice.get("logprobs")
        if logprobs:
            if self.request.is_chat:
                self._note_chat_logprobs(logprobs.get("content") or [])
            else:
                self._note_completion_logprobs(logprobs)
            if not self.request.wants_logprobs:
                choice["logprobs"] = None

    def _require_room(self, choice: dict[str, Any]) -> None:
        """Raises ValueError if these are more tokens than were asked for."""
        told = (choice.get("logprobs") or {}).get("content" if self.request.is_chat else "tokens") or ()
        ids = choice.get("token_ids") or ()
        if max(len(self.token_ids) + len(ids), len(self.positions) + len(told)) > self.most_tokens:
            raise ValueError(f"more than {self.most_tokens} tokens")

    def _require_possible(self, usage: dict[str, Any]) -> None:
        """Raises ValueError for counts that no answer to this request has."""
        for name, most in (("prompt_tokens", MAX_TOKENS_PER_REQUEST), ("completion_tokens", self.most_tokens)):
            count = usage.get(name)
            if count is not None and (type(count) is not int or not 0 <= count <= most):
                raise ValueError(f"usage.{name} is {count!r:.40}, it can be 0 to {most}")

    def _note_chat_logprobs(self, entries: list[dict[str, Any]]) -> None:
        """Keep all, and leave the developer as many as were asked for."""
        for entry in entries:
            top = [(each["token"], each["logprob"]) for each in entry["top_logprobs"]]
            self.positions.append((entry["token"], entry["logprob"], top))
            if self.request.wants_logprobs:
                entry["top_logprobs"] = entry["top_logprobs"][: self.request.top_logprobs]

    def _note_completion_logprobs(self, logprobs: dict[str, Any]) -> None:
        """As for a chat; here engines write the alternatives as an object, to which the token itself is added."""
        tops = logprobs["top_logprobs"]
        for place, (token, logprob) in enumerate(zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)):
            top = sorted(tops[place].items(), key=lambda each: -each[1])[:MAX_TOP_LOGPROBS]
            self.positions.append((token, logprob, top))
            tops[place] = dict(top[: self.request.top_logprobs]) | {token: logprob}
