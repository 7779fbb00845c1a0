"""What is checked before a request is read: token, mode, size, version before the path."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest

from pivot.mlnode.http.app import Access, management_app
from pivot.mlnode.http.gate import MAX_BODY_BYTES
from pivot.mlnode.service import Service
from pivot.protocol.mlnode_api import MAX_VALIDATE_LEAVES, InferenceUp
from tests.mlnode.fakes import FakeApiNode, FakeEngine, client, served, sprint, until
from tests.mlnode.http.bodies import UP, Call, leaves


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


@pytest.mark.parametrize("prefix", ["/v3.0.8", "/v1", "/v2-rc1"])
async def test_a_version_before_the_path_changes_nothing(service: Service, prefix: str) -> None:
    async with served(management_app(service, access=Access(token="s3cret"))) as url, client(url) as http:
        for path, statuses in (("/api/v1/state", (401, 200)), ("/health", (200, 200)), ("/metrics", (200, 200))):
            for headers, status in zip(({}, {"Authorization": "Bearer s3cret"}), statuses, strict=True):
                async with http.get(prefix + path, headers=headers) as response:
                    assert response.status == status
        async with http.get(f"{prefix}{prefix}/api/v1/state") as response:
            assert response.status == 404


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


@pytest.mark.parametrize("public", [False, True])
async def test_the_metrics_want_the_token_where_the_port_is_public(service: Service, public: bool) -> None:
    access = Access(token="s3cret", public=public)
    async with served(management_app(service, access=access)) as url, client(url) as http:
        async with http.get("/metrics") as response:
            assert response.status == (401 if public else 200)
        async with http.get("/metrics", headers={"Authorization": "Bearer s3cret"}) as response:
            assert response.content_type == "text/plain"
            assert ('requests_refused_total{status="401"} 1.0' in await response.text()) is public
