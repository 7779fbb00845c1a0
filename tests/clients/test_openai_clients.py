"""The OpenAI client and gonka-openai, unmodified, against a whole network."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.e2e.network import Network

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(420)]
RunClient = Callable[..., str]


def told_by(output: str) -> Any:
    return json.loads(output.strip().splitlines()[-1])


def record_of(network: Network, inference_id: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with aiohttp.ClientSession() as session:
            return await network.record(session, 0, inference_id)

    return asyncio.run(ask())


@pytest.fixture
def openai_settings(two_hosts: Network) -> dict[str, str]:
    return {"OPENAI_BASE_URL": two_hosts.hosts[0]["public_url"] + "/v1", "OPENAI_API_KEY": two_hosts.api_key}


def test_the_openai_client_gets_an_answer_that_is_settled(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "plain", **openai_settings))
    assert told["text"]
    assert two_hosts.model in told["models"]
    assert told["alternatives"] == [2] * told["usage"]["completion_tokens"]
    record = record_of(two_hosts, told["id"])
    assert record["status"] == "FINISHED"
    assert record["completion_token_count"] == told["usage"]["completion_tokens"]
    assert record["executor_paid"] == record["actual_cost"] > 0


def test_the_openai_client_gets_a_stream(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "stream", **openai_settings))
    assert told["text"]
    assert len(told["ids"]) == 1
    assert told["usage"]["completion_tokens"] > 0


def test_the_openai_client_understands_a_refusal(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "unknown", **openai_settings))
    assert (told["status"], told["code"]) == (404, "model_not_found")


def test_gonka_openai_finds_a_host_checks_the_proof_and_pays_from_its_own_key(
    two_hosts: Network, run_client: RunClient
) -> None:
    developer = two_hosts.contract["developer"]
    output = run_client(
        "ask_gonka.py",
        two_hosts.model,
        GONKA_SOURCE_URL=two_hosts.hosts[0]["public_url"],
        GONKA_PRIVATE_KEY=developer["private_key_hex"],
        GONKA_VERIFY_PROOF="1",
    )
    told = told_by(output)
    assert told["address"] == developer["address"]
    assert told["base_url"].rstrip("/") in {host["public_url"] + "/v1" for host in two_hosts.hosts}
    assert told["text"]
    assert told["streamed"]
    record = record_of(two_hosts, told["id"])
    assert record["requested_by"] == developer["address"]
    assert record["status"] == "FINISHED"
