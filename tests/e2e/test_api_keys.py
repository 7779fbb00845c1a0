"""An API key of a real host: issued by the command line, spent by what the chain settles, revoked."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conftest import pivot
from tests.e2e.network import Network, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as session:
        yield session


async def keys(network: Network, *arguments: str) -> Any:
    """`pivot keys api …` at the first host."""
    told = await asyncio.to_thread(pivot, "keys", "api", *arguments, "--url", network.hosts[0]["admin_url"], "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


async def test_a_keys_budget_is_spent_by_what_the_chain_settles(
    two_hosts: Network, session: aiohttp.ClientSession
) -> None:
    issued = await keys(two_hosts, "create", "Ada", "--budget", "1gonka", "--rate", "3", "--expires", "1h")
    headers = {"Authorization": f"Bearer {issued['key']}", "Content-Type": "application/json"}
    paid = 0
    for stream in (False, True):
        answer = await two_hosts.post(session, 0, two_hosts.chat_body(stream=stream, max_tokens=4), headers)
        assert answer.status == 200, answer.raw
        inference_id = answer.events[0]["id"] if stream else answer.json["id"]
        paid += int((await two_hosts.record(session, 0, inference_id))["actual_cost"])

    async def usage() -> dict[str, Any]:
        async with session.get(f"{two_hosts.hosts[0]['public_url']}/v1/usage", headers=headers) as told:
            document: dict[str, Any] = await told.json()
            return document["api_key"]  # type: ignore[no-any-return]

    async def settled() -> bool:
        return bool((await usage())["requests"] == 2)

    await until(settled)
    told = await usage()
    assert (told["spent"], told["set_aside"], told["left"]) == (paid, 0, 10**9 - paid)
    limited = [await two_hosts.post(session, 0, two_hosts.chat_body(max_tokens=2), headers) for _ in range(5)]
    assert 429 in {answer.status for answer in limited}
    await keys(two_hosts, "revoke", issued["id"])
    assert (await two_hosts.post(session, 0, two_hosts.chat_body(max_tokens=2), headers)).status == 401
