"""Whatever is sent to a route that an OpenAPI document names, the answer is no 5xx, comes in time, and tells nothing of the inside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Err

from pivot.api.http.admin import admin_app
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.claims import serve_claims
from pivot.api.keys.issued import IssuedKeys
from pivot.api.rewards.claimer import Recovery
from tests.api.fleet.chain import FakeChain as FleetChain
from tests.api.fleet.chain import FakePhases as FleetPhases
from tests.api.http.test_public import running_port
from tests.api.inference.network import Network
from tests.api.poc.host import host
from tests.api.serving import serving

EXAMPLES = 12
"""Of each route: as many that are as described, and as many that are not."""
ANSWER_SECONDS = 10.0
INTERNALS = ("Traceback", 'File "', "site-packages", "sqlalchemy", "sqlite", "pivot.api", "/src/pivot")
FAR_NODE = 502
"""What the admin port says when an ML node, not the node itself, did not answer."""


def walk(url: str, expected_operations: int) -> None:
    """Send to every route what its description allows, and what it does not."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations() if not isinstance(each, Err)]
    assert len(operations) >= expected_operations
    with requests.Session() as session:
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                send(session, operation, mode)


def send(session: requests.Session, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        answer = case.call(session=session, timeout=ANSWER_SECONDS)
        told = answer.text
        assert answer.status_code < 500 or answer.status_code == FAR_NODE, (case.as_curl_command(), told)
        assert not any(each in told for each in INTERNALS), (case.as_curl_command(), told)

    nothing_is_wrong = (Unsatisfiable,) if mode == GenerationMode.NEGATIVE else ()
    with suppress(*nothing_is_wrong):  # where a route takes nothing
        check()


class AnsweringChain:
    """Makes a test's chain answer every query, if only with an empty message."""

    def __init__(self, chain: Any) -> None:
        self._answers = chain.answers

    async def query(self, path: str, request: Message, response: type[Message]) -> Message:
        return self._answers.get(path.rpartition("/")[2]) or response()


async def test_a4_nothing_that_is_sent_to_the_public_port_breaks_it(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.chain, "query", AnsweringChain(network.chain).query)
    async with running_port(network) as port:
        await asyncio.to_thread(walk, port.url, 15)
        assert (await port.get("/v1/status"))[0] == 200


class FakeClaimer:
    async def recover(self, epoch: int | None, *, force: bool) -> Any:
        return Recovery(epoch or 1, "nothing to claim", 0, already_claimed=False, claim_executed=False)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[str]:
    chain = FleetChain()
    async with host(chain, FleetPhases(chain), tmp_path) as one:
        app = admin_app(one.settings, one.identity, one.chain, one.fleet)
        serve_api_keys(app, IssuedKeys(one.database))
        serve_claims(app, FakeClaimer())  # type: ignore[arg-type]  # all that is asked
        async with serving(app) as url:
            yield url


async def test_a4_nothing_that_is_sent_to_the_admin_port_breaks_it(admin: str) -> None:
    await asyncio.to_thread(walk, admin, 10)
