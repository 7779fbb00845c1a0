"""A developer's name for its request, from the client over both hosts and the ML node to what the chain has."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import structlog

from pivot.api.ledger.outbox import DurableOutbox
from pivot.api.logs import configure_logs
from tests.api.inference.network import FakeOutbox, Host, Network
from tests.api.ledger.network import FakeNetwork
from tests.api.ledger.test_outbox import FakePhases, blocks


def noting(host: str, put: Callable[..., Any], told: dict[str, tuple[str, str]]) -> Callable[..., Any]:
    """A `put` that notes by the key's kind which host told it, on whose request."""

    async def noted(key: str, message: Any, **options: Any) -> None:
        told[key.partition(":")[0]] = (host, structlog.contextvars.get_contextvars()["request_id"])
        await put(key, message, **options)

    return noted


@pytest.mark.parametrize("own", [True, False])
async def test_the_requests_name_goes_from_the_client_to_start_and_finish(
    network: Network, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    agent, executor = network.hosts[0], network.hosts[1]
    told: dict[str, tuple[str, str]] = {}
    for host in (agent, executor):
        outbox: FakeOutbox = host.outbox
        monkeypatch.setattr(outbox, "put", noting(host.address, outbox.put, told))
    body, headers = network.first_drawn(executor)
    if own:
        headers["X-Request-Id"] = "trace-1"
    reply = await network.post(agent, body, headers)
    assert reply.status == 200
    await executor.settled()
    await agent.started()
    name = reply.headers["X-Request-Id"]
    assert (name == "trace-1") is own
    assert told == {"start": (agent.address, name), "finish": (executor.address, name)}


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def durable(host: Host, monkeypatch: pytest.MonkeyPatch) -> tuple[DurableOutbox, FakeNetwork]:
    """The outbox of a whole node in place of the host's, and the chain that it tells."""
    chain = FakeNetwork(host.identity.account)
    outbox = DurableOutbox(host.database, host.identity.account, chain, chain, FakePhases())
    await outbox.start()
    monkeypatch.setattr(host.outbox, "put", outbox.put)
    return outbox, chain


@pytest.mark.usefixtures("logs_as_before")
async def test_one_name_leads_from_the_client_to_the_chain(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug")
    agent, executor = network.hosts[0], network.hosts[1]
    outboxes = [await durable(host, monkeypatch) for host in (agent, executor)]
    body, headers = network.first_drawn(executor)
    reply = await network.post(agent, body, {**headers, "X-Request-Id": "trace-7"})
    inference_id = reply.headers["X-Pivot-Inference-Id"]
    told = {f"{kind}:{inference_id}" for kind in ("start", "finish")}
    assert (reply.headers["X-Request-Id"], reply.json["id"]) == ("trace-7", inference_id)
    [name] = executor.engine.names  # in the ML node's log
    assert re.fullmatch(r"trace-7\.[0-9a-f]{16}[0-9]+", name)

    for kind, (outbox, chain) in zip(("start", "finish"), outboxes, strict=True):
        async with asyncio.timeout(20):
            while await outbox.outcome(f"{kind}:{inference_id}") is None:
                await asyncio.sleep(0.01)
        await blocks(outbox, chain, 2)
        await outbox.close()
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    by_name = {line["event"] for line in lines if line.get("request_id") == "trace-7"}
    assert {f"{key} is in the outbox" for key in told} <= by_name
    carried = [re.fullmatch(r"transaction ([0-9A-F]{64}) carries (.+)", line["event"]) for line in lines]
    assert {key for line in carried if line for key in line[2].split(", ")} == told
    assert {item for _, chain in outboxes for item in chain.items} == told


async def test_requests_of_one_name_have_different_ones_at_the_engine(network: Network) -> None:
    executor = network.hosts[1]
    for _ in range(2):
        body, headers = network.first_drawn(executor)
        assert (await network.post(network.hosts[0], body, {**headers, "X-Request-Id": "same"})).status == 200
    assert len({name for host in network.hosts for name in host.engine.names}) == 2
