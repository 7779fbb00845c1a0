"""Two hosts as real processes: weight, requests in both directions, settlement, failover, agreement."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.e2e.network import Network, family, get, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
SETTLED = {"FINISHED", "VALIDATED"}
HEADERS_AT_ONCE = 20
CALM_BLOCKS = 25
SPRINT_BLOCKS = 60


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def test_both_hosts_earn_weight(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    async def both() -> bool:
        members = await two_hosts.members(session)
        return all(members.get(host["address"], 0) > 0 for host in two_hosts.hosts)

    await until(both)


async def test_an_answer_is_settled_on_the_chain(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    answer = await two_hosts.ask(session, 0)
    assert answer.status == 200, answer.raw
    record = await two_hosts.record(session, 0, answer.json["id"])
    assert record["status"] in SETTLED
    usage = answer.json["usage"]
    assert int(record["prompt_token_count"]) == usage["prompt_tokens"]
    assert int(record["completion_token_count"]) == usage["completion_tokens"]
    price = int(record["per_token_price"])
    assert int(record["actual_cost"]) == price * usage["total_tokens"] > 0
    assert int(record["escrow_returned"]) == int(record["escrow_amount"]) - int(record["actual_cost"]) > 0
    assert record["executed_by"] in {host["address"] for host in two_hosts.hosts}


async def test_a_signed_request_is_answered_as_a_stream(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    body = two_hosts.chat_body(stream=True)
    headers = two_hosts.signed_headers(body, two_hosts.hosts[0]["address"])
    answer = await two_hosts.post(session, 0, body, headers)
    assert answer.status == 200, answer.raw
    text = "".join(choice["delta"].get("content") or "" for event in answer.events for choice in event["choices"])
    assert text
    record = await two_hosts.record(session, 0, answer.events[0]["id"])
    assert record["requested_by"] == two_hosts.contract["developer"]["address"]
    assert record["status"] in SETTLED


async def test_d13_an_answer_is_checked_by_the_other_host(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    answer = await two_hosts.ask(session, 0, "Who checks an answer?", temperature=1)
    assert answer.status == 200, answer.raw
    addresses = {host["address"] for host in two_hosts.hosts}

    async def checked() -> bool:
        record = await two_hosts.record(session, 0, answer.json["id"])
        assert set(record["validated_by"]) <= addresses - {record["executed_by"]}
        return bool(record["status"] == "VALIDATED")

    await until(checked)


async def test_requests_to_one_host_are_executed_by_both(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    executors: set[str] = set()
    for attempt in range(24):
        answer = await two_hosts.ask(session, 0, f"What is a host? {attempt}", max_tokens=4)
        assert answer.status == 200, answer.raw
        executors.add((await two_hosts.record(session, 0, answer.json["id"]))["executed_by"])
        if len(executors) == 2:
            return
    pytest.fail(f"24 requests were all executed by {executors}")


async def test_a_reused_signature_is_refused(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    body = two_hosts.chat_body(max_tokens=2)
    headers = two_hosts.signed_headers(body, two_hosts.hosts[0]["address"])
    assert (await two_hosts.post(session, 0, body, headers)).status == 200
    again = await two_hosts.post(session, 0, body, headers)
    assert again.status == 400
    assert "already been used" in again.json["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, None, 401),
        ({"Authorization": "Bearer wrong"}, None, 401),
        ({"Authorization": "Bearer KEY"}, b"{", 400),
        ({"Authorization": "Bearer KEY"}, b'{"model": "no/such", "messages": [{"role": "user"}]}', 404),
        ({"Authorization": "Bearer KEY"}, b" " * (11 * 2**20), 413),
    ],
)
async def test_bad_input_gets_an_openai_error(
    two_hosts: Network, session: aiohttp.ClientSession, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    told = {name: value.replace("KEY", two_hosts.api_key) for name, value in headers.items()}
    answer = await two_hosts.post(session, 0, two_hosts.chat_body() if body is None else body, told)
    assert answer.status == status, answer.raw[:500]
    assert answer.json["error"]["message"]


async def test_an_added_ml_node_raises_its_hosts_weight(two_hosts: Network, session: aiohttp.ClientSession) -> None:
    host = two_hosts.hosts[1]
    before = (await two_hosts.members(session))[host["address"]]
    lent = two_hosts.extra_ml_node()
    async with lent as node, session.post(f"{host['admin_url']}/admin/v1/nodes", json=node) as added:
        assert added.status == 200, await added.text()

        async def heavier() -> bool:
            return (await two_hosts.members(session)).get(host["address"], 0) > before * 3 // 2

        await until(heavier)
        async with session.delete(f"{host['admin_url']}/admin/v1/nodes/{node['id']}") as removed:
            assert await removed.json() is True


async def test_a_request_in_the_sprint_waits_and_is_answered(
    two_hosts: Network, session: aiohttp.ClientSession
) -> None:
    async def sprinting() -> bool:
        latest = await get(session, f"{two_hosts.hosts[0]['public_url']}/v1/epochs/latest")
        return bool(latest["phase"] == "PoCGenerate")

    await until(sprinting)
    answer = await two_hosts.ask(session, 0)
    assert answer.status == 200, answer.raw


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
async def test_when_a_hosts_ml_node_is_lost_the_other_host_answers(
    two_hosts: Network, session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    await between_sprints(two_hosts, session)
    [victim] = [each for each in two_hosts.processes() if each["name"] == "mlnode" and each["host"] == 1]
    lost = family(victim["pid"])
    for pid in lost:
        os.kill(pid, number)
    try:
        answers = await asyncio.gather(*(two_hosts.ask(session, 0, f"Question {n}", max_tokens=4) for n in range(12)))
    finally:
        if number == signal.SIGSTOP:
            for pid in lost:
                os.kill(pid, signal.SIGCONT)
    assert [answer.status for answer in answers] == [200] * 12, [answer.raw for answer in answers]
    records = [await two_hosts.record(session, 0, answer.json["id"]) for answer in answers]
    moved_on = [record for record in records if int(record["attempt"]) > 0]
    assert moved_on, "12 requests were all drawn for the host that had its ML node"
    assert {record["executed_by"] for record in moved_on} == {two_hosts.hosts[0]["address"]}


async def test_a_host_without_ml_nodes_is_no_member_until_it_proves_again(
    two_hosts: Network, session: aiohttp.ClientSession
) -> None:
    host = two_hosts.hosts[1]
    nodes = f"{host['admin_url']}/admin/v1/nodes"
    await between_sprints(two_hosts, session)
    async with session.get(nodes) as listed:
        known = [item["node"] for item in await listed.json()]
    for node in known:
        async with session.delete(f"{nodes}/{node['id']}") as removed:
            assert await removed.json() is True

    async def gone() -> bool:
        return host["address"] not in await two_hosts.members(session)

    await until(gone)
    answer = await two_hosts.ask(session, 1)
    assert answer.status == 200, "a host without ML nodes is a transfer agent still"
    assert (await two_hosts.record(session, 1, answer.json["id"]))["executed_by"] == two_hosts.hosts[0]["address"]
    for node in known:
        async with session.post(nodes, json=node) as added:
            assert added.status == 200, await added.text()

    async def back() -> bool:
        return (await two_hosts.members(session)).get(host["address"], 0) > 0

    await until(back)


async def test_all_hosts_have_the_same_app_hash_at_every_height(
    two_hosts: Network, session: aiohttp.ClientSession
) -> None:
    latest = await get(session, f"{two_hosts.hosts[0]['rpc_url']}/status")
    height = int(latest["result"]["sync_info"]["latest_block_height"]) - 2
    first, second = [await app_hashes(session, host["rpc_url"], height) for host in two_hosts.hosts]
    assert len(first) == height
    assert first == second


async def between_sprints(network: Network, session: aiohttp.ClientSession) -> None:
    """Wait for a moment with some blocks left until the next sprint."""

    async def calm() -> bool:
        latest = await get(session, f"{network.hosts[0]['public_url']}/v1/epochs/latest")
        left = latest["next_epoch_stages"]["poc_start"] - latest["block_height"]
        return (
            latest["phase"] == "Inference"
            and CALM_BLOCKS < left < int(latest["epoch_params"]["epoch_length"]) - SPRINT_BLOCKS
        )

    await until(calm)


async def app_hashes(session: aiohttp.ClientSession, rpc_url: str, last: int) -> dict[int, str]:
    """The app hash in every header from 1 to `last`."""
    found = {}
    for start in range(1, last + 1, HEADERS_AT_ONCE):
        end = min(start + HEADERS_AT_ONCE - 1, last)
        told = await get(session, f"{rpc_url}/blockchain?minHeight={start}&maxHeight={end}")
        for meta in told["result"]["block_metas"]:
            found[int(meta["header"]["height"])] = meta["header"]["app_hash"]
    return found
