"""What explorers ask of the chain through a host, and that every published route is there or is said not to be."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yarl
from cosmos.base.tendermint.v1beta1.query_pb2 import GetNodeInfoResponse

from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.types_pb2 import (
    Inference,
    Model,
    ModelCapacity,
    ModelPrice,
    Participant,
    ParticipantStatus,
    PocCommit,
)
from pivot.protocol.generated.inference.restrictions import query_pb2 as restrictions
from tests.api.http.test_public import Port, key_of, members_of, running_port
from tests.api.inference.network import EPOCH, MODEL, Network
from tests.docs.pages import table

PAGE = (Path(__file__).parents[3] / "docs/public-api.md").read_text()
PUBLISHED = {
    "GET /v1/status",
    "POST /v1/chat/completions",
    "GET /v1/chat/completions/{}",
    "GET /v1/participants",
    "GET /v1/participants/{}",
    "POST /v1/participants",
    "GET /v1/epochs/{}/participants",
    "GET /v1/epochs/{}",
    "GET /v1/poc-batches/{}",
    "GET /v1/models",
    "GET /v1/pricing",
    "POST /v1/verify-proof",
    "POST /v1/verify-block",
    "POST /v1/training/tasks",
    "GET /v1/training/tasks",
    "GET /v1/training/tasks/{}",
    "POST /v1/training/lock-nodes",
    "GET /v1/debug/pubkey-to-addr/{}",
    "GET /v1/debug/verify/{}",
    "GET /v1/governance/models",
    "GET /v1/governance/pricing",
    "GET /v1/versions",
    "POST /v1/bridge/block",
    "GET /v1/bridge/status",
    "GET /v1/bls/epoch/{}",
    "GET /v1/bls/signatures/{}",
    "GET /v1/restrictions/status",
    "GET /v1/restrictions/exemptions",
    "GET /v1/restrictions/exemptions/{}/usage/{}",
    "GET /v1/identity",
    "GET /v2/participants/{}",
    "GET /v2/accounts/{}",
    "GET /health",
}
"""The routes of the published network's public port."""


INFERENCE = "an/id+of=an answer"
READ_ROUTES = 22


@pytest.fixture
async def port(network: Network) -> AsyncIterator[Port]:
    async with running_port(network) as port:
        yield port


def nameless(route: str) -> str:
    """A route without the names of its parameters."""
    return "/".join("{}" if part.startswith("{") else part for part in route.split("/"))


def named_in(heading: str) -> set[str]:
    """Routes in the first column of a table of the page."""
    cells = [row[0] for row in table(PAGE, heading)]
    return {nameless(route.strip("` ")) for cell in cells for route in cell.replace("`, `", "`|`").split("|")}


async def test_every_published_route_is_served_or_said_not_to_be(port: Port) -> None:
    _, described = await port.get("/openapi.json")
    served = {
        f"{method.upper()} {nameless(path)}" for path, methods in described["paths"].items() for method in methods
    }
    missing = named_in("published route")
    assert PUBLISHED - served == missing
    assert not missing & served


async def test_the_page_names_every_read_route_that_is_served(port: Port) -> None:
    _, described = await port.get("/openapi.json")
    served = {f"GET {nameless(path)}" for path, methods in described["paths"].items() if "get" in methods}
    asked_by_others = {route for route in served if route.startswith(("GET /v1/poc/", "GET /v1/inference/"))}
    of_developers = {"GET /v1/models/{}", "GET /v1/usage"}
    assert served - asked_by_others - of_developers <= named_in("route") | {"GET /health"}


def filled(path: str, host: str) -> str:
    """A path with something that there is in place of each parameter."""
    known = {
        "{model_id}": MODEL,
        "{inference_id}": quote(INFERENCE, safe=""),
        "{exemption_id}": "one",
        "{task_id}": "7",
        "{account}": host,
        "{address}": host,
    }
    for name, value in known.items():
        path = path.replace(name, value)
    return path.replace("{epoch}", str(EPOCH))


def settle_everything(port: Port) -> None:
    """There is one of each thing that can be asked for."""
    chain, host = port.network.chain, port.host
    port.rpc.put(key_of(EPOCH), members_of(host).SerializeToString())
    chain.inferences[INFERENCE] = Inference(inference_id=INFERENCE)
    chain.answers |= {
        "ModelsAll": queries.QueryModelsAllResponse(model=[Model(id=MODEL)]),
        "GetAllModelPerTokenPrices": queries.QueryGetAllModelPerTokenPricesResponse(),
        "GetAllModelCapacities": queries.QueryGetAllModelCapacitiesResponse(),
        "ParticipantAll": queries.QueryAllParticipantResponse(participant=[Participant(index=host.address)]),
        "InferenceParticipant": queries.QueryInferenceParticipantResponse(pubkey="AA==", balance=7),
        "PocCommits": queries.QueryPocCommitsResponse(duties=[queries.PocDuty()]),
        "GetNodeInfo": GetNodeInfoResponse(),
        "TransferRestrictionStatus": restrictions.QueryTransferRestrictionStatusResponse(),
        "TransferExemptions": restrictions.QueryTransferExemptionsResponse(),
        "ExemptionUsage": restrictions.QueryExemptionUsageResponse(),
        "TrainingTaskAll": queries.QueryTrainingTaskAllResponse(),
        "TrainingTask": queries.QueryTrainingTaskResponse(),
        "TrainingAliveNodes": queries.QueryTrainingAliveNodesResponse(),
    }


async def test_every_read_route_answers_once_a_block_and_says_when_nothing_has_changed(port: Port) -> None:
    settle_everything(port)
    _, described = await port.get("/openapi.json")
    of_developers = {"/v1/usage"}  # wants a credential, and is never the same
    paths = {path for path, methods in described["paths"].items() if "get" in methods} - of_developers
    assert len(paths) == READ_ROUTES
    for path in sorted(paths):
        url = port.url + filled(path, port.host.address)
        async with port.network.http.get(yarl.URL(url, encoded=True)) as first:
            assert first.status == 200, (path, await first.read())
            tag = first.headers["ETag"]
        asked = of_routes(port)
        async with port.network.http.get(yarl.URL(url, encoded=True), headers={"If-None-Match": tag}) as again:
            assert (again.status, await again.read()) == (304, b""), path
        assert of_routes(port) == asked, f"{path} asks twice in a block"


def of_routes(port: Port) -> int:
    """Questions to the chain, without those of duties that go on beside."""
    beside = (queries.QueryDisputesRequest,)
    return port.rpc.queries + len([each for each in port.network.chain.asked if not isinstance(each, beside)])


async def test_questions_are_on_the_ports_page(port: Port) -> None:
    _, described = await port.get("/openapi.json")
    for path, asked in (("/v1/chat/completions", "messages"), ("/v1/completions", "prompt")):
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body["required"] == ["model", asked]
    async with port.network.http.get(port.url + "/docs") as page:
        assert page.status == 200
        assert "swagger" in await page.text()


async def test_versions_of_the_chain_node(port: Port) -> None:
    info = GetNodeInfoResponse()
    info.application_version.app_name = "pivot"
    info.application_version.version = "0.1.0"
    info.default_node_info.network = "pivot-test"
    info.default_node_info.version = "0.38.26"
    port.network.chain.answers["GetNodeInfo"] = info
    status, answer = await port.get("/v1/versions")
    assert status == 200
    assert answer["api_version"] == {"application_name": "pivot", "version": "0.1.0", "commit": ""}
    assert answer["node_version"]["engine_version"] == "0.38.26"
    assert answer["timestamp"]


async def test_models_prices_and_capacities(port: Port) -> None:
    answers = port.network.chain.answers
    answers["ModelsAll"] = queries.QueryModelsAllResponse(model=[Model(id=MODEL, context_window=1024)])
    answers["GetAllModelPerTokenPrices"] = queries.QueryGetAllModelPerTokenPricesResponse(
        model_prices=[ModelPrice(model_id=MODEL, price=100)]
    )
    answers["GetAllModelCapacities"] = queries.QueryGetAllModelCapacitiesResponse(
        model_capacities=[ModelCapacity(model_id=MODEL, capacity=7)]
    )
    [model] = (await port.get("/v1/governance/models"))[1]["models"]
    assert (model["id"], model["context_window"]) == (MODEL, 1024)
    _, pricing = await port.get("/v1/governance/pricing")
    assert pricing["models"] == [{"id": MODEL, "price_per_token": 100, "capacity": 7}]


async def test_restrictions_and_exemptions(port: Port) -> None:
    answers = port.network.chain.answers
    answers["TransferRestrictionStatus"] = restrictions.QueryTransferRestrictionStatusResponse(
        is_active=True, restriction_end_block=90, current_block_height=40, remaining_blocks=50
    )
    answers["TransferExemptions"] = restrictions.QueryTransferExemptionsResponse()
    assert (await port.get("/v1/restrictions/status"))[1]["remaining_blocks"] == 50
    assert (await port.get("/v1/restrictions/exemptions"))[1] == {"exemptions": []}
    usage = f"/v1/restrictions/exemptions/one/usage/{port.host.address}"
    assert (await port.get(usage))[0] == 404
    answers["ExemptionUsage"] = restrictions.QueryExemptionUsageResponse()
    assert await port.get(usage) == (200, {"usage_entries": []})
    status, answer = await port.get("/v1/restrictions/exemptions/one/usage/nobody")
    assert (status, answer["error"]["param"]) == (400, "account")


async def test_proofs_of_compute_of_an_epoch(port: Port) -> None:
    assert (await port.get("/v1/poc-batches/7"))[0] == 404
    duty = queries.PocDuty(commit=PocCommit(participant=port.host.address), checkers=["gonka1x"])
    port.network.chain.answers["PocCommits"] = queries.QueryPocCommitsResponse(duties=[duty])
    _, answer = await port.get("/v1/poc-batches/7")
    assert answer["commits"][0]["commit"]["participant"] == port.host.address
    for epoch in ("0", "x", "99999999999999999999"):
        assert (await port.get(f"/v1/poc-batches/{epoch}"))[0] == 400


async def test_hosts_and_accounts_in_the_newer_shapes(port: Port) -> None:
    address = port.host.address
    port.network.chain.participants[address] = Participant(
        index=address, inference_url="http://h", status=ParticipantStatus.ACTIVE
    )
    assert (await port.get(f"/v2/participants/{address}"))[1] == {
        "participant": {"address": address, "inferenceUrl": "http://h", "status": "ACTIVE"}
    }
    port.network.chain.answers["InferenceParticipant"] = queries.QueryInferenceParticipantResponse(
        pubkey="AA==", balance=7
    )
    assert (await port.get(f"/v2/accounts/{address}"))[1] == {
        "account": {"address": address, "pubkey": "AA==", "balance": {"denom": "ngonka", "amount": "7"}}
    }
    del port.network.chain.participants[address]
    assert (await port.get(f"/v2/participants/{address}"))[0] == 404
    assert (await port.get("/v2/accounts/nobody"))[0] == 400


async def test_an_answer_that_the_client_has_is_not_sent_again(port: Port) -> None:
    url = f"{port.url}/v1/identity"
    async with port.network.http.get(url) as first:
        tag = first.headers["ETag"]
    async with port.network.http.get(url, headers={"If-None-Match": tag}) as second:
        assert (second.status, await second.read()) == (304, b"")
