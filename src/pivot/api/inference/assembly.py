"""A whole answer put together from the events of a stream.

An executor asks its engine for a stream also where the developer wants the answer in one piece: if the developer leaves, the
engine stops, and what it had answered by then is there and is settled. Not so where an engine's stream may say something else
than its whole answer, or where the answer is short: these are asked for whole, and finished whoever leaves.
"""

from typing import Any

import orjson

from pivot.api.inference.request import Request

SHORT_ANSWER_TOKENS = 64
"""So few are done before an engine could be stopped for much of a gain, and each would cost this node an event."""
ASKED_WHOLE = ("tools", "tool_choice", "functions", "function_call", "modalities", "stream_options")
"""Engines read calls of tools out of a streamed text with other code; options of a stream without a stream are a 400."""

Json = dict[str, Any]


def is_possible(request: Request, max_tokens: int) -> bool:
    """Whether an answer of at most so many tokens shall be put together from a stream."""
    wanted_whole = not request.stream and not request.wants_vectors and max_tokens > SHORT_ANSWER_TOKENS
    return wanted_whole and all(request.document.get(name) is None for name in ASKED_WHOLE)


class Assembly:
    """The answer so far: texts and lists grow, of everything else the last word counts."""

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat
        self._head: Json = {}
        self._choice: Json = {}
        self._message: Json = {}
        self._texts: dict[str, list[str]] = {}
        self._logprobs: dict[str, list[Any]] = {}

    def add(self, document: Json) -> None:
        """One event. Raises ValueError, KeyError, TypeError, AttributeError for what cannot be part of a whole answer."""
        for choice in document.pop("choices"):
            self._add_choice(choice)
        _take(self._head, document)

    def whole(self) -> bytes:
        """The answer as JSON. Raises ValueError if there is none."""
        if not self._choice:
            raise ValueError("a stream without an answer")
        texts = {name: "".join(parts) for name, parts in self._texts.items()}
        if self._is_chat:
            answer: Json = {"message": {"role": "assistant", "content": None, **self._message, **texts}}
        else:
            answer = texts
        choice = {"index": 0, **answer, "logprobs": self._logprobs or None, **self._choice}
        kind = "chat.completion" if self._is_chat else "text_completion"
        return orjson.dumps({**self._head, "object": kind, "choices": [choice]})

    def _add_choice(self, choice: Json) -> None:
        for name, values in (choice.pop("logprobs", None) or {}).items():
            self._logprobs.setdefault(name, []).extend(values)
        if "token_ids" in choice:
            choice["token_ids"] = [*self._choice.get("token_ids", ()), *(choice["token_ids"] or ())]
        for name, value in (choice.pop("delta") if self._is_chat else {"text": choice.pop("text")}).items():
            if isinstance(value, str) and name != "role":
                self._texts.setdefault(name, []).append(value)
            elif isinstance(value, list) and value:
                raise ValueError(f"{name} in an answer that was not asked for any")
            else:
                _take(self._message, {name: value})
        _take(self._choice, choice)


def _take(into: Json, document: Json) -> None:
    """What says nothing takes nothing back."""
    for name, value in document.items():
        if value is not None or name not in into:
            into[name] = value
