"""API keys on the admin port, and what their holders may read of themselves on the public one."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from fastapi import FastAPI

from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.plain_errors import answer_refusals
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from tests.api.http.test_public import Port, running_port
from tests.api.inference.network import Network
from tests.api.serving import serving

KEYS = "/admin/v1/keys/api"


class Ports:
    """Admin and public port of one host."""

    def __init__(self, network: Network, admin_url: str, public: Port) -> None:
        self.network = network
        self._admin_url = admin_url
        self._public = public

    async def ask(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        async with self.network.http.request(method, self._admin_url + path, json=document) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def usage(self, headers: dict[str, str]) -> tuple[int, Any]:
        async with self.network.http.get(self._public.url + "/v1/usage", headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())


@pytest.fixture
async def ports(network: Network) -> AsyncIterator[Ports]:
    app = FastAPI()
    answer_refusals(app, {})
    serve_api_keys(app, network.hosts[0].service.api_keys)
    async with serving(app) as admin_url, running_port(network) as public:
        yield Ports(network, admin_url, public)


async def test_a_key_is_issued_used_listed_and_revoked(ports: Ports) -> None:
    terms = {"name": "Ada", "budget": 10**7, "rate": 60, "concurrency": 4, "expires_at": 2**35}
    status, issued = await ports.ask("POST", KEYS, terms)
    assert status == 201
    headers = {"Authorization": f"Bearer {issued.pop('key')}"}
    assert {name: issued[name] for name in terms} == terms
    host = ports.network.hosts[0]
    assert (await ports.network.post(host, ports.network.body(), headers)).status == 200
    status, told = await ports.usage(headers)
    assert (status, told["object"], told["denom"]) == (200, "usage", "ngonka")
    assert told["api_key"]["id"] == issued["id"]
    assert told["api_key"]["set_aside"] > 0
    status, listed = await ports.ask("GET", KEYS)
    assert listed[-1] == told["api_key"]
    assert "key" not in listed[-1]
    status, revoked = await ports.ask("DELETE", f"{KEYS}/{issued['id']}")
    assert (status, revoked["revoked_at"] > 0) == (200, True)
    assert (await ports.network.post(host, ports.network.body(), headers)).status == 401
    assert (await ports.usage(headers))[0] == 401


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "Ada", "budget": -1}, "budget"),
        ({"name": "Ada", "budget": 2**63}, "budget"),
        ({"name": "Ada", "rate": 0}, "rate"),
        ({"name": "Ada", "concurrency": 0}, "concurrency"),
        ({"name": "Ada", "expires_at": 5}, "expires_at"),
        ({"name": "Ada", "expires_at": 2**40}, "expires_at"),
        ({"name": "Ada", "key": "short"}, "key"),
        ({"name": "Ada", "key": "a key with spaces in its many words"}, "key"),
        ({"name": "Ada", "unknown": 1}, "unknown"),
    ],
)
async def test_terms_that_cannot_be_are_refused_with_the_field(
    ports: Ports, document: dict[str, Any], named: str
) -> None:
    status, told = await ports.ask("POST", KEYS, document)
    assert (status, named in told["error"]) == (400, True), told


async def test_an_own_key_is_issued_once_and_what_is_not_there_cannot_be_revoked(ports: Ports) -> None:
    own = {"name": "Ada", "key": "pk-made-elsewhere-0123456789"}
    assert [(await ports.ask("POST", KEYS, own))[0] for _ in range(2)] == [201, 409]
    assert (await ports.ask("DELETE", f"{KEYS}/key-none"))[0] == 404


async def test_an_account_that_signs_reads_its_usage(ports: Ports) -> None:
    network = ports.network
    network.chain.answers["StatsByDeveloperAndEpochsBackwards"] = queries.QueryInferencesAndTokensStatsResponse(
        ai_tokens=30, inferences=3, actual_inferences_cost=3000
    )
    status, told = await ports.usage(network.signed(b"", network.hosts[0]))
    assert status == 200
    account = told["account"]
    assert (account["address"], account["spent"], account["requests"], account["tokens"]) == (
        network.developer.address,
        3000,
        3,
        30,
    )
    assert account["balance"] == 10**9
    assert (await ports.usage(network.signed(b"another body", network.hosts[0])))[0] == 401
    assert (await ports.usage({}))[0] == 401
