"""What the upstream answers, as vLLM writes it: tokens with five alternatives each if they were asked for."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from tests.api.inference.engine import entry
from tests.api.inference.network import MODEL

PROMPT_TOKENS = 40
WORDS = (" the", " network", " of", " hosts", " proves", " its", " work", ".")
BASE = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": MODEL}


@dataclass(frozen=True)
class Pace:
    """How a request wants to be answered; it stands in front of the question, which every gateway passes on as it is."""

    delay_ms: int = 0
    """Until the first byte."""
    chunks: int = 16
    """Tokens of the answer, each a chunk of a stream."""
    per_second: int = 0
    """Chunks of a stream; 0: as fast as they can be written, one by one."""

    @property
    def text(self) -> str:
        return f"{self.delay_ms},{self.chunks},{self.per_second}"

    @classmethod
    @cache
    def of(cls, question: str) -> "Pace":
        return cls(*(int(part) for part in question.partition(" ")[0].split(",")))


def request_body(pace: Pace, *, stream: bool) -> bytes:
    """A developer's request."""
    messages = [{"role": "user", "content": f"{pace.text} {'What is an epoch? ' * 8}"}]
    fields = {"model": MODEL, "messages": messages, "max_tokens": pace.chunks}
    return orjson.dumps(fields | ({"stream": True} if stream else {}))


@cache
def whole(tokens: int, *, logprobs: bool) -> bytes:
    """An HTTP response with the whole answer."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(_word(number) for number in range(tokens))},
        "logprobs": {"content": [entry(_word(number), number) for number in range(tokens)]} if logprobs else None,
        "finish_reason": "length",
        "stop_reason": None,
    }
    document = {**BASE, "object": "chat.completion", "choices": [choice], "usage": _usage(tokens)}
    if logprobs:  # who asks for them asks for the ids, too
        choice["token_ids"] = list(range(tokens))
        document["prompt_token_ids"] = list(range(PROMPT_TOKENS))
    body = orjson.dumps(document)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@cache
def events(tokens: int, *, logprobs: bool, usage: bool) -> list[bytes]:
    """A streamed answer's HTTP chunks: the first says who speaks, and the last ends the stream."""
    documents: list[dict[str, Any]] = [_event(-1, tokens, logprobs=logprobs)]
    documents += [_event(number, tokens, logprobs=logprobs) for number in range(tokens)]
    if usage:
        documents.append({**BASE, "object": "chat.completion.chunk", "choices": [], "usage": _usage(tokens)})
    data = [orjson.dumps(document) for document in documents] + [b"[DONE]"]
    framed = [_http_chunk(b"data: " + each + b"\n\n") for each in data]
    return [*framed[:-1], framed[-1] + b"0\r\n\r\n"]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(number: int, tokens: int, *, logprobs: bool) -> dict[str, Any]:
    first = number < 0
    choice: dict[str, Any] = {
        "index": 0,
        "delta": {"role": "assistant", "content": ""} if first else {"content": _word(number)},
        "logprobs": {"content": [entry(_word(number), number)]} if logprobs and not first else None,
        "finish_reason": "length" if number == tokens - 1 else None,
    }
    document = {**BASE, "object": "chat.completion.chunk", "choices": [choice]}
    if logprobs and first:
        document["prompt_token_ids"] = list(range(PROMPT_TOKENS))
    elif logprobs:
        choice["token_ids"] = [number]
    return document


def _word(number: int) -> str:
    return WORDS[number % len(WORDS)]


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
