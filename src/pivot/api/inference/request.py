"""A developer's request: its body as it came, and what of it decides the price.

`max_tokens` and `prompt_bound` are the only places that read the length of a request, so what is set aside, what is signed
and what the engine is told cannot differ.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from pivot.api.http.errors import BadRequest, MalformedBody
from pivot.api.inference import embedding_input, messages
from pivot.protocol import signing
from pivot.protocol.pricing import DEFAULT_MAX_TOKENS, MAX_TOKENS_PER_REQUEST

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
EMBEDDINGS_PATH = "/v1/embeddings"
PATHS = frozenset({CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH})
"""Where questions are asked, at a host and at an engine."""
DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI and engines take for a completion that names no `max_tokens`."""
TOKENS_BESIDE_A_VECTOR = 1
"""Embeddings are paid by their input alone; but the chain takes no request that may have no token in its answer."""
MAX_MODEL_NAME_LENGTH = 256
MAX_CHOICES = 8
LARGEST_SEED = 2**63 - 1
MAX_TOP_LOGPROBS = 5
"""As many alternatives as an executor keeps of each position; more cannot be asked for."""
NOT_OFFERED = (
    "functions",  # engines know `tools` alone, and would pass over them in silence
    "use_beam_search",  # work that tokens do not price
    "echo",  # with log-probabilities, which an engine is always asked for, it is that work too
    "prompt_logprobs",
    "chat_template",  # a program of the developer's: the prompt's length would not follow from the body's
    "documents",
    "mm_processor_kwargs",
    "logits_processors",
    "return_tokens_as_token_ids",  # the checkers' artifact has its own form
    "request_id",  # how an engine treats requests among each other is the host's affair
    "priority",
    "kv_transfer_params",
)
TEMPLATE_ALLOWANCE = 64
"""Tokens that a chat template may add to a request (turns, a default system prompt)."""
LONGEST_BODY_BYTES = MAX_TOKENS_PER_REQUEST - TEMPLATE_ALLOWANCE
"""Of a longer one the bound of the prompt is more than the chain records, so nobody would be paid for its answer."""
MOST_NESTED = 250
"""Levels of lists and objects that can be written as well as read."""
_SHARE_OF_CONTEXT = 8


@dataclass(frozen=True)
class Request:
    """A question as the developer sent it."""

    body: bytes
    document: dict[str, Any]
    model: str
    path: str = CHAT_PATH
    """One of PATHS. A chat has `messages`, a completion a `prompt`, embeddings an `input`, and none two of them that count."""

    @cached_property
    def body_hash(self) -> str:
        """Lower-case hex of SHA-256 of the body."""
        return signing.body_hash(self.body)

    @property
    def stream(self) -> bool:
        return self.document.get("stream") is True

    @property
    def choices(self) -> int:
        """How many answers are asked for (`n`)."""
        return self.document.get("n") or 1

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with its token counts."""
        return bool((self.document.get("stream_options") or {}).get("include_usage"))

    @property
    def is_chat(self) -> bool:
        return self.path == CHAT_PATH

    @property
    def wants_vectors(self) -> bool:
        return self.path == EMBEDDINGS_PATH

    @property
    def wants_logprobs(self) -> bool:
        """A chat says so by true, a completion by how many."""
        asked = self.document.get("logprobs")
        return asked is True if self.is_chat else asked is not None

    @property
    def top_logprobs(self) -> int:
        return int(self.document.get("top_logprobs" if self.is_chat else "logprobs") or 0)

    @property
    def wants_token_ids(self) -> bool:
        return self.document.get("return_token_ids") is True


def parse(body: bytes, path: str = CHAT_PATH) -> Request:
    """The request of a body sent to one of PATHS. Raises MalformedBody or BadRequest with a sentence that names the field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedBody("the body must be a JSON object")
    _check_depth(body, document)
    model = document.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_NAME_LENGTH:
        raise MalformedBody(f"model must be a name of 1 to {MAX_MODEL_NAME_LENGTH} characters", param="model")
    flags = ["stream", "return_token_ids"]
    if path == CHAT_PATH:
        messages.check(document.get("messages"))
        flags.append("logprobs")
    elif path == EMBEDDINGS_PATH:
        embedding_input.check(document)
    else:
        _check_prompt(document)
        _check_whole(document, "logprobs", 0, MAX_TOP_LOGPROBS)
    for name in flags:
        if not isinstance(document.get(name), bool | None):
            raise MalformedBody(f"{name} must be true or false", param=name)
    if not isinstance(document.get("stream_options"), dict | None):
        raise MalformedBody("stream_options must be an object", param="stream_options")
    _check_whole(document, "max_completion_tokens", 1, MAX_TOKENS_PER_REQUEST)
    _check_whole(document, "max_tokens", 1, MAX_TOKENS_PER_REQUEST)
    _check_whole(document, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    if path == CHAT_PATH and document.get("top_logprobs") and not document.get("logprobs"):
        raise BadRequest("top_logprobs needs logprobs to be true", param="top_logprobs")
    _check_whole(document, "seed", -LARGEST_SEED - 1, LARGEST_SEED)
    _check_template_arguments(document.get("chat_template_kwargs"))
    _check_whole(document, "n", 1, MAX_CHOICES)
    _check_whole(document, "best_of", 1, 1)
    for name in NOT_OFFERED:
        if name in document and not _is_absent(document[name]):
            raise BadRequest(f"{name} is not offered on this network", param=name)
    if path == CHAT_PATH and not document["messages"]:
        raise MalformedBody("messages must hold one message at least", param="messages")
    return Request(body, document, model, path)


def paths_of(gives_vectors: bool) -> tuple[str, ...]:
    """Where a model is asked: one that gives vectors, or one that writes."""
    return (EMBEDDINGS_PATH,) if gives_vectors else (CHAT_PATH, COMPLETIONS_PATH)


def prompt_bound(request: Request, context_window: int) -> int:
    """Upper bound of the prompt's tokens.

    No token of a text is shorter than a byte, and the body holds all texts. A picture's tokens do not follow from its bytes;
    but no engine takes a prompt that is longer than its context.
    """
    if request.is_chat and messages.have_media(request.document["messages"]):
        return context_window
    return len(request.body) + TEMPLATE_ALLOWANCE


def max_tokens(request: Request, context_window: int) -> int:
    """Most tokens that the answer may have: `max_completion_tokens`, else `max_tokens`, else what the context leaves.

    That default is at most DEFAULT_MAX_TOKENS, and at least an eighth of the context window, because the prompt's bound
    in bytes may be far above its tokens. A completion's default is DEFAULT_COMPLETION_TOKENS. Embeddings have none.
    """
    if request.wants_vectors:
        return TOKENS_BESIDE_A_VECTOR
    for name in ("max_completion_tokens", "max_tokens"):
        asked = request.document.get(name)
        if asked is not None:
            return int(asked)
    if not request.is_chat:
        return DEFAULT_COMPLETION_TOKENS
    left = max(context_window - prompt_bound(request, context_window), context_window // _SHARE_OF_CONTEXT, 1)
    return min(DEFAULT_MAX_TOKENS, left)


def _check_prompt(document: dict[str, Any]) -> None:
    """One prompt, as a text or as token ids; clients also write it as a list of one."""
    if not _is_absent(document.get("messages")):
        raise BadRequest(f"messages belong to {CHAT_PATH}", param="messages")
    prompt = document.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        if len(prompt) > 1:
            raise BadRequest("prompt must be one prompt: every answer is a request of its own", param="prompt")
        prompt = prompt[0]
    is_ids = isinstance(prompt, list) and bool(prompt) and all(type(token) is int for token in prompt)
    if not isinstance(prompt, str) and not is_ids:
        raise MalformedBody("prompt must be a text or a list of token ids", param="prompt")


def _is_absent(value: Any) -> bool:
    """Whether a client has said, in one of the ways in which clients do, that it does not want something."""
    return value is None or value is False or value in ("", [], {})


def _check_depth(body: bytes, document: dict[str, Any]) -> None:
    """More levels can be read than written, and the engine's request must be written."""
    if body.count(b"{") + body.count(b"[") > MOST_NESTED:
        try:
            orjson.dumps(document)
        except TypeError:
            raise MalformedBody(f"the body is nested deeper than {MOST_NESTED} levels") from None


def _check_template_arguments(arguments: Any) -> None:
    """Switches of the model's template (`enable_thinking`), and nothing that brings another template or more text."""
    if not isinstance(arguments, dict | None):
        raise MalformedBody("chat_template_kwargs must be an object", param="chat_template_kwargs")
    for name, value in (arguments or {}).items():
        if name == "chat_template" or not isinstance(value, bool | int | float | str | None):
            raise BadRequest(
                f"chat_template_kwargs may hold only switches of the model's own template, not {name[:100]!r}",
                param="chat_template_kwargs",
            )


def _check_whole(document: dict[str, Any], name: str, lowest: int, highest: int) -> None:
    value = document.get(name)
    if value is None:
        return
    if type(value) is not int or not lowest <= value <= highest:
        raise MalformedBody(f"{name} must be a whole number from {lowest} to {highest}", param=name)
