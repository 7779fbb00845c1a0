"""The whole look at a host whose parts are in this process, over real HTTP and gRPC."""

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest, QueryBalanceResponse
from cosmos.base.v1beta1.coin_pb2 import Coin

from pivot.api.ledger import chain as chain_module
from pivot.api.settings import ApiSettings
from pivot.api.tls import server_context
from pivot.doctor import machine, network_node
from pivot.doctor.finding import Finding, State
from pivot.doctor.network_node import examine
from pivot.mlnode import devices
from pivot.node.engine import ENGINE_VERSION
from pivot.primitives.addresses import consensus_address
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from tests.api.fleet.chain import key
from tests.api.ledger.engine import FakeEngine, FakeGateway, GatewayRefusal
from tests.certificates import Authority
from tests.doctor.test_ml_nodes import listed

CONSENSUS_KEY = b"k" * 32
SIGNER = consensus_address(CONSENSUS_KEY).hex().upper()
ACCOUNT, GATEWAY = key(1), key(101)


@dataclass
class FakeHost:
    """What the host's ports tell. `participant` None: the chain does not know the host."""

    settings: ApiSettings
    engine: FakeEngine
    nodes: list[dict[str, Any]] = field(default_factory=list)
    api_keys: list[dict[str, Any]] = field(default_factory=list)
    admin_status: int = 200
    tries: dict[str, dict[str, Any] | str] = field(default_factory=lambda: {"node1": {"status": 401}})
    """What each ML node finds at the call-back URL; a sentence: it cannot be asked."""
    participant: Participant | None = None
    balance: int = 5
    validators: list[str] = field(default_factory=lambda: [SIGNER])
    validators_since: int = 0
    signatures: list[str] = field(default_factory=lambda: [SIGNER])
    signed_as: int = 2
    seconds_ago: float = 1.0
    version: str = ENGINE_VERSION

    async def findings(self, *, before_start: bool = False, **environment: str) -> dict[str, Finding]:
        found = await examine(self.settings, environment, before_start=before_start)
        return {finding.check: finding for finding in found}

    async def wrong(self, **environment: str) -> dict[str, str]:
        found = await self.findings(**environment)
        return {check: finding.found for check, finding in found.items() if finding.state is State.WRONG}

    async def identity(self, _: web.Request) -> web.Response:
        return web.json_response({"data": {"address": ACCOUNT.address, "url": ""}})

    async def listed(self, _: web.Request) -> web.Response:
        return web.json_response(self.nodes, status=self.admin_status)

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(self.api_keys)

    async def tried(self, request: web.Request) -> web.Response:
        assert request.headers.get("Authorization") == ("Bearer s3cret" if self.settings.api.admin_token else None)
        told = self.tries[request.match_info["id"]]
        return web.json_response(
            {"error": told} if isinstance(told, str) else told, status=502 if isinstance(told, str) else 200
        )

    def status(self, _: Any) -> dict[str, Any]:
        now = datetime.fromtimestamp(time.time() - self.seconds_ago, UTC)
        told = self.engine._status()
        told["node_info"]["version"] = self.version
        told["sync_info"]["latest_block_time"] = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return told

    def commit(self, _: Any) -> dict[str, Any]:
        signatures = [{"block_id_flag": self.signed_as, "validator_address": address} for address in self.signatures]
        return {
            "signed_header": {"commit": {"signatures": [{"block_id_flag": 1, "validator_address": ""}, *signatures]}}
        }

    def validator_set(self, asked: dict[str, Any]) -> dict[str, Any]:
        signing = self.validators if int(asked["height"]) >= self.validators_since else []
        return {
            "block_height": asked["height"],
            "validators": [{"address": address} for address in signing],
            "total": str(len(signing)),
        }

    def known(self, _: Any) -> queries.QueryGetParticipantResponse:
        if self.participant is None:
            raise GatewayRefusal(grpc.StatusCode.NOT_FOUND)
        return queries.QueryGetParticipantResponse(participant=self.participant)

    def held(self, request: QueryBalanceRequest) -> QueryBalanceResponse:
        assert request.address == GATEWAY.address
        return QueryBalanceResponse(balance=Coin(denom="ngonka", amount=str(self.balance)))


async def no_devices() -> None:
    """As on a machine without a driver."""


@pytest.fixture
async def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHost]:
    monkeypatch.setattr(devices, "query_devices", no_devices)
    monkeypatch.setattr(machine, "total_memory", lambda: 64 * machine.GIB)
    monkeypatch.setattr(network_node, "free_bytes", lambda _: 500 * machine.GIB)
    monkeypatch.setattr(network_node, "installed_engine", lambda: Path("/usr/bin/cometbft"))
    monkeypatch.setattr(chain_module, "RETRY_PAUSES_SECONDS", (0.0,))
    engine, gateway = FakeEngine(), FakeGateway()
    await engine.start()
    engine.height = 9
    server = await gateway.serve()
    settings = ApiSettings(home=tmp_path)
    host = FakeHost(settings, engine)
    engine.answers |= {
        "status": host.status,
        "commit": host.commit,
        "validators": host.validator_set,
    }
    gateway.answer("/inference.inference.Query/Participant", queries.QueryGetParticipantRequest, host.known)
    gateway.answer("/cosmos.bank.v1beta1.Query/Balance", QueryBalanceRequest, host.held)
    app = web.Application()
    app.router.add_get("/v1/identity", host.identity)
    app.router.add_get("/admin/v1/nodes", host.listed)
    app.router.add_get("/admin/v1/keys/api", host.keys)
    app.router.add_post("/admin/v1/nodes/{id}/callback/try", host.tried)
    runner = web.AppRunner(app)
    await runner.setup()
    for _ in range(3):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    public, callbacks, admin = (address[1] for address in runner.addresses)
    api, chain_node = settings.api, settings.chain_node
    api.public_server_port, api.ml_server_port, api.admin_server_port = public, callbacks, admin
    api.public_url, api.poc_callback_url = f"http://127.0.0.1:{public}", f"http://127.0.0.1:{callbacks}"
    api.allow_private_urls = True
    chain_node.url, chain_node.grpc_url = engine.url, gateway.url
    host.participant = Participant(
        inference_url=api.public_url,
        validator_key=base64.b64encode(CONSENSUS_KEY).decode(),
        gateway_address=GATEWAY.address,
    )
    host.nodes = [listed("127.0.0.1", models="pivot/tiny-chat")]
    yield host
    await server.stop(None)
    await engine.stop()
    await runner.cleanup()


async def test_a_healthy_host_has_nothing_wrong(one: FakeHost) -> None:
    found = await one.findings(P2P_EXTERNAL_ADDRESS=one.engine.url.replace("http", "tcp"))
    assert {finding.state for finding in found.values()} <= {State.OK, State.SKIPPED}, found
    assert list(found)[:2] == ["admin port", "public url"]
    assert found["registration"].found.startswith(ACCOUNT.address)
    assert "models" in found


async def test_the_hosts_own_keys_tell_who_it_is_and_none_are_made(one: FakeHost) -> None:
    await one.findings()
    assert not list(one.settings.home.iterdir())
    (one.settings.home / f"{one.settings.key_name}.key").write_text("02" * 32)
    (one.settings.home / "gateway.key").write_text("short")
    assert "gateway.key does not hold a key" in (await one.wrong())["keys"]


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"participant": None}, "registration"),
        ({"balance": 0}, "gateway account"),
        ({"signatures": []}, "signer"),
        ({"seconds_ago": -30}, "clock"),
        ({"seconds_ago": 100}, "clock"),
        ({"version": "0.37.0"}, "engine version"),
        ({"nodes": [listed("127.0.0.1", models="pivot/tiny-chat", failure="it is gone")]}, "ml node node1"),
        ({"nodes": [listed("10.0.0.5")]}, "callback url"),
        ({"nodes": [listed("127.0.0.1", models="Qwen/Nonesuch")]}, "models"),
        ({"tries": {"node1": {"status": 0, "error": "no route"}}}, "callback url from node1"),
        ({"admin_status": 401}, "ml nodes"),
    ],
)
async def test_each_fault_is_told(one: FakeHost, fault: dict[str, Any], check: str) -> None:
    one.api_keys = [{"revoked_at": 5}, {"revoked_at": None}]
    for name, value in fault.items():
        setattr(one, name, value)
    assert list(await one.wrong()) == [check]


async def test_every_ml_node_is_asked_whether_it_reaches_the_callback_url(one: FakeHost) -> None:
    one.settings.api.admin_token = "s3cret"
    one.nodes = [listed("127.0.0.1", models="pivot/tiny-chat", node_id=node_id) for node_id in ("a/b", "old", "c")]
    one.tries = {"a/b": {"status": 401}, "old": "it answered 404", "c": {"status": 0, "error": "no route to host"}}
    found = await one.findings()
    told = {name: found[f"callback url from {name}"] for name in one.tries}
    assert {name: finding.state for name, finding in told.items()} == {
        "a/b": State.OK,
        "old": State.SKIPPED,
        "c": State.WRONG,
    }
    assert "no route to host" in told["c"].found
    assert "`pivot doctor --ml-node --callback-url" in told["old"].found
    del one.tries["c"]  # the Admin API fails
    assert (await one.findings())["callback url from c"].state is State.SKIPPED


async def test_a_published_address_that_a_container_cannot_reach_is_not_called_wrong(one: FakeHost) -> None:
    """RFC 5737: an address that nobody has, as that of the machine around a container is none inside it."""
    one.settings.api.public_url = "http://192.0.2.1:8000"
    one.settings.api.poc_callback_url = "http://192.0.2.1:9100"
    found = await one.findings(P2P_EXTERNAL_ADDRESS="tcp://192.0.2.1:5000")
    for check in ("public url", "callback url", "p2p"):
        assert found[check].state is State.SKIPPED
        assert "cannot be tried from here" in found[check].found
    assert found["callback url from node1"].state is State.OK


async def test_a_host_without_weight_signs_nothing_and_that_is_well(one: FakeHost) -> None:
    one.validators = []
    assert (await one.findings())["signer"].state is State.OK


async def test_a_validator_of_the_last_blocks_may_not_have_signed_yet_and_one_of_earlier_must(one: FakeHost) -> None:
    one.signatures = []
    one.validators_since = 6
    assert (await one.findings())["signer"].state is State.OK
    one.validators_since = 4
    assert (await one.findings())["signer"].state is State.WRONG


async def test_a_vote_for_no_block_shows_that_the_signer_works(one: FakeHost) -> None:
    one.signed_as = 3
    assert (await one.findings())["signer"].state is State.OK
    one.signed_as = 1
    assert (await one.findings())["signer"].state is State.WRONG


async def test_a_chain_node_that_is_down_or_behind(one: FakeHost) -> None:
    one.engine.catching_up = True
    found = await one.findings()
    assert (found["chain node"].state, "clock" in found) == (State.WARNING, False)
    await one.engine.stop()
    assert list(await one.wrong()) == ["chain node"]
    await one.engine.start()


async def test_a_gateway_that_is_down_is_told(one: FakeHost) -> None:
    one.settings.chain_node.grpc_url = "127.0.0.1:1"
    assert "the chain cannot be asked" in (await one.wrong())["registration"]


async def test_an_api_node_that_is_down_is_told(one: FakeHost) -> None:
    one.settings.api.admin_server_port = one.settings.api.public_server_port = 1
    one.settings.api.public_url = "http://127.0.0.1:1"
    found = await one.findings()
    assert found["port 1"].state is State.WRONG
    assert found["public url"].state is State.WRONG
    assert found["ml nodes"].state is State.WRONG
    assert found["registration"].state is State.SKIPPED


async def test_before_the_start_ports_must_be_free_and_the_seed_answer(one: FakeHost) -> None:
    one.settings.chain_node.url = "http://node:26657"
    one.settings.training.enabled, one.settings.training.server_port = True, one.settings.api.public_server_port
    taken = await one.findings(before_start=True, SEED_NODE_RPC_URL=one.engine.url)
    assert taken[f"port {one.settings.training.server_port}"].state is State.WRONG
    assert taken[f"port {one.settings.api.admin_server_port}"].state is State.WRONG
    assert (taken["seed"].state, taken["clock"].state) == (State.OK, State.OK)
    one.settings.api.admin_server_port = 1
    free = await one.findings(before_start=True, SEED_NODE_RPC_URL="http://127.0.0.1:1")
    assert (free["port 1"].state, free["seed"].state) == (State.OK, State.WRONG)
    assert (await one.findings(before_start=True))["seed"].state is State.SKIPPED


async def test_before_the_start_the_models_of_the_configured_nodes_are_looked_for(
    one: FakeHost, tmp_path: Path
) -> None:
    one.settings.node_config_path = config = tmp_path / "node-config.json"
    node = {"id": "a", "host": "localhost", "inference_port": 1, "poc_port": 2, "max_concurrent": 1}
    config.write_text(json.dumps([{**node, "models": {"Qwen/Nonesuch": {}}}]))
    found = await one.findings(before_start=True, HF_HOME=str(tmp_path))
    fetch = f"`pivot models pull Qwen/Nonesuch --cache-dir {tmp_path}/hub` fetches it ("
    assert found["models"].remedy.startswith(fetch)
    config.write_text("{")
    assert (await one.findings(before_start=True))["node config"].state is State.WRONG
    config.unlink()
    assert (await one.findings(before_start=True))["node config"].state is State.WRONG


async def test_settings_that_open_the_host_are_wrong(one: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    one.settings.api.admin_server_host = "0.0.0.0"
    one.settings.api.allow_private_urls = False

    async def broken() -> None:
        raise devices.DriverBroken("nvidia-smi fails: no devices")

    monkeypatch.setattr(devices, "query_devices", broken)
    found = await one.findings(before_start=True)
    for check in ("admin port", "public url", "gpu"):
        assert found[check].state is State.WRONG


async def test_an_admin_port_that_wants_a_certificate_is_shown_one(one: FakeHost, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "host")
    own, ada, api = authority.issue("network-node"), authority.issue("ada"), one.settings.api
    api.tls_certificate, api.tls_key, api.admin_client_ca = own.certificate, own.key, authority.file
    app = web.Application()
    app.router.add_get("/admin/v1/nodes", one.listed)
    app.router.add_post("/admin/v1/nodes/{id}/callback/try", one.tried)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(api, api.admin_client_ca)).start()
    api.admin_server_port = runner.addresses[0][1]
    shown = {"ADMIN_CERTIFICATE": str(ada.both), "ADMIN_CA": str(authority.file)}
    assert await one.wrong(**shown) == {}
    assert (await one.findings(before_start=False, **shown))["admin port"].found == "guarded by certificates"
    for environment in ({}, {**shown, "ADMIN_CERTIFICATE": str(ada.key)}):
        assert "ADMIN_CERTIFICATE and ADMIN_CA" in (await one.wrong(**environment))["ml nodes"]
    await runner.cleanup()
