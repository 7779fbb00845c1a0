"""An ML node's inference port, as vLLM shows it, with faults that tests switch on."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from aiohttp import web

WORDS = ("An", " epoch", " is", " a", " round", ".")
PROMPT_TOKEN_IDS = [1, 2, 3, 4]
UNKNOWN = {"/v1/chat/completions": ("prompt", "input"), "/v1/completions": ("input",)}
"""Fields of other routes, which mean nothing to these."""


def entry(word: str, number: int) -> dict[str, Any]:
    top = [{"token": word if rank == 0 else f"~{rank}", "logprob": -0.1 - rank, "bytes": None} for rank in range(5)]
    return {"token": word, "logprob": -0.1, "bytes": list(word.encode()), "top_logprobs": top}


def completion_logprobs(words: tuple[str, ...]) -> dict[str, Any]:
    entries = [entry(word, number) for number, word in enumerate(words)]
    return {
        "tokens": list(words),
        "token_logprobs": [each["logprob"] for each in entries],
        "top_logprobs": [{top["token"]: top["logprob"] for top in each["top_logprobs"]} for each in entries],
        "text_offset": [0] * len(words),
    }


@dataclass
class FakeEngine:
    """Answers every question with the same words."""

    url: str = ""
    model: str = "pivot/tiny"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """What each request was called."""
    hangs: bool = False
    fails_with: int | None = None
    refuses_with: Any = None
    breaks_after: int | None = None
    breaks_whole: bool = False
    told: int = 0
    """Tokens of all streams."""
    held: asyncio.Event | None = None
    """Until it is set, nothing is answered that does not stream."""
    stalls_after: int | None = None
    pause_s: float = 0.0
    content: bool = True
    cancelled: int = 0
    garbage: bytes | None = None
    vectors: list[bytes] = field(default_factory=lambda: [np.array([0.6, 0.8], "<f4").tobytes()] * 8)
    """What it finds for the first inputs of a request for embeddings."""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["FakeEngine"]:
        engine = cls()
        app = web.Application()
        for path in ("/v1/chat/completions", "/v1/completions"):
            app.router.add_post(path, engine._answer)
        app.router.add_post("/v1/embeddings", engine._answer)
        app.router.add_get("/health", engine._health)
        app.router.add_get("/v1/models", engine._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        engine.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        yield engine
        await runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        if self.hangs:
            await asyncio.sleep(60)
        return web.Response()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.bodies.append(body)
        body = {name: value for name, value in body.items() if name not in UNKNOWN.get(request.path, ())}
        self.names.append(request.headers.get("X-Request-Id", ""))
        if request.path == "/v1/chat/completions":  # the path decides, whatever else is in the body
            body = {name: value for name, value in body.items() if name not in {"prompt", "input"}}
        try:
            if self.hangs:
                await asyncio.sleep(60)
            if self.fails_with:
                return web.json_response({"error": "out of memory"}, status=self.fails_with)
            if self.refuses_with is not None:
                return web.json_response(self.refuses_with, status=400)
            if self.garbage is not None:
                return web.Response(body=self.garbage, content_type="application/json")
            if self.held is not None and not body.get("stream"):
                await self.held.wait()
            if "input" in body:
                return self._vectors(body)
            words = WORDS[: body["max_tokens"]]
            if self.breaks_whole:
                request.transport.abort()  # type: ignore[union-attr]
            return await (self._stream(request, body, words) if body.get("stream") else self._whole(body, words))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _whole(self, body: dict[str, Any], words: tuple[str, ...]) -> web.Response:
        await asyncio.sleep(self.pause_s)
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "stop" if self.content else "tool_calls",
            "token_ids": [100 + number for number in range(len(words))],
        }
        if "prompt" in body:
            choice |= {"text": "".join(words), "logprobs": completion_logprobs(words)}
            choice["prompt_token_ids"] = PROMPT_TOKEN_IDS
        else:
            choice["message"] = {"role": "assistant", "content": "".join(words) if self.content else None}
            choice["logprobs"] = {"content": [entry(word, number) for number, word in enumerate(words)]}
        document = {
            "id": "chatcmpl-engine",
            "object": "text_completion" if "prompt" in body else "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": usage(len(words)),
            **({} if "prompt" in body else {"prompt_token_ids": PROMPT_TOKEN_IDS}),
        }
        return web.json_response(document)

    def _vectors(self, body: dict[str, Any]) -> web.Response:
        assert body["encoding_format"] == "base64"
        asked = body["input"]
        count = len(asked) if isinstance(asked, list) and isinstance(asked[0], str | list) else 1
        data = [
            {"index": index, "object": "embedding", "embedding": b64encode(vector).decode()}
            for index, vector in enumerate(self.vectors[:count])
        ]
        used = {"prompt_tokens": len(PROMPT_TOKEN_IDS) * count, "completion_tokens": 0}
        return web.json_response({"id": "embd-engine", "object": "list", "data": data, "usage": used})

    async def _stream(self, request: web.Request, body: dict[str, Any], words: tuple[str, ...]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        base = {"id": "chatcmpl-engine", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        if "prompt" not in body:
            await asyncio.sleep(self.pause_s)  # vLLM, too, says nothing before it has read the prompt
            await self._event(response, {**base, "choices": [first], "prompt_token_ids": PROMPT_TOKEN_IDS})
        for number, word in enumerate(words):
            if self.breaks_after == number:
                await asyncio.sleep(0.05)  # what was written is on its way
                request.transport.abort()  # type: ignore[union-attr]
                return response
            await asyncio.sleep(60 if self.stalls_after == number else self.pause_s)
            choice: dict[str, Any] = {
                "index": 0,
                "finish_reason": "stop" if number == len(words) - 1 else None,
                "token_ids": [100 + number],
            }
            if "prompt" in body:
                choice |= {"text": word, "logprobs": completion_logprobs((word,))}
                choice |= {"prompt_token_ids": PROMPT_TOKEN_IDS} if number == 0 else {}
            else:
                choice |= {"delta": {"content": word}, "logprobs": {"content": [entry(word, number)]}}
            chunk: dict[str, Any] = {**base, "choices": [choice]}
            if body["stream_options"].get("continuous_usage_stats"):
                chunk["usage"] = usage(number + 1)
            await self._event(response, chunk)
            self.told += 1
        if body["stream_options"].get("include_usage"):
            await self._event(response, {**base, "choices": [], "usage": usage(len(words))})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _event(self, response: web.StreamResponse, document: dict[str, Any]) -> None:
        data = b"data: " + orjson.dumps(document) + b"\n\n"
        half = len(data) // 2
        await response.write(data[:half])  # events do not arrive in whole pieces
        await response.write(data[half:])


def usage(completion: int) -> dict[str, int]:
    prompt = len(PROMPT_TOKEN_IDS)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
