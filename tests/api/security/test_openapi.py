"""Whatever is sent to a route that an OpenAPI document names, the answer is no 5xx, comes in time, and tells nothing of the inside."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Err

from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.validation.artifacts_api import ARTIFACT_PATH
from tests.api.inference.network import Network
from tests.api.security.ports import ADMIN, CALLBACKS, INTERNALS, PUBLIC, Door, Ports, all_ports

EXAMPLES = 12
"""Of each route: as many that are as described, and as many that are not."""
EXAMPLES_OF_STRANGERS = 4
"""All are refused alike, or read what anybody may read."""
ANSWER_SECONDS = 10.0
FAR_NODE = 502
"""What the admin port says when an ML node, not the node itself, did not answer."""
BETWEEN_HOSTS = {LEAVES_PATH, ARTIFACT_PATH}
"""Routes of the public port that its page does not describe: hosts ask each other there, and sign."""
CREDENTIALS = pytest.mark.parametrize("known", [True, False], ids=["with credentials", "without"])


@pytest.fixture
async def ports(network: Network, tmp_path: Path) -> AsyncIterator[Ports]:
    async with all_ports(network, tmp_path / "host") as ports:
        yield ports


def operations_of(door: Door) -> list[APIOperation[Any, Any, Any, Any]]:
    """What the port's document describes."""
    headers = {"Authorization": door.authorization}
    schema = schemathesis.openapi.from_url(f"{door.url}/openapi.json", headers=headers)
    return [each.ok() for each in schema.get_all_operations() if not isinstance(each, Err)]


def walk(door: Door, known: bool) -> Counter[int]:
    """Send to every route what its description allows, and what it does not. How often each status was answered."""
    statuses: Counter[int] = Counter()
    examples = EXAMPLES if known else EXAMPLES_OF_STRANGERS
    with requests.Session() as session:
        if known:
            session.headers["Authorization"] = door.authorization
        for operation in operations_of(door):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                send(session, operation, mode, examples, statuses)
    return statuses


def send(
    session: requests.Session,
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    examples: int,
    statuses: Counter[int],
) -> None:
    @settings(
        max_examples=examples,
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
        statuses[answer.status_code] += 1
        assert answer.status_code < 500 or answer.status_code == FAR_NODE, (case.as_curl_command(), told)
        assert not any(each in told for each in INTERNALS), (case.as_curl_command(), told)

    nothing_is_wrong = (Unsatisfiable,) if mode == GenerationMode.NEGATIVE else ()
    with suppress(*nothing_is_wrong):  # where a route takes nothing
        check()


@CREDENTIALS
async def test_a4_nothing_that_is_sent_to_the_public_port_breaks_it(ports: Ports, known: bool) -> None:
    statuses = await asyncio.to_thread(walk, ports[PUBLIC], known)
    assert {200, 400, 404} <= set(statuses)
    await ports[PUBLIC].require_others_are_served()


@CREDENTIALS
async def test_a4_nothing_that_is_sent_to_the_admin_port_breaks_it(ports: Ports, known: bool) -> None:
    statuses = await asyncio.to_thread(walk, ports[ADMIN], known)
    assert {200, 201, 400, 404} <= set(statuses) if known else set(statuses) == {401}
    await ports[ADMIN].require_others_are_served()


@CREDENTIALS
async def test_a4_nothing_that_is_sent_to_the_call_back_port_breaks_it(ports: Ports, known: bool) -> None:
    statuses = await asyncio.to_thread(walk, ports[CALLBACKS], known)
    assert {200, 400} <= set(statuses) if known else set(statuses) == {401}
    await ports[CALLBACKS].require_others_are_served()


@pytest.mark.parametrize("name", [PUBLIC, ADMIN, CALLBACKS])
async def test_the_documents_name_every_route(ports: Ports, name: str) -> None:
    routes = [route for route in ports.applications[name].routes if isinstance(route, APIRoute)]
    described = await asyncio.to_thread(operations_of, ports[name])
    named = {(each.method.upper(), each.path) for each in described}
    served = {
        (method, route.path_format) for route in routes if route.include_in_schema for method in route.methods or ()
    }
    assert served <= named
    hidden = {route.path for route in routes if not route.include_in_schema}
    assert hidden == (BETWEEN_HOSTS if name == PUBLIC else set())
    assert [each.label for each in described if not each.definition.raw.get("description")] == []


@pytest.mark.parametrize("name", [PUBLIC, ADMIN, CALLBACKS])
async def test_every_port_has_a_page_for_people(ports: Ports, name: str) -> None:
    headers = {"Authorization": ports[name].authorization}
    async with aiohttp.ClientSession() as http, http.get(f"{ports[name].url}/docs", headers=headers) as page:
        assert page.status == 200
        assert "openapi.json" in await page.text()
