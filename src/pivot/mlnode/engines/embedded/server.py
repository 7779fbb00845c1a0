"""The engine's HTTP: OpenAI's routes and vLLM's, on the node's inference port.

Refusals are OpenAI's error objects: 400 for what cannot be done as asked, 404 for another model, 413, 503 when too much
waits. A client that goes away ends its sequences.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pivot.mlnode.engines.embedded.answers import Answer, ChatAnswer, Choice, CompletionAnswer, Json
from pivot.mlnode.engines.embedded.batch import Sequence as BatchSequence
from pivot.mlnode.engines.embedded.completion import Completion
from pivot.mlnode.engines.embedded.embeddings import AT_ONCE, EmbeddingRequest, embedding_answer
from pivot.mlnode.engines.embedded.requests import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    GenerationRequest,
    TokenizeRequest,
)
from pivot.mlnode.engines.embedded.scheduler import Overloaded, Scheduler
from pivot.mlnode.engines.embedded.served import BadPrompt, ServedModel

MAX_BODY_BYTES = 10 * 2**20
RETRY_AFTER_S = 1
CLIENT_GONE = 499
"""Nobody reads it; nginx's word for a client that closed the connection."""

Parsed = TypeVar("Parsed", bound=BaseModel)
Result = TypeVar("Result")


class Refused(Exception):
    """An error object for the client."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class Engine:
    """The routes' handlers."""

    def __init__(self, model: ServedModel, scheduler: Scheduler) -> None:
        self._model = model
        self._scheduler = scheduler
        self._started = int(time.time())

    async def chat(self, http: Request) -> Response:
        """`POST /v1/chat/completions`."""
        request = await _body(http, ChatRequest)
        self._require_model(request.model)
        choices = self._choices([self._chat_prompt(request.messages, request)], request)
        answer = ChatAnswer(request, self._model.name, self._model.tokenizer, choices)
        return await self._answer(http, request, answer, choices)

    async def complete(self, http: Request) -> Response:
        """`POST /v1/completions`."""
        request = await _body(http, CompletionRequest)
        self._require_model(request.model)
        encode = self._model.encode
        prompts = [
            encode(prompt, add_special_tokens=request.add_special_tokens) if isinstance(prompt, str) else prompt
            for prompt in request.prompts
        ]
        choices = self._choices(prompts, request)
        answer = CompletionAnswer(request, self._model.name, self._model.tokenizer, choices)
        return await self._answer(http, request, answer, choices)

    async def embed(self, http: Request) -> Response:
        """`POST /v1/embeddings`."""
        request = await _body(http, EmbeddingRequest)
        self._require_model(request.model)
        sequences = [self._model.read_sequence(request.tokens(self._model, each)) for each in request.inputs]
        done = await while_connected(http, self._read(sequences))
        if done is None:
            return Response(status_code=CLIENT_GONE)
        return _json(embedding_answer(request, self._model.name, sequences))

    async def models(self, _: Request) -> Response:
        """`GET /v1/models`."""
        model = {
            "id": self._model.name,
            "object": "model",
            "created": self._started,
            "owned_by": "pivot",
            "root": self._model.name,
            "parent": None,
            "max_model_len": self._model.context,
        }
        return _json({"object": "list", "data": [model]})

    async def tokenize(self, http: Request) -> Response:
        """`POST /tokenize`: the ids of a prompt, or of messages in the chat template."""
        request = await _body(http, TokenizeRequest)
        self._require_model(request.model)
        if request.messages is not None:
            tokens = self._chat_prompt(request.messages, request)
        else:
            tokens = self._model.encode(request.prompt or "", add_special_tokens=request.add_special_tokens)
        texts = [self._model.tokenizer.text_of(token) for token in tokens] if request.return_token_strs else None
        return _json(
            {"count": len(tokens), "max_model_len": self._model.context, "tokens": tokens, "token_strs": texts}
        )

    async def detokenize(self, http: Request) -> Response:
        """`POST /detokenize`: the text of ids."""
        request = await _body(http, DetokenizeRequest)
        self._require_model(request.model)
        return _json({"prompt": self._model.tokenizer.decode(request.tokens)})

    async def health(self, _: Request) -> Response:
        """`GET /health`: the engine serves."""
        return Response()

    async def version(self, _: Request) -> Response:
        """`GET /version`."""
        return _json({"version": importlib.metadata.version("pivot")})

    def _chat_prompt(self, messages: Sequence[ChatMessage], request: ChatRequest | TokenizeRequest) -> list[int]:
        return self._model.chat_prompt(
            messages, add_generation_prompt=request.add_generation_prompt, variables=request.chat_template_kwargs
        )

    def _require_model(self, name: str | None) -> None:
        if name is not None and name != self._model.name:
            message = f"The model {name!r} does not exist; this engine serves {self._model.name!r}."
            raise Refused(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")

    def _choices(self, prompts: Sequence[list[int]], request: GenerationRequest) -> list[Choice]:
        """A choice for each prompt, `n` times. Raises BadPrompt, Overloaded."""
        sequences = [self._model.sequence(prompt, request, choice) for prompt in prompts for choice in range(request.n)]
        self._scheduler.require_room(len(sequences))
        skip = request.skip_special_tokens
        return [
            Choice(index, sequence, Completion(self._model.tokenizer, request.stop, skip_special=skip))
            for index, sequence in enumerate(sequences)
        ]

    async def _answer(
        self, http: Request, request: GenerationRequest, answer: Answer, choices: Sequence[Choice]
    ) -> Response:
        if request.stream:
            return EventStream(self._events(answer, choices))
        done = await while_connected(http, self._finish(choices))
        return Response(status_code=CLIENT_GONE) if done is None else _json(answer.whole())

    async def _finish(self, choices: Sequence[Choice]) -> bool:
        async with contextlib.aclosing(self._scheduler.generate([choice.sequence for choice in choices])) as steps:
            async for index, step in steps:
                choices[index].take(step)
        return True

    async def _read(self, sequences: Sequence[BatchSequence]) -> bool:
        """Read texts to their ends, some at a time, so that others come between."""
        for begin in range(0, len(sequences), AT_ONCE):
            async with contextlib.aclosing(self._scheduler.generate(sequences[begin : begin + AT_ONCE])) as steps:
                async for _ in steps:
                    pass
        return True

    async def _events(self, answer: Answer, choices: Sequence[Choice]) -> AsyncGenerator[Json, None]:
        for chunk in answer.opening():
            yield chunk
        async with contextlib.aclosing(self._scheduler.generate([choice.sequence for choice in choices])) as steps:
            async for index, step in steps:
                shown = choices[index].take(step)
                if part := answer.chunk(choices[index], shown, step):
                    yield part
        if last := answer.last():
            yield last


def engine_app(model: ServedModel, scheduler: Scheduler, *, vectors: bool = False) -> Starlette:
    """The application on the inference port; the scheduler must be run beside it. vectors: instead of answers."""
    engine = Engine(model, scheduler)
    offered = (
        [Route("/v1/embeddings", engine.embed, methods=["POST"])]
        if vectors
        else [
            Route("/v1/chat/completions", engine.chat, methods=["POST"]),
            Route("/v1/completions", engine.complete, methods=["POST"]),
        ]
    )
    return Starlette(
        routes=[
            *offered,
            Route("/v1/models", engine.models),
            Route("/tokenize", engine.tokenize, methods=["POST"]),
            Route("/detokenize", engine.detokenize, methods=["POST"]),
            Route("/health", engine.health),
            Route("/version", engine.version),
        ],
        exception_handlers={
            Refused: _refused,
            BadPrompt: _bad_prompt,
            Overloaded: _overloaded,
            ClientDisconnect: _client_gone,
            HTTPException: _http_error,
            Exception: _failed,
        },
    )


class EventStream(Response):
    """Server-sent events, ended with `[DONE]`, or when the client goes away."""

    def __init__(self, events: AsyncGenerator[Json, None]) -> None:
        self._events = events
        super().__init__(headers={"Cache-Control": "no-cache"}, media_type="text/event-stream")
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await while_connected(Request(scope, receive), self._send_events(send))

    async def _send_events(self, send: Send) -> None:
        async with contextlib.aclosing(self._events) as events:
            async for event in events:
                body = b"data: " + orjson.dumps(event) + b"\n\n"
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def while_connected(http: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`; None, and the work is cancelled, when the client goes away before."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(http))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _body(http: Request, kind: type[Parsed]) -> Parsed:
    """The request's body, read and checked. Raises Refused."""
    parts, size = [], 0
    async for part in http.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    try:
        return kind.model_validate(orjson.loads(b"".join(parts)))
    except orjson.JSONDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is no valid JSON: {error}") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        fault = max(faults, key=lambda each: len(each["loc"]))  # of a field with alternatives, the one that fits best
        place = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or part.isidentifier())
        message = fault["msg"].removeprefix("Value error, ")
        raise Refused(
            HTTPStatus.BAD_REQUEST, f"{place}: {message}" if place else message, param=place or None
        ) from error


def _json(content: Json, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def _error(error: Refused, headers: dict[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    body = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return _json({"error": body}, error.status, headers)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return _error(error)


async def _bad_prompt(_: Request, error: Exception) -> Response:
    if not isinstance(error, BadPrompt):
        raise error
    return _error(Refused(HTTPStatus.BAD_REQUEST, str(error), param=error.param, code=error.code))


async def _overloaded(_: Request, error: Exception) -> Response:
    refusal = Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error), code="overloaded")
    return _error(refusal, {"Retry-After": str(RETRY_AFTER_S)})


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _failed(_: Request, __: Exception) -> Response:
    return _error(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "The engine failed; its log says why."))


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _error(Refused(error.status_code, error.detail))
