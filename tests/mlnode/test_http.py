"""The management API over real HTTP: every route, every refusal."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import io
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.mlnode import reach
from pivot.mlnode.callback_hosts import CallbackHosts
from pivot.mlnode.devices import NO_TOOL, Device
from pivot.mlnode.engines.base import EngineFailed
from pivot.mlnode.http.app import Access, management_app
from pivot.mlnode.http.gate import MAX_BODY_BYTES
from pivot.mlnode.model_cache import CachedModel, held_models
from pivot.mlnode.poc import worker
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.service import Service
from pivot.mlnode.watches import DeviceWatch
from pivot.protocol.mlnode_api import MAX_VALIDATE_LEAVES, InferenceUp
from tests.mlnode.fakes import FakeApiNode, FakeEngine, FakeTraining, client, served, sprint, until
from tests.mlnode.test_devices import H100
from tests.mlnode.test_watches import Driver

UP = {"model": "pivot/tiny-chat", "dtype": "float16", "additional_args": []}
Call = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def training() -> FakeTraining:
    return FakeTraining()


@pytest.fixture
async def service(session: aiohttp.ClientSession, engine: FakeEngine, training: FakeTraining) -> AsyncIterator[Service]:
    service = Service(PowSession(session), engine, training)
    yield service
    await service.stop()


@pytest.fixture
async def call(service: Service) -> AsyncIterator[Call]:
    """Calls a route below /api/v1. Returns status and body."""
    async with served(management_app(service)) as url, client(url) as http:

        async def call(method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
            async with http.request(method, f"/api/v1{path}", json=body, **options) as response:
                return response.status, await response.json()

        yield call


def leaves(count: int, batch_id: str = "b1") -> dict[str, object]:
    content = base64.b64encode(bytes(32 * count)).decode()
    return {"batch_id": batch_id, "host_address": "gonka1other", "nonces": list(range(count)), "fingerprints": content}


async def test_state_and_stop(call: Call) -> None:
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})
    assert await call("POST", "/stop") == (200, {"status": "OK"})


async def test_inference_goes_up_and_down(call: Call, engine: FakeEngine) -> None:
    assert await call("POST", "/inference/up", UP) == (200, {"status": "OK"})
    assert await call("GET", "/state") == (200, {"state": "INFERENCE"})
    assert engine.starts[0].model == "pivot/tiny-chat"
    assert await call("POST", "/inference/down") == (200, {"status": "OK"})
    assert await call("POST", "/inference/down") == (200, {"status": "OK"})
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


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


async def test_a_sprint_from_generating_to_validating_to_stopped(call: Call, api: FakeApiNode) -> None:
    status, body = await call("POST", "/pow/init/generate", sprint(api.url).model_dump())
    assert (status, body["status"], body["pow_status"]["epoch"]) == (200, "OK", 7)
    assert body["pow_status"]["status"] in {"LOADING", "GENERATING"}
    await until(lambda: api.leaves)
    assert (await call("GET", "/pow/status"))[1]["status"] == "GENERATING"
    assert await call("POST", "/pow/validate", leaves(1)) == (
        400,
        {"detail": "the node is not validating; call /api/v1/pow/init/validate first"},
    )
    status, body = await call("POST", "/pow/init/validate", sprint(api.url).model_dump())
    assert (status, body["pow_status"]["status"]) == (200, "VALIDATING")
    assert await call("POST", "/pow/validate", leaves(3)) == (200, None)
    await until(lambda: api.validated)
    assert len(api.validated[0].distances) == 3
    assert await call("POST", "/pow/stop") == (200, {"status": "OK", "pow_status": {"status": "NOT_LOADED"}})
    assert await call("GET", "/pow/status") == (200, {"status": "NOT_LOADED"})


async def test_while_another_mode_runs_everything_else_is_409_whatever_its_body(call: Call, engine: FakeEngine) -> None:
    await call("POST", "/inference/up", UP)
    words = "Cannot run POW because MLNode is currently in INFERENCE mode. Please stop INFERENCE first."
    for method, path in (
        ("POST", "/pow/init/generate"),
        ("POST", "/pow/init/validate"),
        ("POST", "/pow/validate"),
        ("POST", "/pow/stop"),
        ("GET", "/pow/status"),
    ):
        assert await call(method, path, {"not": "valid"}) == (409, {"detail": words})
    words = "Cannot run TRAIN because MLNode is currently in INFERENCE mode. Please stop INFERENCE first."
    assert await call("POST", "/train/start", {}) == (409, {"detail": words})
    assert engine.alive


async def test_a_start_that_lost_the_race_is_409(call: Call, engine: FakeEngine) -> None:
    engine.may_start.clear()
    up = asyncio.create_task(call("POST", "/inference/up", UP))
    await until(lambda: engine.starts)
    status, _ = await call("POST", "/pow/init/generate", sprint().model_dump())
    assert status == 409
    engine.may_start.set()
    assert (await up)[0] == 200


async def test_a_training_starts_and_stops_in_the_published_words(call: Call, training: FakeTraining) -> None:
    assert await call("GET", "/train/status") == (200, {"status": False})
    assert await call("POST", "/train/stop") == (400, {"detail": "Training is not running"})
    body = {"train_config": {"steps": 3}, "train_env": {"TASK_ID": "7"}}
    assert await call("POST", "/train/start", body) == (200, {"status": "Training started"})
    assert await call("GET", "/state") == (200, {"state": "TRAIN"})
    assert await call("GET", "/train/status") == (200, {"status": True})
    assert await call("POST", "/train/start", body) == (400, {"detail": "Training is already running"})
    assert len(training.starts) == 1
    words = "Cannot run INFERENCE because MLNode is currently in TRAIN mode. Please stop TRAIN first."
    assert await call("POST", "/inference/up", UP) == (409, {"detail": words})
    assert await call("POST", "/train/stop") == (200, {"status": "Training stopped"})
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("preset", "huge", "unknown preset 'huge'; known are devnet, mainnet, small"),
        ("sprint_seed", "ff", "sprint_seed must be 64 hex digits"),
        ("url", "ftp://x", "url must start with http:// or https://"),
        ("node_id", -1, "greater than or equal to 0"),
        ("node_id", 2**23, "less than or equal to 8388607"),
        ("epoch", "x", "valid integer"),
    ],
)
async def test_a_bad_sprint_is_refused_by_field(call: Call, field: str, value: object, sentence: str) -> None:
    status, body = await call("POST", "/pow/init/generate", sprint().model_dump() | {field: value})
    assert status == 422
    assert body["detail"][0]["loc"] == ["body", field]
    assert sentence in body["detail"][0]["msg"]
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fingerprints": "AAAA"}, "fingerprints must hold 32 bytes for each nonce"),
        ({"fingerprints": "*"}, "not base64"),
        ({"nonces": [1, 1, 2]}, "a nonce occurs twice"),
        ({"nonces": [1.5, 1, 2]}, "valid integer"),
        ({"nonces": [2**63, 1, 2]}, "less than or equal to"),
        ({"nonces": []}, "at least 1 item"),
        ({"nonces": [-1, 1, 2]}, "greater than or equal to 0"),
        ({"nonces": [float("nan"), 1, 2]}, "finite number"),
        ({"nonces": [True, None, "1"]}, "valid integer"),
        ({"fingerprints": base64.b64encode(bytes(32 * 4)).decode()}, "fingerprints must hold 32 bytes for each nonce"),
        ({"fingerprints": base64.b64encode(bytes(48 * 3)).decode()}, "fingerprints must hold 32 bytes for each nonce"),
        ({"host_address": ""}, "at least 1 character"),
        ({"epoch": -1}, "greater than or equal to 0"),
        ({"sprint_seed": "ff" * 33}, "at most 64 characters"),
    ],
)
async def test_m7_malformed_leaves_are_refused_by_field(call: Call, change: dict[str, object], sentence: str) -> None:
    status, body = await call("POST", "/pow/validate", leaves(3) | change)
    assert status == 422
    assert sentence in body["detail"][0]["msg"]


async def test_malformed_json_is_refused_without_an_echo(call: Call) -> None:
    options = {"data": b'{"token": "secret', "headers": {"Content-Type": "application/json"}}
    status, body = await call("POST", "/pow/init/generate", **options)
    assert status == 422
    assert body["detail"][0]["type"] == "json_invalid"
    assert "secret" not in str(body)


async def test_a_refusal_does_not_echo_the_token(call: Call) -> None:
    body = sprint(token="secret").model_dump() | {"epoch": -1}
    assert "secret" not in str(await call("POST", "/pow/init/generate", body))


async def test_the_largest_request_fits_and_larger_ones_are_refused(call: Call, api: FakeApiNode) -> None:
    assert (await call("POST", "/pow/validate", leaves(MAX_VALIDATE_LEAVES)))[0] == 400  # read, and not validating
    assert (await call("POST", "/pow/validate", leaves(MAX_VALIDATE_LEAVES + 1)))[0] == 422
    options = {"data": io.BytesIO(bytes(MAX_BODY_BYTES + 1)), "headers": {"Content-Type": "application/json"}}
    status, body = await call("POST", "/pow/validate", **options)
    assert (status, body) == (413, {"detail": f"The body is larger than {MAX_BODY_BYTES} bytes."})


async def test_an_oversized_body_without_a_length_is_refused(call: Call) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 2**16

    options = {"data": parts(), "headers": {"Content-Type": "application/json"}}
    assert (await call("POST", "/pow/validate", **options))[0] == 413


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
        own, cached = (await response.json())["models"]
    assert (own["model"], own["revision"], own["missing"]) == ("tiny-random", "", [])
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


async def test_the_engines_start_is_told_whatever_the_node_is_doing(call: Call, api: FakeApiNode) -> None:
    for prepare in (("POST", "/stop", None), ("POST", "/pow/init/validate", sprint(api.url).model_dump())):
        assert (await call(*prepare))[0] == 200
        status, body = await call("GET", "/inference/status")
        assert (status, body["state"]) == (200, "stopped")


@pytest.mark.parametrize("prefix", ["/v3.0.8", "/v1", "/v2-rc1"])
async def test_a_version_before_the_path_changes_nothing(service: Service, prefix: str) -> None:
    async with served(management_app(service, access=Access(token="s3cret"))) as url, client(url) as http:
        for path, statuses in (("/api/v1/state", (401, 200)), ("/health", (200, 200)), ("/metrics", (200, 200))):
            for headers, status in zip(({}, {"Authorization": "Bearer s3cret"}), statuses, strict=True):
                async with http.get(prefix + path, headers=headers) as response:
                    assert response.status == status
        async with http.get(f"{prefix}{prefix}/api/v1/state") as response:
            assert response.status == 404


@pytest.mark.parametrize("public", [False, True])
async def test_the_metrics_want_the_token_where_the_port_is_public(service: Service, public: bool) -> None:
    access = Access(token="s3cret", public=public)
    async with served(management_app(service, access=access)) as url, client(url) as http:
        async with http.get("/metrics") as response:
            assert response.status == (401 if public else 200)
        async with http.get("/metrics", headers={"Authorization": "Bearer s3cret"}) as response:
            assert response.content_type == "text/plain"
            assert ('requests_refused_total{status="401"} 1.0' in await response.text()) is public


async def test_m_item29_who_is_not_known_gives_no_engine_arguments_and_starts_no_training(
    service: Service, engine: FakeEngine, training: FakeTraining
) -> None:
    hosts = CallbackHosts(known_callers=False)
    app = management_app(service, access=Access(guarded=False), callback_hosts=hosts)
    async with served(app) as url, client(url) as http:

        async def post(path: str, body: object) -> tuple[int, Any]:
            async with http.post(f"/api/v1{path}", json=body) as response:
                return response.status, await response.json()

        status, body = await post("/inference/up", UP | {"additional_args": ["--trust-remote-code"]})
        assert (status, "takes no engine arguments. Set MLNODE_TOKEN" in body["detail"]) == (403, True)
        status, body = await post("/train/start", {"train_config": {}})
        assert (status, "takes no training. Set MLNODE_TOKEN" in body["detail"]) == (403, True)
        for path in ("/pow/init/generate", "/pow/init/validate"):
            status, body = await post(path, sprint("http://10.0.0.5:9100").model_dump())
            assert (status, "MLNODE_CALLBACK_HOSTS says who may" in body["detail"]) == (400, True)
        assert await post("/inference/up", UP) == (200, {"status": "OK"})
    assert (len(engine.starts), training.starts) == (1, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/pow/init/generate", sprint("http://169.254.169.254/latest").model_dump()),
        ("/pow/init/validate", sprint("http://[::ffff:169.254.169.254]").model_dump()),
        ("/callback/try", {"url": "http://169.254.169.254"}),
    ],
)
async def test_m_item30_a_callers_url_leads_to_no_secrets_of_a_cloud(
    call: Call, path: str, body: dict[str, object]
) -> None:
    status, answer = await call("POST", path, body)
    assert (status, "which no node may be made to call" in answer["detail"]) == (400, True)
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


async def test_m_item21_a_model_that_does_not_stand_yet_is_told_and_a_worker_that_fails_too(
    call: Call, api: FakeApiNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "WORKER_MODULE", "tests.mlnode.no_such_worker")
    status, body = await call("POST", "/pow/init/generate", sprint(api.url).model_dump())
    assert (status, body["pow_status"]["status"], body["pow_status"]["is_model_initialized"]) == (200, "LOADING", False)
    while (answer := (await call("GET", "/state"))[1])["state"] != "STOPPED":
        await asyncio.sleep(0.05)
    assert "exit code 1" in answer["error"]


@pytest.mark.parametrize("phase", ["generate", "validate"])
async def test_m_item22_a_phase_before_init_is_no_fault_of_the_node(call: Call, phase: str) -> None:
    assert (await call("POST", f"/pow/phase/{phase}"))[0] == 404
    assert (await call("POST", "/pow/validate", leaves(1)))[0] == 400


async def test_m_item22_status_fields_have_one_type_each(call: Call) -> None:
    assert await call("POST", "/pow/stop") == (200, {"status": "OK", "pow_status": {"status": "NOT_LOADED"}})
    assert await call("GET", "/pow/status") == (200, {"status": "NOT_LOADED"})
    assert await call("GET", "/train/status") == (200, {"status": False})


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


async def test_a_stop_that_fails_is_a_500_with_its_sentence(
    call: Call, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop() -> None:
        raise OSError("no such process")

    await call("POST", "/inference/up", UP)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "stop", stop)
        failed = {"status": "ERROR", "message": "INFERENCE could not be ended: no such process"}
        assert await call("POST", "/stop") == (500, failed)
    assert await call("POST", "/stop") == (200, {"status": "OK"})


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, "-1", "1.5", '"x"', "null", "[1]"]
)
async def test_m7_what_is_no_number_is_refused_and_the_node_stays_usable(call: Call, number: str) -> None:
    for field in ("node_id", "epoch", "block_height", "max_rate", "first_index", "blocks_late"):
        body = sprint().model_dump_json().replace(f'"{field}":{getattr(sprint(), field)}', f'"{field}":{number}')
        assert number in body
        options = {"data": body.encode(), "headers": {"Content-Type": "application/json"}}
        status, answer = await call("POST", "/pow/init/generate", **options)
        assert status in {400, 422}
        assert answer["detail"]
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})


async def test_unknown_paths_and_methods(call: Call) -> None:
    assert await call("GET", "/pow/nothing") == (404, {"detail": "Not Found"})
    assert await call("GET", "/stop") == (405, {"detail": "Method Not Allowed"})


async def test_the_token_is_demanded_on_every_management_route(service: Service) -> None:
    async with served(management_app(service, access=Access(token="s3cret"))) as url, client(url) as http:
        for path in ("/api/v1/state", "/api/v1/pow/status", "/api/v1/nothing"):
            for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
                async with http.get(path, headers=given) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"] == "Bearer"
                    assert "bearer token" in (await response.json())["detail"]
        async with http.get("/api/v1/state", headers={"Authorization": "Bearer s3cret"}) as response:
            assert response.status == 200


@pytest.mark.parametrize("path", ["/api/v1/stop", "/v3/api/v1/stop", "/%61pi/v1/stop", "/api/v1/stop/"])
async def test_m_item29_no_way_of_writing_a_request_passes_by_the_token(
    service: Service, engine: FakeEngine, path: str
) -> None:
    await service.serve(InferenceUp(model="m"))
    async with served(management_app(service, access=Access(token="s3cret"))) as url:
        for host in ("x/health?", "x/nothing#", "x", "[", ""):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert int(answer.split()[1]) in {400, 401}
    assert engine.alive


async def test_a_token_may_hold_any_letters(service: Service) -> None:
    async with served(management_app(service, access=Access(token="gehäm"))) as url, client(url) as http:
        for given, status in (("Bearer gehäm", 200), ("Bearer geham", 401)):
            async with http.get("/api/v1/state", headers={"Authorization": given}) as response:
                assert response.status == status


async def test_health_and_the_openapi_page_serve_people(service: Service) -> None:
    async with served(management_app(service, access=Access(token="s3cret"))) as url, client(url) as http:
        async with http.get("/health") as response:
            assert (response.status, await response.json()) == (200, {"status": "OK"})
        async with http.get("/openapi.json") as response:
            assert "/api/v1/inference/up" in (await response.json())["paths"]
