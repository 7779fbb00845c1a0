"""What every engine must do, with real processes. A new engine joins ALL in kinds.py."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from pivot.api.inference.assembly import Assembly
from pivot.api.inference.engine import engine_body
from pivot.api.inference.request import CHAT_PATH, COMPLETIONS_PATH, parse
from pivot.api.inference.transcript import Transcript
from pivot.mlnode.engines import instance as instance_module
from pivot.mlnode.engines.base import Engine, EngineFailed
from pivot.mlnode.engines.serving import ServingEngine
from pivot.mlnode.engines.vllm import sleep as sleep_module
from pivot.protocol.mlnode_api import InferenceState, InferenceUp
from tests.mlnode.engines.embedded.oracle import oracle_states
from tests.mlnode.engines.kinds import ALL, TRUE_MODELS, EngineKind
from tests.mlnode.engines.tiny import make_random_chat
from tests.mlnode.fakes import until


@pytest.fixture(scope="session")
def all_models(models: Path) -> Path:
    make_random_chat(models / "random-chat")
    return models


@pytest.fixture(params=ALL)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EngineKind:
    kind: EngineKind = request.param
    for name, value in kind.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(instance_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(sleep_module, "SPARE_BYTES", 0)
    return kind


@pytest.fixture
async def engine(kind: EngineKind, session: aiohttp.ClientSession, all_models: Path) -> AsyncIterator[ServingEngine]:
    engine = kind.make(session, all_models)
    yield engine
    await engine.stop()


def pid_of(engine: ServingEngine) -> int:
    pid = engine.instances[0].pid
    assert pid
    return pid


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def answers(session: aiohttp.ClientSession, engine: Engine, model: str) -> bool:
    body = {"model": model, "prompt": "hi", "max_tokens": 1}
    try:
        async with session.post(f"{engine.url}/v1/completions", json=body) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def test_m8_an_engine_serves_until_stopped_and_again(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    for _ in range(2):
        await engine.start(kind.up)
        assert engine.alive
        assert engine.status.state == InferenceState.READY
        assert await answers(session, engine, kind.up.model)
        async with session.get(f"{engine.url}/v1/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == [kind.up.model]
        await engine.stop()
        assert not engine.alive
        assert engine.status.state == InferenceState.STOPPED
        assert not await answers(session, engine, kind.up.model)
    await engine.stop()


async def test_the_same_request_again_changes_nothing_and_another_restarts(
    engine: ServingEngine, kind: EngineKind
) -> None:
    await engine.start(kind.up)
    pid = pid_of(engine)
    await engine.start(kind.up)
    assert pid_of(engine) == pid
    await engine.start(kind.up.model_copy(update={"additional_args": ["--max-model-len", "32"]}))
    assert pid_of(engine) != pid
    assert gone(pid)


async def test_m_item11_a_parked_engine_keeps_its_process_where_it_can_and_serves_again(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    await engine.start(kind.up)
    for _ in range(2):
        pid = pid_of(engine)
        await engine.park()
        assert not engine.alive
        assert not await answers(session, engine, kind.up.model)
        assert engine.status.state == (InferenceState.PARKED if kind.parks else InferenceState.STOPPED)
        assert gone(pid) is not kind.parks
        await engine.start(kind.up)
        assert engine.alive
        assert engine.status.state == InferenceState.READY
        assert engine.status.note is None
        assert await answers(session, engine, kind.up.model)
        assert (pid_of(engine) == pid) is kind.parks


async def test_m_item11_a_parked_engine_ends_for_another_request_and_when_it_is_stopped(
    engine: ServingEngine, kind: EngineKind
) -> None:
    await engine.start(kind.up)
    first = pid_of(engine)
    await engine.park()
    await engine.start(kind.up.model_copy(update={"additional_args": ["--max-model-len", "32"]}))
    second = pid_of(engine)
    assert second != first
    assert gone(first)
    await engine.park()
    await engine.park()
    await engine.stop()
    assert gone(second)
    assert engine.status.state == InferenceState.STOPPED
    await engine.park()
    assert engine.status.state == InferenceState.STOPPED


async def test_m14_an_engine_that_dies_is_reported_and_starts_again(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    await engine.start(kind.up)
    os.kill(pid_of(engine), signal.SIGKILL)
    await until(lambda: engine.status.state == InferenceState.STARTING)
    assert engine.alive
    await until(lambda: engine.status.state == InferenceState.READY)
    [instance] = engine.status.instances
    assert instance.restarts == 1
    assert (instance.error or "").startswith("the engine ended with exit code -9")
    assert await answers(session, engine, kind.up.model)


async def test_a_cancelled_start_leaves_nothing_behind(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    starting = asyncio.create_task(engine.start(kind.up))
    await until(lambda: engine.instances and engine.instances[0].pid)
    pid = pid_of(engine)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert gone(pid)
    assert engine.status.state == InferenceState.STOPPED
    await engine.start(kind.up)
    assert await answers(session, engine, kind.up.model)


async def test_an_engine_ends_when_its_node_is_gone(engine: ServingEngine, kind: EngineKind) -> None:
    await engine.start(kind.up)
    process = engine.instances[0]._process
    assert process
    assert process._process.stdin
    process._process.stdin.close()  # as the kernel does it for a node that was killed
    await process.ended()


async def test_a_model_that_is_not_there_is_refused_by_name(engine: ServingEngine) -> None:
    for model in ("pivot/none", "pivot/..", "../etc", "/", "pivot/"):
        with pytest.raises(EngineFailed, match=r"is not on this node|is no name of a model"):
            await engine.start(InferenceUp(model=model))
        assert not engine.alive
        assert engine.status.state == InferenceState.FAILED
        assert engine.status.error


async def test_a_taken_port_is_refused_though_something_healthy_answers_there(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession, all_models: Path
) -> None:
    await engine.start(kind.up)
    second = ServingEngine(session, kind.planner(all_models), "127.0.0.1", engine._port)
    with pytest.raises(EngineFailed, match=f"cannot listen on 127.0.0.1:{engine._port}"):
        await second.start(kind.up)
    assert await answers(session, engine, kind.up.model)


@pytest.mark.parametrize(
    "argument", ["--trust-remote-code", "--model=/etc", "--host=0.0.0.0", "--port=1", "--config=x"]
)
async def test_m_item29_other_arguments_are_refused_by_name(
    engine: ServingEngine, kind: EngineKind, argument: str
) -> None:
    with pytest.raises(EngineFailed, match=f"'{argument.partition('=')[0]}' is none of the arguments"):
        await engine.start(kind.up.model_copy(update={"additional_args": [argument]}))


async def posted(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> dict[str, Any]:
    async with session.post(url, json=body) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


@pytest.mark.parametrize("kind", TRUE_MODELS, indirect=True)
async def test_an_answer_carries_what_a_check_needs(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    await engine.start(kind.up)
    chat = {
        "model": kind.up.model,
        "messages": [{"role": "user", "content": "What is an epoch?"}],
        "max_tokens": 8,
        "temperature": 0.8,
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 5,
        "return_token_ids": True,
        "ignore_eos": True,
    }
    answer = await posted(session, f"{engine.url}/v1/chat/completions", chat)
    prompt, made = answer["prompt_token_ids"], answer["choices"][0]["token_ids"]
    positions = answer["choices"][0]["logprobs"]["content"]
    assert len(made) == len(positions) == answer["usage"]["completion_tokens"] == 8
    assert all(len(each["top_logprobs"]) == 5 for each in positions)
    assert (await posted(session, f"{engine.url}/v1/chat/completions", chat))["choices"][0]["token_ids"] == made

    forced = {"model": kind.up.model, "prompt": prompt + made, "max_tokens": 1, "prompt_logprobs": 5}
    check = await posted(session, f"{engine.url}/v1/completions", forced)
    scored = check["choices"][0]["prompt_logprobs"][len(prompt) :]
    for token, before, again in zip(made, positions, scored, strict=True):
        assert again[str(token)]["logprob"] == pytest.approx(before["logprob"], abs=1e-3)

    whole = await posted(session, f"{engine.url}/v1/completions", {**forced, "max_tokens": 8, "temperature": 0})
    text = whole["choices"][0]["text"]
    stopped = await posted(
        session, f"{engine.url}/v1/completions", {**forced, "max_tokens": 8, "temperature": 0, "stop": [text[3:5]]}
    )
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["choices"][0]["text"] == text[: text.index(text[3:5])]


@pytest.mark.parametrize("kind", TRUE_MODELS, indirect=True)
async def test_an_answer_is_streamed_piece_by_piece(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    await engine.start(kind.up)
    body = {
        "model": kind.up.model,
        "prompt": "hi",
        "max_tokens": 5,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with session.post(f"{engine.url}/v3.0.8/v1/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.content if line.strip()]
    assert lines[-1] == b"data: [DONE]\n"
    assert json.loads(lines[-2][6:])["usage"]["completion_tokens"] == 5
    assert engine.status.instances[0].busy == 0


@pytest.mark.parametrize("kind", TRUE_MODELS, indirect=True)
async def test_a_streamed_answer_put_together_is_the_whole_one(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession
) -> None:
    await engine.start(kind.up)
    asked: list[tuple[str, dict[str, Any]]] = [
        (CHAT_PATH, {"messages": [{"role": "user", "content": "What is an epoch?"}]}),
        (CHAT_PATH, {"messages": [{"role": "user", "content": "hi"}], "logprobs": True, "return_token_ids": True}),
        (CHAT_PATH, {"messages": [{"role": "user", "content": "hi"}], "stop": ["e"]}),
        (COMPLETIONS_PATH, {"prompt": "An epoch", "temperature": 1.5}),
        (COMPLETIONS_PATH, {"prompt": "An epoch", "logprobs": 2, "return_token_ids": True}),
    ]
    for path, fields in asked:
        request = parse(json.dumps({"model": kind.up.model, "max_tokens": 24, **fields}).encode(), path)
        whole, pieces = (Transcript(request, "id", 24) for _ in range(2))
        told = []
        for stream in (False, True):
            body = engine_body(request, 24, 5, stream=stream)
            async with session.post(engine.url + path, data=body, headers={"Content-Type": "application/json"}) as got:
                assert got.status == 200
                told.append(await got.read())
        answer = json.loads(whole.whole(told[0]))
        assembly = Assembly(is_chat=request.is_chat)
        *events, done, _ = told[1].split(b"\n\n")
        for event in events:
            assembly.add(pieces.note(event.removeprefix(b"data: ")))
        pieces.finish()
        assert done == b"data: [DONE]"
        assert without_nothing(json.loads(assembly.whole())) == without_nothing(answer)
        assert pieces.positions.json() == whole.positions.json()
        assert (pieces.token_ids, pieces.content) == (whole.token_ids, whole.content)
        assert pieces.completion_token_count == whole.completion_token_count


def without_nothing(document: Any) -> Any:
    """A document without the fields that say nothing, and without those that differ from one request to the next."""
    if isinstance(document, list):
        return [without_nothing(each) for each in document]
    if not isinstance(document, dict):
        return document
    own = ("id", "created")
    return {
        name: without_nothing(each) for name, each in document.items() if each not in (None, [], {}) and name not in own
    }


@pytest.mark.parametrize("kind", TRUE_MODELS, indirect=True)
async def test_a_model_that_pools_gives_the_vectors_that_every_engine_gives(
    engine: ServingEngine, kind: EngineKind, session: aiohttp.ClientSession, all_models: Path
) -> None:
    arguments = [*kind.up.additional_args, "--runner", "pooling", "--convert", "embed"]
    await engine.start(kind.up.model_copy(update={"additional_args": arguments}))
    tokens = [[5, 6, 7, 8, 9], [9, 8, 7]]
    body = {"model": kind.up.model, "input": tokens, "encoding_format": "base64"}
    answer = await posted(session, f"{engine.url}/v1/embeddings", body)
    found = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in answer["data"]]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (8, 0)
    folder = all_models / kind.up.model.rsplit("/", 1)[1]
    for told, each in zip(found, tokens, strict=True):
        state = oracle_states(folder, each)[-1]
        assert told == pytest.approx(state / np.linalg.norm(state), abs=1e-4)
    assert not await answers(session, engine, kind.up.model)
