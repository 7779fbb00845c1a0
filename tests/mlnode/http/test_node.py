"""Routes of the node itself, whatever it is doing."""

from __future__ import annotations

import asyncio
import importlib.metadata
import socket
import threading
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.mlnode import reach
from pivot.mlnode.devices import NO_TOOL, Device
from pivot.mlnode.http.app import management_app
from pivot.mlnode.model_cache import CachedModel, held_models
from pivot.mlnode.service import Service
from pivot.mlnode.watches import DeviceWatch
from tests.mlnode.fakes import client, served
from tests.mlnode.http.bodies import Call
from tests.mlnode.test_devices import H100
from tests.mlnode.test_watches import Driver


async def test_state_and_stop(call: Call) -> None:
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})
    assert await call("POST", "/stop") == (200, {"status": "OK"})


async def test_the_devices_are_listed_or_why_there_are_none(service: Service) -> None:
    driver = Driver([H100])

    async def gpu() -> object:
        app = management_app(service, devices=DeviceWatch(driver))
        async with served(app) as url, client(url) as http, http.get("/api/v1/gpu") as response:
            return await response.json()

    assert await gpu() == {"devices": [H100.model_dump()], "warnings": []}
    driver.answer = None
    assert await gpu() == {"devices": [], "reason": NO_TOOL, "warnings": []}


async def test_the_models_of_the_machine_are_listed_with_what_they_lack(service: Service, models: Path) -> None:
    cache = models / "cache"
    snapshot = cache / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    app = management_app(service, models=lambda: held_models(models, [cache]))
    async with served(app) as url, client(url) as http, http.get("/api/v1/models") as response:
        listed = {each["model"]: each for each in (await response.json())["models"]}
    own, cached = listed["tiny-random"], listed["org/name"]
    assert (own["revision"], own["missing"]) == ("", [])
    assert own["size_bytes"] > 1_000
    missing = ["*.safetensors"]
    assert cached == {"model": "org/name", "revision": "abc", "size_bytes": 2, "missing": missing}


async def test_m9_a_disk_and_a_driver_that_hang_hold_up_nobody_else(service: Service) -> None:
    disk, driver = threading.Event(), asyncio.Event()

    def slow_disk() -> list[CachedModel]:
        disk.wait()
        return []

    async def slow_driver() -> list[Device]:
        await driver.wait()
        return []

    app = management_app(service, models=slow_disk, devices=DeviceWatch(slow_driver))
    async with served(app) as url, client(url) as http:
        waiting = [asyncio.create_task(http.get(f"/api/v1/{path}")) for path in ("models", "gpu")]
        await asyncio.sleep(0.05)
        async with http.get("/api/v1/state") as response:
            assert response.status == 200
        assert not any(task.done() for task in waiting)
        disk.set()
        driver.set()
        for response in await asyncio.gather(*waiting):
            assert response.status == 200
            response.release()


async def test_the_version_is_told(call: Call) -> None:
    assert await call("GET", "/version") == (200, {"version": importlib.metadata.version("pivot")})


@pytest.mark.parametrize("status", [200, 401, 302, 502])
async def test_whatever_answers_at_a_call_back_port_is_told_by_its_status_alone(call: Call, status: int) -> None:
    seen: list[str] = []

    async def health(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=status, text="secret", headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_get("/{path:.*}", health)
    async with TestServer(app) as server:
        url = f"http://{server.host}:{server.port}/prefix/"
        assert await call("POST", "/callback/try", {"url": url}) == (200, {"status": status, "error": ""})
    assert seen == ["/prefix/health"]


async def test_a_call_back_port_that_cannot_be_reached_is_told_with_the_reason(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, told = await call("POST", "/callback/try", {"url": "http://127.0.0.1:1"})
    assert (status, told["status"], "Connect" in told["error"]) == (200, 0, True)
    monkeypatch.setattr(reach, "TRY_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert await call("POST", "/callback/try", {"url": url}) == (200, {"status": 0, "error": "TimeoutError"})


@pytest.mark.parametrize("url", ["", "ftp://x", "file:///etc/passwd", "http://" + "x" * 2_000])
async def test_what_is_no_url_of_a_call_back_port_is_refused(call: Call, url: str) -> None:
    status, body = await call("POST", "/callback/try", {"url": url})
    assert (status, body["detail"][0]["loc"]) == (422, ["body", "url"])


async def test_call_back_ports_are_tried_a_few_at_a_time(call: Call) -> None:
    asked = asyncio.Semaphore(0)
    may_end = asyncio.Event()

    async def health(_: web.Request) -> web.Response:
        asked.release()
        await may_end.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", health)
    async with TestServer(app) as server:
        body = {"url": f"http://{server.host}:{server.port}"}
        tries = [asyncio.create_task(call("POST", "/callback/try", body)) for _ in range(reach.MAX_TRIES_AT_A_TIME)]
        for _ in tries:
            await asked.acquire()
        assert (await call("POST", "/callback/try", body))[0] == 429
        may_end.set()
        assert [status for status, _ in await asyncio.gather(*tries)] == [200] * len(tries)
