"""Hosts decide on a real network, with the command line: what passes happens when it should, and deposits go where they should."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from pivot.primitives.addresses import of_module
from tests.conftest import pivot, tails
from tests.e2e.network import Network, get, until
from tests.e2e.people import DEPOSIT, GOVERNANCE, PASSED, People
from tests.e2e.terminal import balance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
COMMUNITY_POOL = of_module("distribution")
REJECTED = "PROPOSAL_STATUS_REJECTED"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two hosts with an ML node each."""
    home = tmp_path_factory.mktemp("network")
    up = pivot("devnet", "up", "--home", str(home), "--hosts", "2", "--preset", "test", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    yield Network(home, json.loads(up.stdout))
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture(scope="module")
def people(network: Network, tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(network, tmp_path_factory.mktemp("people"))


async def test_a_vote_weighs_as_much_as_its_hosts_compute_power(
    network: Network, people: People, session: aiohttp.ClientSession
) -> None:
    proposal = people.propose("A way for all")
    people.vote(proposal, host0="yes", host1="no")
    cast = people.json("query", "gov", "vote", proposal, "host0")["vote"]["options"]
    assert [each["option"] for each in cast] == ["VOTE_OPTION_YES"]
    weights = [await network.members(session)]
    decided = await people.decided(proposal)
    weights.append(await network.members(session))
    yes, no = (int(decided["final_tally_result"][option]) for option in ("yes_count", "no_count"))
    first, second = (host["address"] for host in network.hosts)
    assert (yes, no) in [(members[first], members[second]) for members in weights]
    assert decided["status"] == (PASSED if yes > no else REJECTED)


async def test_parameters_take_force_with_the_next_epoch_and_not_before(people: People) -> None:
    params = people.json("query", "inference", "params")["params"]
    before = params["epoch_params"]["previous_epoch_grace"]
    params["epoch_params"]["previous_epoch_grace"] = "40"
    proposal = people.propose("A shorter grace", {"@type": "/inference.inference.MsgUpdateParams", "params": params})
    people.vote(proposal, host0="yes")
    voted_in, _ = people.epoch_params("latest_epoch")
    decided = await people.decided(proposal)
    assert decided["status"] == PASSED, decided
    wanted = people.json("query", "inference", "params")["params"]["epoch_params"]["previous_epoch_grace"]
    epoch, own = people.epoch_params("latest_epoch")
    assert wanted == "40"
    assert own == before or epoch > voted_in

    async def begun() -> bool:
        now, grace = people.epoch_params("latest_epoch")
        assert grace == (before if now == epoch and own == before else "40")
        return now > epoch

    await until(begun)

    async def serves() -> bool:
        now, grace = people.epoch_params("effective_epoch")
        assert grace == ("40" if now > epoch else own if now == epoch else before)
        return now > epoch

    await until(serves)


async def test_a_model_a_partial_upgrade_a_payment_and_the_engines_limits_are_agreed_on_at_once(
    network: Network, people: People, session: aiohttp.ClientSession
) -> None:
    rpc, api = network.hosts[0]["rpc_url"], network.hosts[1]["public_url"]
    limits = (await get(session, f"{rpc}/consensus_params"))["result"]["consensus_params"]
    assert limits["block"]["max_bytes"] == "4194304"
    to = people.json("keys", "add", "friend")["address"]
    height = int(people.json("query", "status")["sync_info"]["latest_block_height"]) + 1_000
    proposal = people.propose(
        "Four things",
        {
            "@type": "/inference.inference.MsgRegisterModel",
            "id": "pivot/larger-chat",
            "context_window": "2048",
            "coins_per_token": "3",
            "v_ram": "16",
            "throughput_per_nonce": "100",
            "validation_threshold": {"value": "97", "exponent": -2},
        },
        {"@type": "/inference.inference.MsgCreatePartialUpgrade", "height": str(height), "nodeVersion": "v2"},
        {
            "@type": "/cosmos.distribution.v1beta1.MsgCommunityPoolSpend",
            "recipient": to,
            "amount": [{"denom": "ngonka", "amount": "777"}],
        },
        {
            "@type": "/cosmos.consensus.v1.MsgUpdateParams",
            "block": {"max_bytes": "2097152", "max_gas": limits["block"]["max_gas"]},
            "evidence": limits["evidence"] | {"max_age_duration": "172800s"},
            "validator": {"pub_key_types": ["ed25519"]},
        },
    )
    people.vote(proposal, host0="yes")
    assert "pivot/larger-chat" not in await models(session, api)
    assert balance(people, "friend") == 0
    decided = await people.decided(proposal)
    assert decided["status"] == PASSED, decided["failed_reason"]
    assert balance(people, "friend") == 777
    [planned] = people.json("query", "inference", "partial-upgrade-all")["partialUpgrade"]
    assert (planned["height"], planned["node_version"]) == (str(height), "v2")

    async def limited() -> bool:
        told = await get(session, f"{rpc}/consensus_params")
        return bool(told["result"]["consensus_params"]["block"]["max_bytes"] == "2097152")

    await until(limited)

    async def offered() -> dict[str, Any] | None:
        return (await models(session, api)).get("pivot/larger-chat")

    model = await until(offered)
    assert (model["context_window"], model["price_per_token"]) == (2048, 3), model


async def test_a_vetoed_proposal_loses_its_deposit_to_the_community_pool_and_a_rejected_one_gets_it_back(
    people: People,
) -> None:
    pool, own = balance(people, COMMUNITY_POOL), balance(people, "developer")
    vetoed = people.propose("Vetoed")
    people.vote(vetoed, host0="no-with-veto")
    assert balance(people, GOVERNANCE) == DEPOSIT
    assert balance(people, "developer") == own - DEPOSIT
    rejected = people.propose("Rejected")
    people.vote(rejected, host0="no")
    late = (await people.decided(vetoed))["status"], (await people.decided(rejected))["status"]
    assert late == (REJECTED, REJECTED)
    refused = people.run("tx", "gov", "vote", rejected, "yes", "--from", "host0", "--yes", "--gas", "90000")
    assert (refused.returncode, f"proposal {rejected} is not voted on" in refused.stderr) == (1, True), refused.stderr

    async def settled() -> bool:
        return balance(people, GOVERNANCE) == 0

    await until(settled)
    assert balance(people, "developer") == own - DEPOSIT
    assert balance(people, COMMUNITY_POOL) >= pool + DEPOSIT
    told = people.json("query", "gov", "tally", vetoed)["tally"]
    assert int(told["no_with_veto_count"]) > 0 == int(told["no_count"])


async def models(session: aiohttp.ClientSession, api: str) -> dict[str, dict[str, Any]]:
    """What an API node offers, by name."""
    return {each["id"]: each for each in (await get(session, f"{api}/v1/models"))["data"]}
