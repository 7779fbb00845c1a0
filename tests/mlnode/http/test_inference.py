"""Serving a model, by its routes."""

from __future__ import annotations

import asyncio

import pytest

from pivot.mlnode.engines.base import EngineFailed
from pivot.protocol.mlnode_api import InferenceUp
from tests.mlnode.fakes import FakeApiNode, FakeEngine, sprint, until
from tests.mlnode.http.bodies import UP, Call


async def test_inference_goes_up_and_down(call: Call, engine: FakeEngine) -> None:
    assert await call("POST", "/inference/up", UP) == (200, {"status": "OK"})
    assert await call("GET", "/state") == (200, {"state": "INFERENCE"})
    assert engine.starts[0].model == "pivot/tiny-chat"
    assert await call("POST", "/inference/down") == (200, {"status": "OK"})
    assert await call("POST", "/inference/down") == (200, {"status": "OK"})
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


@pytest.mark.parametrize("dtype", ["", "--config", "-tp", "float16 --model x", "float16\n"])
async def test_a_dtype_that_is_no_word_is_refused(call: Call, dtype: str, engine: FakeEngine) -> None:
    status, _ = await call("POST", "/inference/up", UP | {"dtype": dtype})
    assert (status, engine.starts) == (422, [])


async def test_m10_a_failed_start_is_a_500_and_the_node_lives_on(call: Call) -> None:
    failed = {"status": "ERROR", "message": "no such model: 'bad'"}
    for _ in range(3):
        assert await call("POST", "/inference/up", UP | {"model": "bad"}) == (500, failed)
    assert await call("GET", "/state") == (200, {"state": "STOPPED", "error": "no such model: 'bad'"})
    assert await call("POST", "/inference/up", UP) == (200, {"status": "OK"})


async def test_m9_the_node_answers_while_it_starts_an_engine_and_a_stop_interrupts(
    call: Call, engine: FakeEngine
) -> None:
    engine.may_start.clear()
    starting = asyncio.create_task(call("POST", "/inference/up", UP))
    await until(lambda: engine.starts)
    assert await call("GET", "/state") == (200, {"state": "INFERENCE"})
    assert await call("POST", "/stop") == (200, {"status": "OK"})
    assert await starting == (409, {"detail": "Starting INFERENCE was interrupted by a stop."})


async def test_the_engines_start_is_told_whatever_the_node_is_doing(call: Call, api: FakeApiNode) -> None:
    for prepare in (("POST", "/stop", None), ("POST", "/pow/init/validate", sprint(api.url).model_dump())):
        assert (await call(*prepare))[0] == 200
        status, body = await call("GET", "/inference/status")
        assert (status, body["state"]) == (200, "stopped")


async def test_an_engine_without_memory_is_told_and_the_node_stays_usable(
    call: Call, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "the engine ended with exit code 1: torch.OutOfMemoryError: CUDA out of memory."

    async def start(_: InferenceUp) -> None:
        raise EngineFailed(sentence)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "start", start)
        assert await call("POST", "/inference/up", UP) == (500, {"status": "ERROR", "message": sentence})
    assert await call("GET", "/state") == (200, {"state": "STOPPED", "error": sentence})
    assert await call("POST", "/inference/up", UP) == (200, {"status": "OK"})
