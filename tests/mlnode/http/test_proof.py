"""The proof of compute, by its routes."""

from __future__ import annotations

import asyncio
import base64

import pytest

from pivot.mlnode.poc import worker
from tests.mlnode.fakes import FakeApiNode, sprint, until
from tests.mlnode.http.bodies import Call, leaves


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
