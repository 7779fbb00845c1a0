"""How the management port refuses, and what it shows to people."""

from __future__ import annotations

from typing import Any

import pytest

from pivot.mlnode.callback_hosts import CallbackHosts
from pivot.mlnode.http.app import Access, management_app
from pivot.mlnode.service import Service
from tests.mlnode.fakes import FakeEngine, FakeTraining, client, served, sprint
from tests.mlnode.http.bodies import UP, Call


async def test_malformed_json_is_refused_without_an_echo(call: Call) -> None:
    options = {"data": b'{"token": "secret', "headers": {"Content-Type": "application/json"}}
    status, body = await call("POST", "/pow/init/generate", **options)
    assert status == 422
    assert body["detail"][0]["type"] == "json_invalid"
    assert "secret" not in str(body)


async def test_a_refusal_does_not_echo_the_token(call: Call) -> None:
    body = sprint(token="secret").model_dump() | {"epoch": -1}
    assert "secret" not in str(await call("POST", "/pow/init/generate", body))


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


async def test_unknown_paths_and_methods(call: Call) -> None:
    assert await call("GET", "/pow/nothing") == (404, {"detail": "Not Found"})
    assert await call("GET", "/stop") == (405, {"detail": "Method Not Allowed"})


async def test_health_and_the_openapi_page_serve_people(service: Service) -> None:
    async with served(management_app(service, access=Access(token="s3cret"))) as url, client(url) as http:
        async with http.get("/health") as response:
            assert (response.status, await response.json()) == (200, {"status": "OK"})
        async with http.get("/openapi.json") as response:
            assert "/api/v1/inference/up" in (await response.json())["paths"]
