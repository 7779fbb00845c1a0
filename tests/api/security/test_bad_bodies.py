"""Bodies that are no text, no JSON, or JSON that nothing can hold: a clear refusal on every port, and the port serves on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.inference.network import Network
from tests.api.security.ports import CALLBACKS, INTERNALS, PUBLIC, Caller, Ports, all_ports

BODIES = {
    "nothing": b"",
    "invalid UTF-8": b'{"id": "\xff\xfe", "name": "\xff"}',
    "UTF-16": '{"id": "a", "name": "a"}'.encode("utf-16"),
    "half a character": b'{"id": "\\ud800", "name": "\\ud800", "host": "h", "\\udfff": 1}',
    "no number": b'{"id": NaN, "name": NaN, "budget": Infinity}',
    "a number without an end": b'{"id": ' + b"9" * 5_000 + b', "name": "a", "budget": ' + b"9" * 5_000 + b"}",
    "a float beyond all": b'{"id": 1e999, "name": "a", "budget": 1e999}',
    "depth": b"[" * 60_000,
    "depth within a field": b'{"id": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a field that comes twice": b'{"id": 1, "id": [], "name": 1, "name": []}',
    "a zero byte": b'{"id": "a\\u0000b", "name": "a\\u0000b"}',
    "another kind": b'"text"',
}
QUESTION = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/v1/nodes"),
        ("POST", "/admin/v1/nodes/batch"),
        ("PUT", "/admin/v1/nodes/%00%ff%ed%a0%80"),
        ("POST", "/admin/v1/keys/api"),
    ],
)
async def test_the_admin_port_refuses_what_it_cannot_read(admin: str, network: Network, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    for kind, body in BODIES.items():
        async with network.http.request(method, admin + path, data=body, headers=headers) as answer:
            told = await answer.text()
        assert 400 <= answer.status < 500, (kind, told)
        require_a_sentence(told)


async def test_questions_that_cannot_be_read_are_refused_and_the_next_is_answered(network: Network) -> None:
    host = network.hosts[0]
    for kind, body in BODIES.items():
        refused = await network.post(host, body)
        assert refused.status == 400, kind
        require_a_sentence(refused.raw.decode())
    assert (await network.post(host, network.body())).status == 200


def require_a_sentence(told: str) -> None:
    assert "error" in told
    assert len(told) < 2_000
    assert not any(each in told for each in INTERNALS), told


async def test_a_body_of_100_mb_is_refused_before_it_is_here(network: Network) -> None:
    host = network.hosts[0]
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        for _ in range(1_600):
            taken += 65_536
            yield b"x" * 65_536

    headers = {"Authorization": "Bearer sk-test"}
    try:
        async with network.http.post(host.url + QUESTION, data=endless(), headers=headers) as answer:
            assert answer.status == 413
    except ConnectionError:
        pass  # the port had closed it before the answer was read
    assert taken < 16 * 2**20
    assert (await network.post(host, network.body())).status == 200


@pytest.fixture
async def ports(network: Network, tmp_path: Path) -> AsyncIterator[Ports]:
    async with all_ports(network, tmp_path / "host") as ports:
        yield ports


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (CALLBACKS, "/v1/poc/generated"),
        (CALLBACKS, "/v1/poc/validated"),
        (PUBLIC, "/v1/participants"),
        (PUBLIC, "/v1/training/tasks"),
        (PUBLIC, "/v1/training/lock-nodes"),
        (PUBLIC, "/v1/completions"),
        (PUBLIC, "/v1/embeddings"),
        (PUBLIC, "/chain-rpc/"),
    ],
)
async def test_whatever_takes_a_body_refuses_what_it_cannot_read(ports: Ports, name: str, path: str) -> None:
    door = ports[name]
    for kind, body in BODIES.items():
        async with Caller.at(door) as caller:
            await caller.send(door.head("POST", f"Content-Length: {len(body)}", path=path) + body)
            status, told = await caller.answer()
        assert 400 <= status < 500, (kind, told)
        require_a_sentence(told.decode())
    await door.require_others_are_served()
