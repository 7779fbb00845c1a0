"""Promises between hosts: who may ask for which nodes, and what is asked of other hosts."""

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.between_hosts.signatures import Signatures, signed_headers
from pivot.api.fleet.interface import Stop
from pivot.api.http.errors import ApiError, BadRequest, Conflict, NotFound, NotPermitted
from pivot.api.http.training import Training
from pivot.api.identity import Identity
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.training.hosts import LOCK_PATH, MARGIN_BLOCKS, Hosts, Locking, LockNodes
from pivot.api.training.promises import Promises
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTaskStatus
from pivot.protocol.generated.inference.inference.types_pb2 import Participant
from pivot.protocol.signing import training_sign_bytes
from tests.api.fleet.chain import CHAIN_ID, FakeOutbox, FakePhases, key
from tests.api.serving import serving
from tests.api.training.fleet import FakeFleet
from tests.api.training.network import TrainingChain

ASSIGNER, HOST = key(1), key(2)
WANTED = LockNodes(training_task_id=7, node_ids=["node1"])


@pytest.fixture
def fleet() -> FakeFleet:
    fleet = FakeFleet()
    fleet.add("node1")
    fleet.add("node2")
    return fleet


@pytest.fixture
def promises(tmp_path: Path) -> Promises:
    return Promises(tmp_path)


@pytest.fixture
async def locking(chain: TrainingChain, phases: FakePhases, fleet: FakeFleet, promises: Promises) -> Locking:
    """Of a host that is asked by the member which has claimed task 7 at height 55."""
    task = chain.queue(7, cpu=1)
    task.assigner, task.claimed_by_assigner_at_block_height = ASSIGNER.address, 55
    await phases.at(60)
    return Locking(chain, cast(Any, fleet), phases, promises)


async def test_nodes_are_promised_to_the_member_that_has_claimed_the_task(
    locking: Locking, promises: Promises, chain: TrainingChain
) -> None:
    await locking.lock(ASSIGNER.address, WANTED)
    await locking.lock(ASSIGNER.address, WANTED)
    assert promises.nodes_of(7) == ["node1"]
    ends = 55 + chain.effective.params.training_params.assignment_blocks
    promises.lapse(ends + MARGIN_BLOCKS - 1)
    assert promises.nodes_of(7) == ["node1"]


async def test_w27_nobody_else_may_ask(locking: Locking, chain: TrainingChain, phases: FakePhases) -> None:
    with pytest.raises(NotPermitted, match="is not gonka1else's to assign now"):
        await locking.lock("gonka1else", WANTED)
    await phases.at(55 + chain.effective.params.training_params.assignment_blocks)
    with pytest.raises(NotPermitted):
        await locking.lock(ASSIGNER.address, WANTED)
    await phases.at(60)
    chain.tasks[7].status = TrainingTaskStatus.TRAINING_RUNNING
    with pytest.raises(NotPermitted):
        await locking.lock(ASSIGNER.address, WANTED)


async def test_a_task_that_is_not_there_is_refused(locking: Locking) -> None:
    with pytest.raises(NotFound, match="there is no training task 8"):
        await locking.lock(ASSIGNER.address, LockNodes(training_task_id=8, node_ids=["node1"]))


@pytest.mark.parametrize(
    "fields", [{"enabled": False}, {"reachable": False}, {"fulfils": False}, {"duty": Stop()}, {"duty": None}]
)
async def test_only_a_node_that_serves_is_promised(locking: Locking, fleet: FakeFleet, fields: dict[str, Any]) -> None:
    fleet.add("node1", **fields)
    with pytest.raises(Conflict, match="node 'node1' does not serve now"):
        await locking.lock(ASSIGNER.address, WANTED)


async def test_a_strange_node_and_a_taken_one_are_refused(locking: Locking, promises: Promises) -> None:
    with pytest.raises(BadRequest, match="node 'node9' is no node of this host"):
        await locking.lock(ASSIGNER.address, LockNodes(training_task_id=7, node_ids=["node1", "node9"]))
    promises.make(6, ["node1"], until=100)
    with pytest.raises(Conflict, match="promised to training task 6"):
        await locking.lock(ASSIGNER.address, LockNodes(training_task_id=7, node_ids=["node1", "node2"]))
    assert promises.nodes_of(7) == []


# Between two hosts, over HTTP


@pytest.fixture
async def url(chain: TrainingChain, outbox: FakeOutbox, locking: Locking) -> AsyncIterator[str]:
    """The host's public port."""
    chain.keys[ASSIGNER.address] = [ASSIGNER.public_key]
    app = FastAPI()
    app.include_router(Training(HOST.address, chain, outbox, Signatures(chain), BriefAnswers(), locking).router)

    async def refused(_: Request, error: Exception) -> Response:
        refusal = cast(ApiError, error)
        return Response(refusal.body(), refusal.status)

    app.add_exception_handler(ApiError, refused)
    async with serving(app) as url:
        chain.participants[HOST.address] = Participant(address=HOST.address, inference_url=url)
        yield url


@pytest.fixture
async def hosts(chain: TrainingChain) -> AsyncIterator[Hosts]:
    hosts = Hosts(Identity(account=ASSIGNER, gateway=key(9)), chain, allow_private=True)
    yield hosts
    await hosts.close()


async def test_a_host_promises_its_nodes_to_another(url: str, hosts: Hosts, promises: Promises) -> None:
    await hosts.lock(HOST.address, 7, ["node1", "node2"])
    assert promises.nodes_of(7) == ["node1", "node2"]


async def test_a_host_that_refuses_is_quoted(url: str, hosts: Hosts) -> None:
    with pytest.raises(NotAnswered, match=r"answered 400: .*node9' is no node of this host"):
        await hosts.lock(HOST.address, 7, ["node9"])


async def test_a18_hosts_that_cannot_be_asked_are_named(chain: TrainingChain, hosts: Hosts) -> None:
    with pytest.raises(NotAnswered, match="the chain knows no host gonka1gone"):
        await hosts.lock("gonka1gone", 7, ["node1"])
    chain.participants["gonka1dead"] = Participant(inference_url="http://127.0.0.1:9")
    with pytest.raises(NotAnswered, match="lock-nodes: ClientConnectorError"):
        await hosts.lock("gonka1dead", 7, ["node1"])
    chain.participants["gonka1near"] = Participant(inference_url="http://127.0.0.1:9")
    careful = Hosts(Identity(account=ASSIGNER, gateway=key(9)), chain, allow_private=False)
    with pytest.raises(NotAnswered, match="private network"):
        await careful.lock("gonka1near", 7, ["node1"])
    await careful.close()


async def test_a21_a_request_that_its_asker_has_not_signed_is_refused(
    url: str, hosts: Hosts, promises: Promises, http_post: Any
) -> None:
    """The published route takes any request."""
    body = WANTED.model_dump_json().encode()
    other = json.dumps({"training_task_id": 7, "node_ids": ["node2"]}).encode()
    now = time.time_ns()

    def headers(**changes: Any) -> dict[str, str]:
        asked: dict[str, Any] = {
            "key": ASSIGNER, "chain_id": CHAIN_ID, "host": HOST.address, "path": LOCK_PATH, "body": body, "now": now, **changes,
        }  # fmt: skip
        words = partial(training_sign_bytes, asked["chain_id"], asked["host"], asked["path"], asked["body"])
        return signed_headers(asked["key"], words, asked["now"])

    for wrong in (
        {},
        headers(key=key(5)),
        headers(body=other),
        headers(host="gonka1else"),
        headers(path="/v1/training/tasks"),
        headers(chain_id="another"),
        {**headers(), "X-Timestamp": str(now + 1)},
        {**headers(), "Authorization": "what?"},
    ):
        assert (await http_post(url + LOCK_PATH, body, wrong))[0] == 401
    for wrong in (headers(now=now - 61 * 10**9), {**headers(), "X-Timestamp": "soon"}):
        assert (await http_post(url + LOCK_PATH, body, wrong))[0] == 400
    assert promises.nodes_of(7) == []
    assert (await http_post(url + LOCK_PATH, body, headers()))[0] == 200


async def test_a_body_of_another_shape_is_named(url: str, http_post: Any) -> None:
    body = b'{"training_task_id": 0, "node_ids": ["a"]}'
    words = partial(training_sign_bytes, CHAIN_ID, HOST.address, LOCK_PATH, body)
    headers = signed_headers(ASSIGNER, words, time.time_ns())
    status, said = await http_post(url + LOCK_PATH, body, headers)
    assert (status, "training_task_id" in said) == (400, True)
