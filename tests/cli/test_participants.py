"""`pivot participants`: a host and a developer become known through a host of the network."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.node.keyring.keyring import open_keyring
from pivot.primitives.addresses import from_public_key
from pivot.primitives.keys import PrivateKey, decode_signature, verify
from pivot.protocol.signing import registration_sign_bytes
from tests.cli.conftest import Pivot

CHAIN_ID = "pivot-1"
KEY = PrivateKey(b"\x09" * 32)
CONSENSUS_KEY = base64.b64encode(b"\x07" * 32).decode()


@dataclass
class Seed:
    """A host's API node and, under the same address, a chain node's RPC."""

    url: str = ""
    posted: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    async def node_info(self, _: web.Request) -> web.Response:
        return web.json_response({"default_node_info": {"network": CHAIN_ID}})

    async def rpc_status(self, _: web.Request) -> web.Response:
        return web.json_response({"result": {"validator_info": {"pub_key": {"value": CONSENSUS_KEY}}}})

    async def post(self, request: web.Request) -> web.Response:
        self.posted.append(await request.json())
        return web.json_response({"error": "no"} if self.status >= 400 else {}, status=self.status)

    async def one(self, request: web.Request) -> web.Response:
        known: list[Any] = [each for each in self.posted if each["address"] == request.match_info["address"]]
        return web.json_response({}, status=200 if known else 404)


@pytest.fixture
async def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seed]:
    monkeypatch.setenv("PIVOT_KEYRING_BACKEND", "test")
    monkeypatch.setenv("PIVOT_HOME", str(tmp_path))
    open_keyring(tmp_path, "test", lambda _: "").add("host", KEY)
    made = Seed()
    application = web.Application()
    application.router.add_get("/chain-api/cosmos/base/tendermint/v1beta1/node_info", made.node_info)
    application.router.add_get("/status", made.rpc_status)
    application.router.add_post("/v1/participants", made.post)
    application.router.add_get("/v1/participants/{address}", made.one)
    async with TestServer(application) as server:
        made.url = f"http://{server.host}:{server.port}"
        monkeypatch.setenv("SEED_API_URL", made.url)
        yield made


async def test_a_hosts_registration_is_signed_and_handed_in(pivot: Pivot, seed: Seed) -> None:
    told = await pivot(
        *("participants", "register", "http://new.example:9000/", "--from", "host", "--chain-node", seed.url, "--json")
    )
    assert told.code == 0, told.err
    [sent] = seed.posted
    assert (sent["address"], sent["url"], sent["validator_key"]) == (
        KEY.address,
        "http://new.example:9000",
        CONSENSUS_KEY,
    )
    signed = registration_sign_bytes(CHAIN_ID, KEY.address, "http://new.example:9000", CONSENSUS_KEY)
    assert verify(KEY.public_key, signed, decode_signature(sent["registration_signature"]))


async def test_a_developer_gets_a_key_and_an_account(pivot: Pivot, seed: Seed) -> None:
    told = await pivot("participants", "create-client", "me", "--json")
    assert told.code == 0, told.err
    [sent] = seed.posted
    assert from_public_key(base64.b64decode(sent["pub_key"])) == sent["address"] == told.json["address"]
    assert PrivateKey.from_mnemonic(told.json["mnemonic"]).address == sent["address"]
    assert (await pivot("keys", "show", "me", "-a")).out.strip() == sent["address"]
    assert "mnemonic: " in (await pivot("participants", "create-client", "other")).out


async def test_what_goes_wrong_is_told(pivot: Pivot, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    seed.status = 400
    refused = await pivot("participants", "create-client", "me")
    assert (refused.code, "refused it (400)" in refused.err) == (1, True)
    register = ("participants", "register", "http://new.example", "--from", "host", "--chain-node")
    assert "does not answer" in (await pivot(*register, "http://127.0.0.1:1")).err
    assert "is no node" in (await pivot(*register, f"{seed.url}/elsewhere")).err
    seed.status = 202
    monkeypatch.setattr("pivot.cli.participants.WAIT_SECONDS", -1.0)
    monkeypatch.setattr(seed, "posted", NoMemory())
    late = await pivot("participants", "create-client", "late")
    assert (late.code, "does not know" in late.err) == (1, True)


class NoMemory(list[dict[str, str]]):
    """Keeps nothing."""

    def append(self, _: dict[str, str]) -> None:
        """Forget it."""
