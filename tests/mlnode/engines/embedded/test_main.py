"""The engine's process, from inside: it ends with its scheduler, and says what it cannot serve."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import uvicorn

from pivot.mlnode.engines.embedded import __main__ as process
from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import engine_app
from pivot.mlnode.listening import listen
from tests.mlnode.fakes import client, until


async def test_a_bug_in_the_decoder_ends_the_process(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(served.decoder, 1)
    monkeypatch.setattr(batch, "step", lambda: 1 / 0)
    scheduler = Scheduler(batch, 1)
    server = uvicorn.Server(
        uvicorn.Config(engine_app(served, scheduler), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    )
    with listen("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(process.serve(server, scheduler, listening))
        await until(lambda: server.started)
        async with client(f"http://127.0.0.1:{listening.getsockname()[1]}") as http:
            asking = asyncio.create_task(http.post("/v1/completions", json={"prompt": "hi"}))
            with pytest.raises(ZeroDivisionError):
                await serving
            await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("port", ["0", "1"])
def test_what_cannot_be_served_is_a_sentence_and_a_failure(
    port: str, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path if port == "0" else models / "tiny-random"
    host = "127.0.0.1" if port == "0" else "192.0.2.1"
    command = ["engine", "--model", str(folder), "--served-name", "x", "--host", host, "--port", port]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(process, "configure_logs", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        process.main()
    assert ended.value.code == 1
    sentence = "config.json" if port == "0" else "cannot listen on 192.0.2.1:1"
    assert sentence in capsys.readouterr().err
