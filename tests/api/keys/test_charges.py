"""A key's budget is spent by what the chain has settled, once, whatever happens between."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pivot.api.inference.access import Claim
from pivot.api.keys.charges import FIRST_LOOK_BLOCKS, Charges
from pivot.api.keys.issued import IssuedKey, IssuedKeys, Terms
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceStatus
from tests.api.databases import ON_BOTH
from tests.api.inference.network import PRICE, Host, Network, Reply, moment_at

HEIGHT = 1000


async def issue(host: Host, **terms: Any) -> tuple[IssuedKey, dict[str, str]]:
    key, secret = await host.service.api_keys.issue(Terms("Ada", **terms))
    return key, {"Authorization": f"Bearer {secret}"}


def escrow_of(body: bytes) -> int:
    return (len(body) + 64 + 8) * PRICE


def settle_on_chain(network: Network, reply: Reply, status: Any = InferenceStatus.FINISHED, cost: int = 1000) -> None:
    network.chain.inferences[reply.json["id"]] = Inference(
        inference_id=reply.json["id"],
        status=status,
        actual_cost=cost,
        prompt_token_count=4,
        completion_token_count=6,
    )


async def pass_blocks(host: Host, blocks: int) -> None:
    await host.database.writer.flush()
    await host.service._charges.settle(moment_at(height=HEIGHT + blocks))


async def test_an_answer_is_charged_what_the_chain_has_settled(network: Network) -> None:
    host, body = network.hosts[0], network.body()
    key, headers = await issue(host, budget=10**7)
    reply = await network.post(host, body, headers)
    assert reply.status == 200, reply.raw
    assert (key.used.spent, key.held, key.left) == (0, escrow_of(body), 10**7 - escrow_of(body))
    settle_on_chain(network, reply)
    await pass_blocks(host, FIRST_LOOK_BLOCKS - 1)
    assert key.used.spent == 0
    await pass_blocks(host, FIRST_LOOK_BLOCKS)
    await pass_blocks(host, FIRST_LOOK_BLOCKS + 1)
    assert (key.used.spent, key.held, key.left) == (1000, 0, 10**7 - 1000)
    assert (key.used.requests, key.used.prompt_tokens, key.used.completion_tokens) == (1, 4, 6)


@pytest.mark.parametrize("status", [InferenceStatus.EXPIRED, InferenceStatus.INVALIDATED])
async def test_what_the_gateway_account_gets_back_the_budget_gets_back(network: Network, status: Any) -> None:
    host = network.hosts[0]
    key, headers = await issue(host, budget=10**7)
    settle_on_chain(network, await network.post(host, network.body(), headers), status, cost=0)
    await pass_blocks(host, FIRST_LOOK_BLOCKS)
    assert (key.used.spent, key.used.requests, key.left) == (0, 0, 10**7)


async def test_what_the_chain_could_not_give_back_is_spent(network: Network) -> None:
    host = network.hosts[0]
    key, headers = await issue(host, budget=10**7)
    settle_on_chain(network, await network.post(host, network.body(), headers), InferenceStatus.INVALIDATED, cost=300)
    await pass_blocks(host, FIRST_LOOK_BLOCKS)
    assert (key.used.spent, key.used.requests, key.left) == (300, 0, 10**7 - 300)


async def test_an_answer_under_way_is_looked_at_ever_more_rarely(network: Network) -> None:
    host = network.hosts[0]
    key, headers = await issue(host, budget=10**7)
    reply = await network.post(host, network.body(), headers)
    settle_on_chain(network, reply, InferenceStatus.STARTED)
    await pass_blocks(host, 40)
    settle_on_chain(network, reply)
    await pass_blocks(host, 49)
    assert key.used.spent == 0
    await pass_blocks(host, 50)
    assert key.used.spent == 1000


async def test_a_start_that_never_comes_is_forgotten(network: Network) -> None:
    host = network.hosts[0]
    key, headers = await issue(host, budget=10**7)
    assert (await network.post(host, network.body(), headers)).status == 200
    await pass_blocks(host, FIRST_LOOK_BLOCKS)
    assert key.held > 0
    await pass_blocks(host, 1_000_000)
    assert (key.held, key.used.spent) == (0, 0)


@ON_BOTH
async def test_charges_outlive_a_restart(network: Network) -> None:
    host, body = network.hosts[0], network.body()
    key, headers = await issue(host, budget=10**7)
    reply = await network.post(host, body, headers)
    await host.database.writer.flush()
    settle_on_chain(network, reply)

    async def restarted() -> tuple[IssuedKey, Charges]:
        keys = IssuedKeys(host.database)
        await keys.load()
        charges = Charges(keys, network.chain, host.database)  # type: ignore[arg-type]
        await charges.load()
        return keys.by_id(key.id), charges

    again, charges = await restarted()
    assert again.held == escrow_of(body)
    await charges.settle(moment_at(height=HEIGHT + FIRST_LOOK_BLOCKS))
    for each in (again, (await restarted())[0]):
        assert (each.used.spent, each.used.requests, each.held) == (1000, 1, 0)


async def test_requests_at_the_same_time_cannot_spend_a_budget_twice(network: Network) -> None:
    host, body = network.hosts[0], network.body()
    _, headers = await issue(host, budget=escrow_of(body))
    assert (await network.post(host, body, headers)).status == 200
    refused = await network.post(host, body, headers)
    assert refused.status == 402
    assert refused.json["error"]["code"] == "budget_spent"
    assert "Retry-After" not in refused.headers


async def test_a_request_that_was_refused_costs_nothing(network: Network) -> None:
    host = network.hosts[0]
    key, headers = await issue(host, budget=10**7)
    for each in network.hosts:
        each.engine.refuses_with = {"message": "too long"}
    assert (await network.post(host, network.body(), headers)).status == 400
    network.chain.balances[host.identity.gateway.address] = 0
    assert (await network.post(host, network.body(), headers)).status == 402
    assert (key.held, key.left) == (0, 10**7)


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (lambda key: setattr(key, "revoked_s", 5), 401, "invalid_credentials"),
        (lambda key: setattr(key, "terms", replace(key.terms, expires_s=5)), 401, "invalid_credentials"),
        (lambda key: setattr(key, "_under_way", 2), 429, "too_many_requests"),
        (lambda key: setattr(key._rate, "_left", 0.0), 429, "too_many_requests"),
    ],
)
async def test_a_key_that_is_no_longer_good_is_refused_before_the_body_is_read(
    network: Network, spoil: Callable[[Any], None], status: int, code: str
) -> None:
    key, headers = await issue(network.hosts[0], concurrency=2, rate=1)
    spoil(key)
    reply = await network.post(network.hosts[0], b"no JSON", headers)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert ("Retry-After" in reply.headers) == (status == 429)


async def test_who_signs_needs_no_key(network: Network) -> None:
    host, body = network.hosts[0], network.body()
    admitted = host.service.access.admit(
        {name.lower().encode(): value.encode() for name, value in network.signed(body, host).items()},
        host.service.market.moment,
    )
    assert isinstance(admitted, Claim)
