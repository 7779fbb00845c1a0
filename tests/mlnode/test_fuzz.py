"""Whatever comes to the management port gets an answer of the published shape, and leaves a node that answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from pivot.mlnode.http.app import management_app
from pivot.mlnode.service import Service
from pivot.protocol.mlnode_api import PowInit, PowState, PowStatus, ValidateRequest
from tests.mlnode.fakes import FakeEngine, FakeTraining, sprint

SAYS = {400, 401, 403, 404, 405, 409, 413, 422, 429}
VALID: dict[str, dict[str, Any]] = {
    "/pow/init/generate": sprint("http://10.0.0.5:9100").model_dump(),
    "/pow/init/validate": sprint("http://10.0.0.5:9100").model_dump(),
    "/pow/validate": {"batch_id": "b", "host_address": "gonka1other", "nonces": [1], "fingerprints": "A" * 42 + "A="},
    "/inference/up": {"model": "m", "dtype": "float16", "additional_args": ["--x"]},
    "/train/start": {"train_config": {"steps": 3}, "train_env": {"TASK_ID": "7"}},
    "/callback/try": {"url": "ftp://10.0.0.5"},
}
ROUTES = (*VALID, "/state", "/stop", "/inference/down", "/inference/status", "/pow/stop", "/pow/status", "/train/stop",
          "/train/status", "/version", "/nothing")  # fmt: skip


class FakeSprint:
    """A proof of compute without a process."""

    async def generate(self, init: PowInit) -> None: ...

    async def validate(self, init: PowInit) -> None: ...

    def submit(self, request: ValidateRequest) -> None: ...

    async def stop(self) -> None: ...

    async def broken(self) -> str:
        await asyncio.Event().wait()
        return ""

    def status(self) -> PowStatus:
        return PowStatus(status=PowState.NOT_LOADED)


numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, -(2**63), 10**400]))
texts = st.one_of(st.text(max_size=40), st.sampled_from(["\ud800", "http://[", "http://\ud800", "\x00", "NaN", "//"]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """Near what the route takes, or anything."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=200))
    document: Any = dict(VALID.get(path, {}))
    for name in draw(st.lists(st.sampled_from(sorted(document)), max_size=3)) if document else []:
        document[name] = draw(values)
    with suppress(UnicodeEncodeError):
        return json.dumps(document, ensure_ascii=draw(st.booleans())).encode()
    return json.dumps(document).encode()


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    path = draw(st.sampled_from(ROUTES))
    return draw(st.sampled_from(["POST", "POST", "GET", "PUT", "HEAD"])), path, draw(bodies(path))


Answer = tuple[int, bytes]


async def call(app: Callable[..., Any], method: str, path: str, body: bytes) -> Answer:
    """One request to an ASGI application."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = f"/api/v1{path}"
    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        },
        receive,
        send,
    )
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def conversation(asked: list[tuple[str, str, bytes]]) -> None:
    service = Service(FakeSprint(), FakeEngine(), FakeTraining())  # type: ignore[arg-type]
    app = management_app(service)
    for method, path, body in asked:
        status, answer = await call(app, method, path, body)
        assert status == 200 or status in SAYS, (status, answer)
        if status in SAYS and method != "HEAD":
            assert json.loads(answer)["detail"]
        assert (await call(app, "GET", "/state", b""))[0] == 200
    assert (await call(app, "POST", "/stop", b""))[0] == 200
    assert await call(app, "GET", "/state", b"") == (200, b'{"state":"STOPPED"}')


@given(st.lists(requests(), min_size=1, max_size=6))
@example([("POST", "/pow/init/generate", b"[" * 100_000)])
@example([("POST", "/pow/init/generate", b'{"node_id":' + b"9" * 5_000 + b"}")])
@example([("POST", "/pow/init/generate", json.dumps(VALID["/pow/init/generate"] | {"preset": "\ud800"}).encode())])
@example([("POST", "/pow/init/generate", json.dumps(VALID["/pow/init/generate"] | {"url": "http://\ud800"}).encode())])
@example([("POST", "/inference/up", json.dumps(VALID["/inference/up"] | {"model": "\ud800"}).encode())])
@settings(max_examples=150, deadline=None)
def test_whatever_comes_gets_an_answer_and_leaves_a_node_that_answers(asked: list[tuple[str, str, bytes]]) -> None:
    asyncio.run(conversation(asked))
