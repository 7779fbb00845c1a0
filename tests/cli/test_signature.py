"""`pivot signature`: against the published vector, and to a host that checks what comes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.node.keyring.keyring import open_keyring
from pivot.primitives.keys import PrivateKey, decode_signature, recover
from pivot.protocol.signing import body_hash, developer_sign_bytes
from tests.cli.conftest import Pivot
from tests.vectors import load_vectors

VECTOR: dict[str, Any] = load_vectors("developer_signatures.json")["vectors"][0]
HOST = PrivateKey(b"\x09" * 32).address
OPTIONS = ("--endpoint-account", VECTOR["transfer_address"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIVOT_KEYRING_BACKEND", "test")
    monkeypatch.setenv("PIVOT_HOME", str(tmp_path))
    open_keyring(tmp_path, "test", lambda _: "").add("developer", PrivateKey.from_hex(VECTOR["private_key_hex"]))
    return tmp_path


@pytest.fixture
async def host() -> AsyncIterator[str]:
    """A host that answers whoever has signed."""

    async def identity(_: web.Request) -> web.Response:
        return web.json_response({"data": {"address": HOST}})

    async def chat(request: web.Request) -> web.Response:
        body = await request.read()
        signed = developer_sign_bytes(body_hash(body), int(request.headers["X-Timestamp"]), HOST)
        recover(request.headers["X-Requester-Address"], signed, decode_signature(request.headers["Authorization"]))
        return web.json_response({"echo": json.loads(body)}, status=402 if b"poor" in body else 200)

    application = web.Application()
    application.router.add_get("/v1/identity", identity)
    application.router.add_post("/v1/chat/completions", chat)
    async with TestServer(application) as server:
        yield f"http://{server.host}:{server.port}"


async def test_the_published_signature_is_made_and_found_good(pivot: Pivot, home: Path) -> None:
    stamp = str(VECTOR["timestamp_ns"])
    made = await pivot(
        "signature",
        "create",
        VECTOR["body"],
        "--account-address",
        "developer",
        *OPTIONS,
        "--timestamp",
        stamp,
        "--json",
    )
    assert made.json["signature"] == VECTOR["signature"]
    (home / "body.json").write_text(VECTOR["body"])
    again = await pivot(
        *("signature", "create", "--file", str(home / "body.json"), "--account-address", VECTOR["address"]),
        *(*OPTIONS, "--timestamp", stamp),
    )
    assert f"signature: {VECTOR['signature']}" in again.out
    check = ("signature", "verify", "--account-address", VECTOR["address"], *OPTIONS, "--timestamp", stamp)
    good = await pivot(*check, VECTOR["body"], "--signature", VECTOR["signature"], "--json")
    assert (good.code, good.json) == (0, {"good": True})
    for text, signature in ((VECTOR["body"] + " ", VECTOR["signature"]), (VECTOR["body"], "AAAA")):
        bad = await pivot(*check, text, "--signature", signature, "--json")
        assert (bad.code, bad.json) == (1, {"good": False})


async def test_a_request_is_sent_with_a_signature_for_its_host(pivot: Pivot, host: str) -> None:
    send = ("signature", "send-request", "--account-address", "developer", "--node-address", host)
    told = await pivot(*send, '{"model": "m"}')
    assert (told.code, told.json) == (0, {"echo": {"model": "m"}})
    poor = await pivot(*send, '{"model": "poor"}')
    assert (poor.code, "402" in poor.err) == (1, True)


async def test_what_cannot_be_signed_or_sent_is_told(pivot: Pivot, home: Path, host: str) -> None:
    create = ("signature", "create", "--account-address", "developer", *OPTIONS)
    assert (await pivot(*create)).code == 2
    assert (await pivot(*create, "--file", str(home / "none"))).code == 1
    send = ("signature", "send-request", "{}", "--account-address", "developer", "--node-address")
    for url in ("http://127.0.0.1:1", "ftp://nowhere", f"{host}/elsewhere"):
        assert (await pivot(*send, url)).code == 1
