"""What every engine must do, with real processes. A new engine joins ENGINES."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from pivot.mlnode.engines import process as process_module
from pivot.mlnode.engines.base import Engine, EngineFailed
from pivot.mlnode.engines.embedded.engine import embedded_engine, known_arguments
from pivot.mlnode.engines.process import ProcessEngine
from pivot.protocol.mlnode_api import InferenceUp
from tests.mlnode.fakes import until

ENGINES: dict[str, Callable[[aiohttp.ClientSession, Path, str, int], ProcessEngine]] = {"embedded": embedded_engine}
LOOPBACK = "127.0.0.1"
UP = InferenceUp(model="pivot/tiny-random", dtype="float16")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=ENGINES)
async def engine(
    request: pytest.FixtureRequest, session: aiohttp.ClientSession, models: Path
) -> AsyncIterator[ProcessEngine]:
    engine = ENGINES[request.param](session, models, LOOPBACK, free_port())
    yield engine
    await engine.stop()


def pid_of(engine: ProcessEngine) -> int:
    assert engine._process
    return engine._process.pid


async def answers(session: aiohttp.ClientSession, engine: Engine) -> bool:
    try:
        async with session.post(f"{engine.url}/v1/completions", json={"prompt": "hi", "max_tokens": 1}) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def test_m8_an_engine_serves_until_stopped_and_again(
    engine: ProcessEngine, session: aiohttp.ClientSession
) -> None:
    for _ in range(2):
        await engine.start(UP)
        assert engine.alive
        assert await answers(session, engine)
        await engine.stop()
        assert not engine.alive
        assert not await answers(session, engine)
    await engine.stop()


async def test_the_same_request_again_changes_nothing_and_another_restarts(engine: ProcessEngine) -> None:
    await engine.start(UP)
    pid = pid_of(engine)
    await engine.start(UP)
    assert pid_of(engine) == pid
    await engine.start(UP.model_copy(update={"additional_args": ["--max-model-len", "32"]}))
    assert pid_of(engine) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_engine_that_dies_says_why_and_starts_again(
    engine: ProcessEngine, session: aiohttp.ClientSession
) -> None:
    await engine.start(UP)
    os.kill(pid_of(engine), signal.SIGKILL)
    assert (await engine.broken()).startswith("the engine ended with exit code -9")
    assert not engine.alive
    await engine.start(UP)
    assert await answers(session, engine)


async def test_a_model_that_is_not_there_is_refused_by_name(engine: ProcessEngine) -> None:
    for model in ("pivot/none", "pivot/..", "../etc", "/", "pivot/"):
        with pytest.raises(EngineFailed, match=r"is not on this node|is no name of a model"):
            await engine.start(InferenceUp(model=model))
        assert not engine.alive


async def test_a_model_that_cannot_be_loaded_is_refused_with_the_engines_words(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"architectures": ["OtherForCausalLM"]}')
    engine = embedded_engine(session, tmp_path, LOOPBACK, free_port())
    with pytest.raises(EngineFailed, match=r"exit code 1: the embedded engine runs Qwen2ForCausalLM, not \['Other"):
        await engine.start(InferenceUp(model="pivot/broken"))
    assert not engine.alive


async def test_a_cancelled_start_leaves_nothing_behind(engine: ProcessEngine, session: aiohttp.ClientSession) -> None:
    starting = asyncio.create_task(engine.start(UP))
    await until(lambda: engine._process)
    pid = pid_of(engine)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await engine.start(UP)
    assert await answers(session, engine)


async def test_an_engine_that_does_not_come_up_in_time_is_ended(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "START_TIMEOUT_S", 0.05)
    with pytest.raises(EngineFailed, match="did not come up within"):
        await engine.start(UP)
    assert not engine.alive


async def test_a_taken_port_is_refused_though_something_healthy_answers_there(
    session: aiohttp.ClientSession, models: Path
) -> None:
    port = free_port()
    first, second = (embedded_engine(session, models, LOOPBACK, port) for _ in range(2))
    await first.start(UP)
    try:
        with pytest.raises(EngineFailed, match=f"cannot listen on {LOOPBACK}:{port}"):
            await second.start(UP)
        assert await answers(session, first)
    finally:
        await first.stop()


async def test_an_engine_ends_when_its_node_is_gone(engine: ProcessEngine) -> None:
    await engine.start(UP)
    assert engine._process
    assert engine._process.stdin
    engine._process.stdin.close()  # as the kernel does it for a node that was killed
    await engine.broken()


async def test_an_engine_that_cannot_be_run_at_all_is_a_failure(session: aiohttp.ClientSession) -> None:
    engine = ProcessEngine(session, lambda _: ["/no/such/program"], LOOPBACK, free_port())
    with pytest.raises(EngineFailed, match="cannot be started"):
        await engine.start(UP)


async def test_an_engine_that_ignores_sigterm_is_killed_with_its_children(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_module, "STOP_TIMEOUT_S", 0.1)
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; wait"
    engine = ProcessEngine(session, lambda _: ["sh", "-c", script], LOOPBACK, free_port())
    starting = asyncio.create_task(engine.start(UP))
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    child = int((tmp_path / "child").read_text())
    await until(lambda: not Path(f"/proc/{child}").exists() or "(sleep) Z" in Path(f"/proc/{child}/stat").read_text())


async def test_the_output_is_passed_on_and_its_last_line_is_the_reason(
    session: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "echo one; head -c 2000000 /dev/zero; echo; echo 'no memory left'; echo; exit 3"
    engine = ProcessEngine(session, lambda _: ["sh", "-c", script], LOOPBACK, free_port())
    with pytest.raises(EngineFailed, match=r"the engine ended with exit code 3: no memory left$"):
        await engine.start(UP)
    assert "one\n" in capfd.readouterr().err


async def test_stopping_what_was_never_started(session: aiohttp.ClientSession, models: Path) -> None:
    engine = embedded_engine(session, models, "0.0.0.0", free_port())
    await engine.stop()
    assert await engine.broken() == "no engine was started"
    assert engine.url.startswith("http://127.0.0.1:")
    assert embedded_engine(session, models, "::1", 5000).url == "http://[::1]:5000"


def test_only_known_arguments_are_passed_on() -> None:
    assert known_arguments(["--max-model-len", "64", "--max-num-seqs=4"]) == [
        "--max-model-len",
        "64",
        "--max-num-seqs",
        "4",
    ]
    assert known_arguments([]) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--trust-remote-code"], "does not know '--trust-remote-code'; it knows --max-model-len, --max-num-seqs"),
        (["--model", "/etc"], "does not know '--model'"),
        (["--max-num-seqs", "many"], "invalid int value: 'many'"),
        (["--max-num-seqs", "0"], "max_num_seqs must be positive, not 0"),
    ],
)
def test_other_arguments_are_refused_by_name(arguments: list[str], sentence: str) -> None:
    with pytest.raises(EngineFailed, match=sentence):
        known_arguments(arguments)


async def test_an_unknown_dtype_is_refused(session: aiohttp.ClientSession, models: Path) -> None:
    with pytest.raises(EngineFailed, match="dtype 'int3' is none of"):
        await embedded_engine(session, models, LOOPBACK, free_port()).start(
            InferenceUp(model="tiny-random", dtype="int3")
        )
