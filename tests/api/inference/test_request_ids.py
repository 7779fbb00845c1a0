"""A developer's name for its request, from the client to what both hosts tell the chain."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from tests.api.inference.network import FakeOutbox, Network


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
