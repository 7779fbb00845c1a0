import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivot.api.http.callbacks import callbacks_app
from pivot.api.poc.callback import callback_token
from pivot.protocol.mlnode_api import encode_fingerprints
from pivot.protocol.sprint import nonce_of
from tests.api.fleet.chain import FakeChain, FakePhases, epoch
from tests.api.fleet.ml_node import FakeMlNode, fingerprint
from tests.api.poc.host import Host, host
from tests.api.poc.test_prover import BOOKS_CLOSE, MARKS
from tests.api.serving import serving

PREFIXES = ("/v1/poc", "/mlnode/v1/poc")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Host]:
    chain = FakeChain()
    async with host(chain, FakePhases(chain), tmp_path) as one:
        yield one


@pytest.fixture
async def port(one: Host) -> AsyncIterator[str]:
    async with serving(callbacks_app(one.settings, one.fleet, one.prover)) as url:
        yield url


def batch(one: Host, **fields: Any) -> dict[str, Any]:
    return {
        "epoch": 1,
        "host_address": one.address,
        "node_id": 1,
        "batch_id": "b",
        "first_index": 0,
        "fingerprints": encode_fingerprints(fingerprint(nonce_of(1, 0))),
        **fields,
    }


async def post(url: str, body: Any, token: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json() if await answer.read() else None


async def test_a_batch_is_taken_once_under_either_path(one: Host, port: str) -> None:
    token = callback_token(one.settings)
    assert (await post(port + "/v1/poc/generated", batch(one), token))[0] == 503  # no block was seen yet
    async with FakeMlNode.running() as node:
        await one.add(node)
        one.chain.latest = epoch(1)
        await one.phases.at(MARKS.poc_start)
        for prefix in PREFIXES:
            assert await post(port + prefix + "/generated", batch(one), token) == (200, None)
        assert one.prover.leaves.count(1, 1) == 1
        assert (await post(port + "/v1/poc/generated", batch(one, first_index=5), token))[0] == 409
        assert (await post(port + "/v1/poc/generated", batch(one, node_id=3), token))[0] == 400
        await one.phases.at(BOOKS_CLOSE)
        status, refusal = await post(port + "/v1/poc/generated", batch(one), token)
        assert status == 410
        assert "is over" in refusal["error"]


async def test_a_item21_nobody_without_the_token_adds_leaves_or_verdicts(one: Host, port: str) -> None:
    for path in ("generated", "validated"):
        status, refusal = await post(f"{port}/v1/poc/{path}", {}, "guessed")
        assert status == 401
        assert "bearer token" in refusal["error"]


async def test_distances_of_an_unknown_batch_are_ignored(one: Host, port: str) -> None:
    token = callback_token(one.settings)
    assert await post(port + "/v1/poc/validated", {"batch_id": "x", "distances": [1]}, token) == (200, None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"fingerprints": "??"}, "fingerprints"), ({"epoch": "one"}, "epoch"), ({"batch_id": ""}, "batch_id")],
)
async def test_a_malformed_batch_is_refused_by_field(one: Host, port: str, fields: dict[str, Any], named: str) -> None:
    status, refusal = await post(port + "/v1/poc/generated", batch(one, **fields), callback_token(one.settings))
    assert (status, refusal["error"].startswith(named)) == (400, True), refusal


async def test_a_body_that_is_too_large_is_refused_however_it_comes(one: Host, port: str) -> None:
    headers = {"Authorization": f"Bearer {callback_token(one.settings)}", "Content-Type": "application/json"}

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 2**16

    async with aiohttp.ClientSession() as session:
        for body in (io.BytesIO(b" " * 2**21), pieces()):
            async with session.post(port + "/v1/poc/generated", data=body, headers=headers) as answer:
                assert answer.status == 413
