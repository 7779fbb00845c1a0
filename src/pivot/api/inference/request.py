"""A developer's request: its body as it came, and what of it decides the price.

`max_tokens` and `prompt_bound` are the only places that read the length of a request, so what is set aside, what is signed
and what the engine is told cannot differ.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from pivot.api.http.errors import BadRequest, MalformedBody
from pivot.protocol import signing
from pivot.protocol.pricing import DEFAULT_MAX_TOKENS, MAX_TOKENS_PER_REQUEST

CHAT_PATH = "/v1/chat/completions"
MAX_MODEL_NAME_LENGTH = 200
MAX_TOP_LOGPROBS = 5
"""As many alternatives as an executor keeps of each position; more cannot be asked for."""
NOT_OFFERED = (
    "use_beam_search",  # work that tokens do not price
    "prompt_logprobs",
    "return_tokens_as_token_ids",  # the checkers' artifact has its own form
    "request_id",  # how an engine treats requests among each other is the host's affair
    "priority",
    "kv_transfer_params",
)
TEMPLATE_ALLOWANCE = 64
"""Tokens that a chat template may add to a request (turns, a default system prompt)."""
_SHARE_OF_CONTEXT = 8


@dataclass(frozen=True)
class Request:
    """A chat request as the developer sent it."""

    body: bytes
    document: dict[str, Any]
    model: str

    @cached_property
    def body_hash(self) -> str:
        """Lower-case hex of SHA-256 of the body."""
        return signing.body_hash(self.body)

    @property
    def stream(self) -> bool:
        return self.document.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with its token counts."""
        return bool((self.document.get("stream_options") or {}).get("include_usage"))

    @property
    def wants_logprobs(self) -> bool:
        return self.document.get("logprobs") is True

    @property
    def top_logprobs(self) -> int:
        return int(self.document.get("top_logprobs") or 0)

    @property
    def wants_token_ids(self) -> bool:
        return self.document.get("return_token_ids") is True


def parse(body: bytes) -> Request:
    """The request of a body. Raises MalformedBody or BadRequest with a sentence that names the field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedBody("the body must be a JSON object")
    model = document.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_NAME_LENGTH:
        raise MalformedBody(f"model must be a name of 1 to {MAX_MODEL_NAME_LENGTH} characters", param="model")
    _check_messages(document.get("messages"))
    for name in ("stream", "logprobs", "return_token_ids"):
        if not isinstance(document.get(name), bool | None):
            raise MalformedBody(f"{name} must be true or false", param=name)
    if not isinstance(document.get("stream_options"), dict | None):
        raise MalformedBody("stream_options must be an object", param="stream_options")
    _check_whole(document, "max_completion_tokens", 1, MAX_TOKENS_PER_REQUEST)
    _check_whole(document, "max_tokens", 1, MAX_TOKENS_PER_REQUEST)
    _check_whole(document, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    for name in ("n", "best_of"):
        if document.get(name) not in {None, 1}:
            raise BadRequest(f"{name} must be 1: every answer is a request of its own", param=name)
    for name in NOT_OFFERED:
        if document.get(name):
            raise BadRequest(f"{name} is not offered on this network", param=name)
    return Request(body, document, model)


def prompt_bound(request: Request) -> int:
    """Upper bound of the prompt's tokens: no token of a text is shorter than a byte, and the body holds all texts."""
    return len(request.body) + TEMPLATE_ALLOWANCE


def max_tokens(request: Request, context_window: int) -> int:
    """Most tokens that the answer may have: `max_completion_tokens`, else `max_tokens`, else what the context leaves.

    The default is at most DEFAULT_MAX_TOKENS, and at least an eighth of the context window, because the prompt's bound
    in bytes may be far above its tokens.
    """
    for name in ("max_completion_tokens", "max_tokens"):
        asked = request.document.get(name)
        if asked is not None:
            return int(asked)
    left = max(context_window - prompt_bound(request), context_window // _SHARE_OF_CONTEXT, 1)
    return min(DEFAULT_MAX_TOKENS, left)


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise MalformedBody("messages must be a list", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise MalformedBody(f"messages[{index}] must be an object with a role", param=f"messages[{index}]")
        content = message.get("content")
        if isinstance(content, list):
            if not all(_is_text(part) for part in content):
                raise BadRequest(
                    f"messages[{index}].content may hold only text parts", param=f"messages[{index}].content"
                )
        elif not isinstance(content, str | None):
            raise MalformedBody(f"messages[{index}].content must be a text", param=f"messages[{index}].content")


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _check_whole(document: dict[str, Any], name: str, lowest: int, highest: int) -> None:
    value = document.get(name)
    if value is None:
        return
    if type(value) is not int or not lowest <= value <= highest:
        raise MalformedBody(f"{name} must be a whole number from {lowest} to {highest}", param=name)
