import time
from functools import partial
from typing import Any

import aiohttp
import pytest

from pivot.api.between_hosts.signatures import FRESHNESS_NS, signed_headers
from pivot.api.http.errors import NotFound
from pivot.api.poc.leaves_api import MAX_INDICES, LeavesAnswer
from pivot.primitives.keys import PrivateKey
from pivot.protocol.signing import leaves_sign_bytes
from pivot.protocol.sprint import leaf_bytes, nonce_of, verify_merkle_proof
from tests.api.fleet.chain import CHAIN_ID, key, until
from tests.api.fleet.ml_node import FakeMlNode, fingerprint
from tests.api.poc.host import Host
from tests.api.poc.test_prover import BOOKS_CLOSE, sprint

CHECKER, STRANGER = key(7), key(8)


@pytest.fixture
async def committed(one: Host) -> Host:
    """A host that has committed 45 leaves, with CHECKER drawn for it."""
    async with FakeMlNode.running() as node:
        await one.add(node)
        await sprint(one, node)
        await node.send_leaves(45)
        await one.phases.at(BOOKS_CLOSE)
        await until(lambda: "poc-commit:1" in one.outbox.messages)
    one.include_commit([CHECKER.address])
    one.chain.keys |= {each.address: [each.public_key] for each in (CHECKER, STRANGER)}
    return one


async def ask(
    one: Host,
    indices: list[int],
    *,
    node_number: int = 1,
    epoch: str = "1",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    by: PrivateKey = CHECKER,
) -> tuple[int, Any]:
    url = f"{one.chain.participants[one.address].inference_url}/v1/poc/{epoch}/leaves"
    signed_epoch = int(epoch) if epoch in ("1", "2") else 1
    words = partial(leaves_sign_bytes, CHAIN_ID, signed_epoch, one.address, node_number, indices)
    signed = signed_headers(by, words, time.time_ns())
    asked = {"node_number": str(node_number), "indices": ",".join(map(str, indices)), **(query or {})}
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, params=asked, headers={**signed, **(headers or {})}) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_drawn_checker_gets_leaves_that_prove_themselves(committed: Host) -> None:
    status, document = await ask(committed, [44, 0, 7])
    assert status == 200
    answer = LeavesAnswer.model_validate(document)
    node = committed.commit().nodes[0]
    assert [leaf.index for leaf in answer.leaves] == [44, 0, 7]
    for leaf in answer.leaves:
        found, proof = leaf.content()
        assert found == fingerprint(nonce_of(1, leaf.index))
        content = leaf_bytes(nonce_of(1, leaf.index), found)
        assert verify_merkle_proof(node.merkle_root, node.count, leaf.index, content, proof)


@pytest.mark.parametrize(
    ("indices", "changes", "status", "sentence"),
    [
        ([45], {}, 404, "leaf 45"),
        ([0], {"node_number": 2}, 404, "node 2"),
        ([0], {"epoch": "2"}, 404, "epoch 2"),
        ([0], {"epoch": "one"}, 400, "epoch"),
        ([0], {"epoch": "9" * 30}, 400, "epoch"),
        ([0], {"query": {"node_number": "-1"}}, 400, "node_number"),
        ([0], {"query": {"indices": ""}}, 400, "indices"),
        ([0], {"query": {"indices": "1,x"}}, 400, "indices"),
        ([0], {"query": {"indices": ",".join(["1"] * (MAX_INDICES + 1))}}, 400, "indices"),
        ([0], {"query": {"indices": "1"}}, 401, "does not cover"),
        ([0], {"headers": {"X-Timestamp": "soon"}}, 400, "X-Timestamp"),
        ([0], {"headers": {"X-Timestamp": str(time.time_ns() - 2 * FRESHNESS_NS)}}, 400, "clock"),
        ([0], {"headers": {"Authorization": "???"}}, 401, "base64"),
        ([0], {"headers": {"X-Requester-Address": key(8).address}}, 401, "does not cover"),
        ([0], {"by": STRANGER}, 403, "not a checker"),
    ],
)
async def test_everything_else_is_refused_with_a_sentence(
    committed: Host, indices: list[int], changes: dict[str, Any], status: int, sentence: str
) -> None:
    answered, document = await ask(committed, indices, **changes)
    assert (answered, sentence in document["error"]["message"]) == (status, True), document


async def test_another_hosts_signature_is_refused(committed: Host) -> None:
    committed.chain.keys[CHECKER.address] = [key(9).public_key]
    assert (await ask(committed, [0]))[0] == 401
    committed.chain.keys[CHECKER.address] = [key(9).public_key, CHECKER.public_key]  # a grantee's and its own
    assert (await ask(committed, [0]))[0] == 200


async def test_without_the_chain_nobody_is_known_as_checker(committed: Host) -> None:
    committed.chain.down = True
    assert (await ask(committed, [0]))[0] == 503


async def test_the_draw_is_asked_of_the_chain_once(committed: Host) -> None:
    committed.chain.asked.clear()
    for _ in range(3):
        assert (await ask(committed, [1]))[0] == 200
    assert committed.chain.asked.count("PocCommits") == 1


async def test_what_was_never_committed_is_refused(one: Host) -> None:
    with pytest.raises(NotFound, match="committed nothing"):
        await one.leaves.leaves(1, 1, [0])
