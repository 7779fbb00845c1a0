"""Published clients, unmodified, against a whole network: OpenAI's and gonka-openai (Python, JavaScript), LangChain, LiteLLM."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.e2e.network import Network

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.timeout(420)]
RunClient = Callable[..., str]
SETTLED = {"FINISHED", "VALIDATED"}
"""A checker may have been quick."""


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
    assert told["model"]["id"] == two_hosts.model
    assert told["model"]["context_window"] > 0
    assert told["model"]["price_per_token"] > 0
    assert told["headers"]["x-pivot-inference-id"] == told["id"]
    assert told["headers"]["x-pivot-executor"] in {host["address"] for host in two_hosts.hosts}
    assert told["headers"]["x-request-id"]
    assert told["alternatives"] == [2] * told["usage"]["completion_tokens"]
    record = record_of(two_hosts, told["id"])
    assert record["status"] in SETTLED
    assert record["completion_token_count"] == told["usage"]["completion_tokens"]
    assert record["executor_paid"] == record["actual_cost"] > 0


def test_the_openai_client_gets_a_stream(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "stream", **openai_settings))
    assert told["text"]
    assert len(told["ids"]) == 1
    assert told["usage"]["completion_tokens"] > 0


def test_the_openai_client_gets_a_completion_that_is_settled(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "completion", **openai_settings))
    assert told["text"]
    assert len(told["tokens"]) == told["usage"]["completion_tokens"]
    record = record_of(two_hosts, told["id"])
    assert record["status"] in SETTLED
    assert record["completion_token_count"] == told["usage"]["completion_tokens"]
    assert record["executor_paid"] == record["actual_cost"] > 0


def test_the_openai_client_gets_a_completion_as_a_stream(
    two_hosts: Network, run_client: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_client("ask_openai.py", two_hosts.model, "completion_stream", **openai_settings))
    assert told["text"]
    assert len(told["ids"]) == 1
    assert told["usage"]["completion_tokens"] > 0


def test_the_openai_client_for_javascript_chats_and_completes(
    two_hosts: Network, run_javascript: RunClient, openai_settings: dict[str, str]
) -> None:
    told = told_by(run_javascript("ask_openai.mjs", two_hosts.model, **openai_settings))
    assert two_hosts.model in told["models"]
    for kind in ("chat", "stream", "completion", "completionStream"):
        assert told[kind]["text"], kind
        assert told[kind]["usage"]["completion_tokens"] > 0, kind
    assert told["unknown"] == {"status": 404, "code": "model_not_found"}
    assert record_of(two_hosts, told["completion"]["id"])["status"] in SETTLED


@pytest.mark.parametrize("script", ["ask_langchain.py", "ask_litellm.py"])
def test_a_framework_chats_and_completes(
    two_hosts: Network, run_framework: RunClient, openai_settings: dict[str, str], script: str
) -> None:
    told = told_by(run_framework(script, two_hosts.model, **openai_settings))
    for kind in ("text", "streamed", "completion", "streamed_completion"):
        assert told[kind], kind
    assert told["usage"]
    assert record_of(two_hosts, told["id"])["status"] in SETTLED


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
    assert record["status"] in SETTLED


def test_gonka_openai_for_javascript_is_told_what_to_upgrade(two_hosts: Network, run_javascript: RunClient) -> None:
    """Its published version signs the raw body. It finds the hosts, and their proof is good."""
    output = run_javascript(
        "ask_gonka.mjs",
        two_hosts.model,
        GONKA_SOURCE_URL=two_hosts.hosts[0]["public_url"],
        GONKA_PRIVATE_KEY=two_hosts.contract["developer"]["private_key_hex"],
        GONKA_VERIFY_PROOF="1",
    )
    told = told_by(output)
    assert set(told["endpoints"]) == {host["address"] for host in two_hosts.hosts}
    assert told["status"] == 401
    assert "upgrade gonka-openai to 0.2.6" in told["message"]
