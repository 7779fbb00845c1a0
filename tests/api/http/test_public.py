"""The public read endpoints, over real HTTP, with the chain's proof of its members."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from aiohttp import web
from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from yarl import URL

from pivot.api.database import Database
from pivot.api.http import epochs, participants
from pivot.api.http.public import PublicApp
from pivot.api.ledger.interface import ChainUnavailable, Outcome
from pivot.api.proofs.archive import ProofArchive, ProofKeeper
from pivot.api.settings import ApiSettings, ChainNodeSettings
from pivot.chain.store.memory import MemoryDatabase
from pivot.primitives.keys import PrivateKey
from pivot.protocol import signing
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitNewUnfundedParticipant
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipant,
    ActiveParticipants,
    Inference,
    InferenceStatus,
    MLNodeInfo,
    Model,
    ModelMLNodes,
    ModelPrice,
    Participant,
    ParticipantStatus,
    RandomSeed,
)
from tests.api.http.proof_check import check_members_proof
from tests.api.inference.network import EPOCH, MODEL, Host, Network, moment_at
from tests.api.serving import serving

CONSENSUS_KEY = bytes(range(32))


@dataclass
class FakeEngineRpc:
    """The engine's answers to a proof, from a real state store."""

    store: MemoryDatabase = field(default_factory=lambda: MemoryDatabase(["acc", "bank", "inference"]))
    queries: int = 0

    def put(self, key: bytes, value: bytes) -> None:
        changes = {"inference": {key: value, b"other": b"1"}, "bank": {b"b": b"2"}}
        self.store.stage(self.store.height + 1, changes)
        self.store.commit()

    async def abci_query(self, path: str, data: bytes, *, height: int = 0, prove: bool = False) -> dict[str, Any]:
        self.queries += 1
        assert (path, prove) == ("/store/inference/key", True)
        value, proof = self.store.prove("inference", data)
        told = base64.b64encode(value).decode() if value else None
        return {"value": told, "height": str(self.store.height), "proofOps": json_format.MessageToDict(proof)}

    async def block(self, height: int | None = None) -> dict[str, Any]:
        assert height == self.store.height + 1
        header = {"height": str(height), "app_hash": self.store.app_hash.hex().upper(), "chain_id": "pivot-test"}
        return {"block_id": {}, "block": {"header": header, "data": {"txs": []}}}

    async def validators(self, height: int | None = None) -> list[dict[str, Any]]:
        return [{"address": "AB", "voting_power": "10"}]


@dataclass
class Port:
    url: str
    network: Network
    rpc: FakeEngineRpc
    app: PublicApp
    settings: ApiSettings

    @property
    def host(self) -> Host:
        return self.network.hosts[0]

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.network.http.get(self.url + path) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def post(self, path: str, document: Any) -> tuple[int, Any]:
        async with self.network.http.post(self.url + path, json=document) as answer:
            return answer.status, orjson.loads(await answer.read())


async def _artifacts(request: Request) -> Response:
    return JSONResponse(dict(request.path_params))


async def _leaves(request: Request) -> Response:
    return JSONResponse({"epoch": request.path_params["epoch"], "query": str(request.query_params)})


@asynccontextmanager
async def running_port(
    network: Network, rest_url: str = "http://127.0.0.1:1", archive: ProofArchive | None = None
) -> AsyncIterator[Port]:
    host, rpc = network.hosts[0], FakeEngineRpc()
    settings = ApiSettings(chain_node=ChainNodeSettings(rest_url=rest_url, url=rest_url))
    app = PublicApp(
        settings,
        host.identity,
        network.chain,  # type: ignore[arg-type]  # only what is asked
        rpc,
        host.outbox,  # type: ignore[arg-type]
        host.phases,
        host.service,
        _leaves,
        _artifacts,
        network.http,
        None,
        archive=archive,
    )
    async with serving(app) as url:
        yield Port(url, network, rpc, app, settings)
    await app.close()


@pytest.fixture
async def port(network: Network) -> AsyncIterator[Port]:
    async with running_port(network) as port:
        yield port


def members_of(host: Host) -> ActiveParticipants:
    member = ActiveParticipant(
        index=host.address,
        validator_key=base64.b64encode(CONSENSUS_KEY).decode(),
        weight=40,
        inference_url=host.url,
        models=[MODEL],
        seed=RandomSeed(participant=host.address, epoch_index=EPOCH, signature="ab"),
        ml_nodes=[
            ModelMLNodes(ml_nodes=[MLNodeInfo(node_id="node1", poc_weight=40, timeslot_allocation=[True, False])])
        ],
    )
    return ActiveParticipants(participants=[member], epoch_id=EPOCH, epoch_group_id=3)


def key_of(epoch: int) -> bytes:
    return b"ActiveParticipants/value/" + epoch.to_bytes(8, "big") + b"/"


@pytest.mark.parametrize("epoch", ["current", str(EPOCH)])
async def test_the_members_come_with_a_proof_that_holds_against_the_block(port: Port, epoch: str) -> None:
    members = members_of(port.host)
    port.rpc.put(key_of(EPOCH), members.SerializeToString())
    status, answer = await port.get(f"/v1/epochs/{epoch}/participants")
    assert status == 200, answer
    check_members_proof(answer)
    assert bytes.fromhex(answer["active_participants_bytes"]) == members.SerializeToString()
    [member] = answer["active_participants"]["participants"]
    assert (member["index"], member["weight"], member["models"]) == (port.host.address, 40, [MODEL])
    assert member["seed"] == {"participant": port.host.address, "epoch_index": EPOCH, "signature": "ab"}
    assert member["ml_nodes"][0]["ml_nodes"][0]["timeslot_allocation"] == [True, False]
    assert answer["active_participants"]["epoch_id"] == EPOCH
    assert answer["excluded_participants"] == []
    assert answer["addresses"] == ["630DCD2966C4336691125448BBB25B4FF412A49C"]
    assert answer["block"]["header"]["height"] == "2"
    assert answer["validators"]


async def test_an_epoch_stays_provable_when_the_chain_has_forgotten_it(
    network: Network, each_database: Database
) -> None:
    archive = ProofArchive(each_database)
    async with running_port(network, archive=archive) as port:
        members = members_of(port.host)
        port.rpc.put(key_of(EPOCH), members.SerializeToString())
        keeper = ProofKeeper(port.app.members_of, port.host.phases)
        await keeper.start()
        while await archive.find(EPOCH) is None:
            await asyncio.sleep(0.01)
        await keeper.close()
    network.hosts[0].phases.moment = moment_at(epoch=EPOCH + 90, height=9_000)
    async with running_port(network, archive=archive) as port:
        port.rpc.put(b"k", b"v")
        status, answer = await port.get(f"/v1/epochs/{EPOCH}/participants")
        assert status == 200
        check_members_proof(answer)
        assert bytes.fromhex(answer["active_participants_bytes"]) == members.SerializeToString()
        assert (await port.get(f"/v1/epochs/{EPOCH + 1}/participants"))[0] == 404
        assert port.rpc.queries == 1


async def test_a40_the_proof_is_asked_for_once_not_for_every_caller(port: Port) -> None:
    port.rpc.put(key_of(EPOCH), members_of(port.host).SerializeToString())
    for _ in range(5):
        assert (await port.get("/v1/epochs/current/participants"))[0] == 200
    assert port.rpc.queries == 1


@pytest.mark.parametrize(
    ("epoch", "status", "sentence"),
    [
        ("6", 404, epochs.NO_MEMBERS),
        ("0", 400, "Epoch enumeration starts with 1"),
        ("8", 400, "Epoch is not reached"),
        ("x", 400, "Invalid epoch id"),
        ("9" * 30, 400, "Invalid epoch id"),
    ],
)
async def test_an_epoch_without_members_is_refused(port: Port, epoch: str, status: int, sentence: str) -> None:
    port.rpc.put(b"k", b"v")
    told, answer = await port.get(f"/v1/epochs/{epoch}/participants")
    assert (told, answer["error"]["message"]) == (status, sentence)


async def test_before_the_first_epoch_there_are_no_members(port: Port) -> None:
    port.host.phases.moment = moment_at(epoch=0)
    assert (await port.get("/v1/epochs/current/participants"))[0] == 404
    port.host.phases.moment = None
    assert (await port.get("/v1/epochs/current/participants"))[0] == 503


async def test_a_block_that_does_not_come_is_said(port: Port) -> None:
    port.rpc.put(key_of(EPOCH), members_of(port.host).SerializeToString())
    port.host.phases.moment = moment_at(height=1)
    status, answer = await port.get("/v1/epochs/current/participants")
    assert status == 503
    assert "block 2 did not come" in answer["error"]["message"]


@pytest.mark.parametrize("epoch", ["latest", str(EPOCH)])
async def test_the_stages_of_an_epoch_and_of_the_next(port: Port, epoch: str) -> None:
    moment = moment_at()
    params = moment.latest.params.epoch_params
    moment.latest.boundaries.CopyFrom(boundaries(params, 900))
    moment.latest.poc_start_block_height = 900
    port.host.phases.moment = moment
    status, answer = await port.get(f"/v1/epochs/{epoch}")
    assert status == 200
    assert answer["block_height"] == 1000
    assert answer["latest_epoch"] == {"index": EPOCH, "poc_start_block_height": 900}
    assert answer["phase"] == "Inference"
    assert answer["epoch_stages"]["poc_exchange_window"] == {"start": 901, "end": 930}
    assert answer["epoch_stages"]["claim_money"] == answer["epoch_stages"]["set_new_validators"] + 1
    assert answer["next_epoch_stages"]["epoch_index"] == EPOCH + 1
    assert answer["next_epoch_stages"]["poc_start"] == answer["epoch_stages"]["next_poc_start"] == 1500
    assert answer["epoch_params"]["epoch_length"] == 600


async def test_stages_that_are_long_over_are_not_kept(port: Port) -> None:
    assert (await port.get("/v1/epochs/3"))[0] == 404


async def test_the_chains_record_is_found_by_its_percent_encoded_id(port: Port) -> None:
    inference_id = "a/b+c/" + "d" * 80 + "=="
    record = Inference(
        index=inference_id,
        inference_id=inference_id,
        status=InferenceStatus.FINISHED,
        actual_cost=1200,
        escrow_amount=9000,
    )
    port.network.chain.inferences[inference_id] = record
    status, answer = await port.get(f"/v1/chat/completions/{quote(inference_id, safe='')}")
    assert status == 200, answer
    assert (answer["status"], answer["actual_cost"], answer["executor_paid"]) == ("FINISHED", 1200, 1200)
    assert answer["escrow_amount"] == 9000
    record.status = InferenceStatus.STARTED
    assert (await port.get(f"/v1/chat/completions/{quote(inference_id, safe='')}"))[1] == answer  # for this block
    port.host.phases.moment = moment_at(height=1002)
    assert (await port.get(f"/v1/chat/completions/{quote(inference_id, safe='')}"))[1]["executor_paid"] == 0


async def test_an_unknown_inference_is_not_found(port: Port) -> None:
    status, answer = await port.get("/v1/chat/completions/unknown%2Fid")
    assert (status, answer["error"]["message"]) == (404, "Inference not found")


async def test_the_chat_route_answers_beside_the_others(port: Port) -> None:
    reply = await port.network.post(replace(port.host, url=port.url), port.network.body())
    assert reply.status == 200


async def test_an_unknown_model_is_a_404_in_openais_shape(port: Port) -> None:
    port.network.chain.answers["ModelsAll"] = queries.QueryModelsAllResponse()
    port.network.chain.answers["GetAllModelPerTokenPrices"] = queries.QueryGetAllModelPerTokenPricesResponse()
    status, told = await port.get("/v1/models/no/such")
    assert (status, told["error"]["code"], told["error"]["param"]) == (404, "model_not_found", "model")


async def test_a_model_says_what_it_offers(port: Port) -> None:
    listed = [Model(id="a/writes", hf_repo="org/writes"), Model(id="a/pools", model_args=["--runner", "pooling"])]
    port.network.chain.answers["ModelsAll"] = queries.QueryModelsAllResponse(model=listed)
    port.network.chain.answers["GetAllModelPerTokenPrices"] = queries.QueryGetAllModelPerTokenPricesResponse()
    _, told = await port.get("/v1/models")
    assert {each["id"]: each["endpoints"] for each in told["data"]} == {
        "a/writes": ["/v1/chat/completions", "/v1/completions"],
        "a/pools": ["/v1/embeddings"],
    }
    assert [each["root"] for each in told["data"]] == ["org/writes", "a/pools"]
    asked = [each for each in port.network.chain.asked if isinstance(each, queries.QueryModelsAllRequest)]
    assert [each.pagination.limit for each in asked] == [1_000]


async def test_embeddings_are_answered_at_their_own_path(port: Port) -> None:
    port.network.chain.groups[EPOCH, MODEL].model_snapshot.model_args.extend(["--runner", "pooling"])
    body = b'{"model":"%b","input":"x"}' % MODEL.encode()
    reply = await port.network.post(replace(port.host, url=port.url), body, path="/v1/embeddings")
    assert (reply.status, reply.json["object"]) == (200, "list"), reply.raw


async def test_completions_are_answered_at_their_own_path(port: Port) -> None:
    body = port.network.completion()
    reply = await port.network.post(replace(port.host, url=port.url), body, path="/v1/completions")
    assert (reply.status, reply.json["object"]) == (200, "text_completion")


async def test_models_and_prices(port: Port) -> None:
    chain = port.network.chain
    chain.answers["ModelsAll"] = queries.QueryModelsAllResponse(
        model=[Model(id=MODEL, proposed_by="genesis", context_window=1024)]
    )
    chain.answers["GetAllModelPerTokenPrices"] = queries.QueryGetAllModelPerTokenPricesResponse(
        model_prices=[ModelPrice(model_id=MODEL, price=100)]
    )
    [model] = (await port.get("/v1/models"))[1]["data"]
    assert (await port.get(f"/v1/models/{MODEL}")) == (200, model)
    assert (model["id"], model["object"], model["context_window"], model["price_per_token"]) == (
        MODEL,
        "model",
        1024,
        100,
    )
    assert (await port.get("/v1/pricing"))[1] == {
        "denom": "ngonka",
        "models": [{"id": MODEL, "price_per_token": 100}],
    }


async def test_the_hosts_identity_names_no_delegate(port: Port) -> None:
    _, answer = await port.get("/v1/identity")
    assert answer["data"]["address"] == port.host.address
    assert "delegate_ta" not in answer["data"]


@pytest.mark.parametrize("path", ["/health", "/v1/status"])
async def test_it_says_that_it_lives(port: Port, path: str) -> None:
    assert await port.get(path) == (200, {"status": "ok"})


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/epochs", 404)])
async def test_a_path_that_does_not_exist_gets_an_error_object(port: Port, path: str, status: int) -> None:
    told, answer = await port.get(path)
    assert told == status
    assert answer["error"]["message"]


async def test_a_chain_that_is_away_is_said(port: Port) -> None:
    port.network.chain.failure = ChainUnavailable("nobody listens")
    status, answer = await port.get("/v1/pricing")
    assert status == 503
    assert answer["error"]["message"] == "this node's chain does not answer"


async def test_artifacts_are_served_by_the_checks_of_answers(port: Port) -> None:
    assert await port.get("/v1/artifacts/a%2Fb%2B%3D") == (200, {"inference_id": "a/b+="})


async def test_leaves_are_served_by_the_proof_of_compute(port: Port) -> None:
    assert await port.get("/v1/poc/7/leaves?indices=1,2") == (200, {"epoch": "7", "query": "indices=1%2C2"})


async def test_participants_are_listed_page_by_page(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Participant(
        index=port.host.address, inference_url="http://a", status=ParticipantStatus.ACTIVE, coin_balance=5, balance=11
    )
    answer = queries.QueryAllParticipantResponse(participant=[listed], block_height=99)
    answer.pagination.next_key = b"more"
    port.network.chain.answers["ParticipantAll"] = answer
    monkeypatch.setattr(participants, "MAX_PAGES", 2)
    status, document = await port.get("/v1/participants")
    assert status == 200
    assert document["block_height"] == 99
    assert len(document["participants"]) == 2
    assert document["participants"][0] == {
        "id": port.host.address,
        "url": "http://a",
        "status": "ACTIVE",
        "models": [],
        "coins_owed": 5,
        "refunds_owed": 0,
        "balance": 11,
        "voting_power": 10,
        "reputation": 0,
    }
    pages = [each for each in port.network.chain.asked if isinstance(each, queries.QueryAllParticipantRequest)]
    assert [page.pagination.key for page in pages] == [b"", b"more"]


async def test_an_accounts_key_and_balance(port: Port) -> None:
    port.network.chain.answers["InferenceParticipant"] = queries.QueryInferenceParticipantResponse(
        pubkey="AA==", balance=7
    )
    assert await port.get(f"/v1/participants/{port.host.address}") == (200, {"pubkey": "AA==", "balance": 7})


async def test_an_unknown_account_is_not_found(port: Port) -> None:
    status, answer = await port.get("/v1/participants/gonka1nobody")
    assert (status, answer["error"]["message"]) == (404, "Inference participant not found")


def registration(key: PrivateKey, *, url: str = "", validator_key: str = "", signer: PrivateKey | None = None) -> Any:
    document = {"address": key.address, "pub_key": base64.b64encode(key.public_key).decode()}
    if url or validator_key:
        signed = signing.registration_sign_bytes("pivot-test", key.address, url, validator_key)
        signature = (signer or key).sign_base64(signed)
        document |= {"url": url, "validator_key": validator_key, "registration_signature": signature}
    return document


KEY = PrivateKey(b"\5" * 32)
OTHER_KEY = PrivateKey(b"\6" * 32)
VALIDATOR_KEY = base64.b64encode(CONSENSUS_KEY).decode()


@pytest.mark.parametrize(
    "document", [registration(KEY), registration(KEY, url="http://host:9000", validator_key=VALIDATOR_KEY)]
)
async def test_a_registration_is_forwarded_to_the_chain(port: Port, document: Any) -> None:
    port.host.outbox.outcome = Outcome("key", done=True, height=5)
    status, answer = await port.post("/v1/participants", {**document, "worker_key": "ignored"})
    assert (status, answer["status"]) == (200, "registered")
    [message] = port.host.outbox.of_kind(MsgSubmitNewUnfundedParticipant)
    assert (message.creator, message.address) == (port.host.address, KEY.address)
    assert message.url == document.get("url", "")


async def test_a_slow_registration_is_still_under_way(port: Port) -> None:
    status, answer = await port.post("/v1/participants", registration(KEY))
    assert (status, answer["status"]) == (202, "pending")


async def test_what_the_chain_says_against_a_registration_is_passed_on(port: Port) -> None:
    port.host.outbox.outcome = Outcome("key", done=True, code=3, log="quota is used up")
    status, answer = await port.post("/v1/participants", registration(KEY))
    assert status == 400
    assert "quota is used up" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("document", "status", "field"),
    [
        ({}, 400, "pub_key"),
        ({"address": "gonka1x", "pub_key": "!"}, 400, "pub_key"),
        ({**registration(KEY), "pub_key": base64.b64encode(b"\2" * 33).decode()}, 400, "address"),
        ({**registration(KEY), "address": OTHER_KEY.address}, 400, "address"),
        ({**registration(KEY), "url": 5}, 400, "url"),
        (registration(KEY, validator_key=VALIDATOR_KEY), 400, "url"),
        (registration(KEY, url="http://h", validator_key="AA=="), 400, "validator_key"),
        (registration(KEY, url="http://h", validator_key=VALIDATOR_KEY, signer=OTHER_KEY), 401, None),
        ([], 400, None),
    ],
)
async def test_a21_nobody_is_registered_in_anothers_name(
    port: Port, document: Any, status: int, field: str | None
) -> None:
    told, answer = await port.post("/v1/participants", document)
    assert (told, answer["error"]["param"]) == (status, field), answer
    assert port.host.outbox.entries == {}


async def test_registrations_are_rationed(port: Port) -> None:
    limits = port.settings.api
    port.host.outbox.outcome = Outcome("key", done=True, height=5)
    limits.registrations_per_minute = 2

    async def told() -> int:
        return (await port.post("/v1/participants", registration(KEY)))[0]

    assert [await told() for _ in range(3)] == [200, 200, 429]
    limits.registrations_per_minute = 3
    assert await told() == 200
    limits.registrations_per_minute = 0
    assert await told() == 403


@asynccontextmanager
async def running_gateway() -> AsyncIterator[str]:
    async def echo(request: web.Request) -> web.Response:
        document = {
            "method": request.method,
            "path": request.raw_path,
            "body": (await request.read()).decode(),
            "host_header": "authorization" in request.headers,
        }
        return web.json_response(document, headers={"X-Cosmos-Block-Height": "12", "X-Secret": "no"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    await runner.cleanup()


async def test_the_chains_rest_gateway_is_reached_through_the_public_port(network: Network) -> None:
    async with running_gateway() as rest_url, running_port(network, rest_url) as port:
        path = "/productscience/inference/inference/inference/a%2Fb%2B"
        async with network.http.get(
            f"{port.url}/chain-api{path}?pagination.limit=5", headers={"Authorization": "secret"}
        ) as answer:
            document = await answer.json()
            assert answer.headers["x-cosmos-block-height"] == "12"
            assert "X-Secret" not in answer.headers
        assert document["method"] == "GET"
        assert document["host_header"] is False
        status, sent = await port.post("/chain-api/cosmos/tx/v1beta1/txs", {"tx_bytes": "AA=="})
        assert (status, sent["method"], orjson.loads(sent["body"])) == (200, "POST", {"tx_bytes": "AA=="})


async def test_a18_the_proxy_calls_no_other_host(network: Network) -> None:
    async with running_gateway() as elsewhere, running_port(network, "http://127.0.0.1:9") as port:
        for path in (f"/chain-api%2F@{elsewhere.removeprefix('http://')}/secret", "/%63hain-api/x"):
            async with network.http.get(URL(port.url + path, encoded=True)) as answer:
                assert answer.status == 404


async def test_a_gateway_that_is_away_is_said(port: Port) -> None:
    assert (await port.get("/chain-api/cosmos/x"))[0] == 503


async def test_a_body_for_the_gateway_is_bounded(port: Port) -> None:
    async with port.network.http.post(port.url + "/chain-api/x", data=io.BytesIO(b" " * (3 * 2**20))) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/bridge/block"), ("GET", "/v1/bridge/status"), ("POST", "/v1/bridge/")]
)
async def test_a20_a_host_attests_no_deposits(port: Port, method: str, path: str) -> None:
    """There is no bridge: nothing that is told of another chain makes this host sign anything."""
    block = {
        "blockNumber": "1",
        "originChain": "ethereum",
        "receipts": [{"contract": "0x0", "owner": "0x0", "amount": "1"}],
    }
    async with port.network.http.request(method, port.url + path, json=block) as answer:
        assert answer.status == 404
    assert not port.host.outbox.entries


@pytest.mark.parametrize("path", ["/v1/bls/epoch/1", "/v1/bls/signatures/1", "/v1/bls/"])
async def test_a41_a_host_holds_no_share_of_a_key(port: Port, path: str) -> None:
    """There is no threshold key, and nobody to ask for a part of a signature."""
    assert (await port.get(path))[0] == 404
