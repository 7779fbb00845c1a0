"""`docs/quickstart-developers.md` is followed on a running network: its requests, and its Python with the published clients."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.clients.conftest import client_python  # noqa: F401  a fixture
from tests.deploy.pages import DOCS, blocks_of
from tests.e2e.network import Network

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

PAGE = DOCS / "quickstart-developers.md"
SNIPPETS = re.findall(r"```python\n(from .*?)```", PAGE.read_text(), re.DOTALL)
"""Whole programs. What only goes on from one, for another kind of model, is tried by tests/clients/test_embedding_clients.py."""
LOOKING, ASKING, USAGE, _, RECORDS = blocks_of(PAGE)
"""The fourth is vLLM's benchmark: tests/clients/test_vllm_benchmark.py."""


def filled(text: str, network: Network, **more: str) -> str:
    """The text with its placeholders filled in as a developer would."""
    values = {
        "http://<host>:8000": network.hosts[0]["public_url"],
        "<api_key>": network.api_key,
        "<model>": network.model,
        "<private key in hex>": network.contract["developer"]["private_key_hex"],
        "<address>": network.contract["developer"]["address"],
        **more,
    }
    for name, value in values.items():
        text = text.replace(name, value)
    assert "<" not in text, "a placeholder is not explained"
    return text


def answers(block: str) -> list[Any]:
    """What each command of a block answers, run by a shell."""
    commands = [command for command in re.split(r"\n(?=curl )", block.strip()) if command]
    return [
        json.loads(subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout)
        for command in commands
    ]


def test_hosts_models_and_prices_are_told(two_hosts: Network) -> None:
    members, models, pricing = answers(filled(LOOKING, two_hosts))
    urls = {each["inference_url"] for each in members["active_participants"]["participants"]}
    assert urls == {host["public_url"] for host in two_hosts.hosts}
    assert two_hosts.model in json.dumps(models)
    assert two_hosts.model in json.dumps(pricing)


def test_a_request_with_an_api_key_is_answered(two_hosts: Network) -> None:
    [answer] = answers(filled(ASKING, two_hosts))
    assert answer["choices"][0]["message"]["content"]
    [usage] = answers(filled(USAGE, two_hosts))
    assert usage["api_key"]["requests"] > 0


@pytest.mark.clients
@pytest.mark.parametrize("snippet", SNIPPETS, ids=["openai", "gonka_openai"])
def test_the_python_of_the_page_prints_an_answer(
    snippet: str,
    two_hosts: Network,
    client_python: Path,  # noqa: F811
) -> None:
    code = filled(snippet, two_hosts)
    done = subprocess.run([str(client_python), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


async def test_the_record_of_an_answer_is_found_by_its_percent_encoded_id(two_hosts: Network) -> None:
    own = two_hosts.hosts[0]["address"]
    body = two_hosts.chat_body()
    async with aiohttp.ClientSession() as http:
        answer = await two_hosts.post(http, 0, body, two_hosts.signed_headers(body, own))
        await two_hosts.record(http, 0, answer.json["id"])
    record, account = answers(filled(RECORDS, two_hosts, **{"<id>": quote(answer.json["id"], safe="")}))
    assert (record["inference_id"], record["transferred_by"]) == (answer.json["id"], own)
    assert int(account["balance"]) > 0
