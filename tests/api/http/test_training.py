"""Training on the public port: everybody reads, the host's own account asks, the assigner locks."""

import json
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pivot.api.between_hosts.signatures import Signatures, signed_headers
from pivot.api.http.errors import ApiError
from pivot.api.http.training import TASKS_PATH, Training
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.training.hosts import LOCK_PATH
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.training_pb2 import JoinTrainingRequest
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgCreateTrainingTask, MsgJoinTraining
from pivot.protocol.signing import training_sign_bytes
from tests.api.fleet.chain import CHAIN_ID, FakeOutbox, key
from tests.api.serving import serving
from tests.api.training.network import TrainingChain

HOST, STRANGER = key(1), key(2)
WANTED = {
    "hardware_resources": [{"type": "H100", "count": 8}],
    "config": {"datasets": {"train": "a", "test": "b"}, "num_uoc_estimation_steps": 3},
}


class Port:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self._url + path) as answer:
            return answer.status, await answer.json()

    async def ask(
        self, wanted: Any, signer: PrivateKey = HOST, path: str = TASKS_PATH, timestamp_ns: int = 0
    ) -> tuple[int, Any]:
        """Post a signed body."""
        body = json.dumps(wanted).encode()
        stamp = timestamp_ns or time.time_ns()
        headers = signed_headers(signer, partial(training_sign_bytes, CHAIN_ID, HOST.address, path, body), stamp)
        async with self._session.post(self._url + path, data=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
def chain() -> TrainingChain:
    chain = TrainingChain()
    chain.keys = {each.address: [each.public_key] for each in (HOST, STRANGER)}
    return chain


@pytest.fixture
def outbox(chain: TrainingChain) -> FakeOutbox:
    return FakeOutbox(on_put=chain.take)


@pytest.fixture
async def port(chain: TrainingChain, outbox: FakeOutbox) -> AsyncIterator[Port]:
    """Of a host that does not train itself."""
    app = FastAPI()
    app.include_router(Training(HOST.address, chain, outbox, Signatures(chain), BriefAnswers(), None).router)

    async def refused(_: Request, error: Exception) -> Response:
        refusal = cast(ApiError, error)
        return Response(refusal.body(), refusal.status, {"Content-Type": "application/json"})

    app.add_exception_handler(ApiError, refused)
    async with serving(app) as url, aiohttp.ClientSession() as session:
        yield Port(url, session)


async def test_tasks_are_shown_with_the_nodes_of_their_runs(port: Port, chain: TrainingChain) -> None:
    chain.assign(7, gonka1a=["n"])
    chain.take("", MsgJoinTraining(req=JoinTrainingRequest(node_id="gonka1a/n", run_id=7)))
    status, listed = await port.get(TASKS_PATH)
    assert (status, [task["id"] for task in listed["tasks"]]) == (200, [7])
    status, task = await port.get(f"{TASKS_PATH}/7")
    assert (status, task["status"], task["alive_nodes"]) == (200, "TRAINING_RUNNING", ["gonka1a/n"])
    assert task["nodes"][0]["node_id"] == "gonka1a/n"


@pytest.mark.parametrize("task_id", ["8", "0", "-1", str(2**70)])
async def test_a_task_that_is_not_there_is_404(port: Port, task_id: str) -> None:
    assert (await port.get(f"{TASKS_PATH}/{task_id}"))[0] == 404


async def test_the_hosts_own_account_asks_for_a_training(port: Port, chain: TrainingChain) -> None:
    status, answer = await port.ask(WANTED)
    assert (status, answer["status"], answer["task"]["id"]) == (201, "created", 1)
    [message] = chain.of_kind(MsgCreateTrainingTask)
    assert message.creator == HOST.address
    assert [(each.type, each.count) for each in message.hardware_resources] == [("H100", 8)]
    datasets = message.config.datasets
    assert (datasets.train, datasets.test, message.config.num_uoc_estimation_steps) == ("a", "b", 3)


async def test_a21_nobody_else_spends_the_hosts_deposit(port: Port, chain: TrainingChain) -> None:
    """The published route takes anybody's request, at the host's expense."""
    status, answer = await port.ask(WANTED, STRANGER)
    assert (status, "in its own name alone" in answer["error"]["message"]) == (403, True)
    chain.keys[HOST.address] = []
    assert (await port.ask(WANTED))[0] == 401
    assert chain.taken == []


async def test_a21_the_same_signed_request_again_makes_no_second_task(port: Port, chain: TrainingChain) -> None:
    now = time.time_ns()
    for stamp in (now, now, now + 1):
        assert (await port.ask(WANTED, timestamp_ns=stamp))[0] == 201
    assert len(chain.of_kind(MsgCreateTrainingTask)) == 2


async def test_a_task_that_the_chain_refuses_is_400_and_one_that_waits_202(
    port: Port, chain: TrainingChain, outbox: FakeOutbox
) -> None:
    chain.refusals = [1227]
    status, answer = await port.ask(WANTED)
    assert (status, answer["error"]["message"]) == (400, "the chain refused the task: refused")
    outbox.on_put = lambda _key, _message: None
    assert await port.ask(WANTED) == (202, {"status": "pending"})


async def test_a_task_that_was_assigned_at_once_is_created_all_the_same(
    port: Port, chain: TrainingChain, outbox: FakeOutbox
) -> None:
    outbox.on_put = lambda _key, _message: 0
    assert await port.ask(WANTED) == (201, {"status": "created", "task": None})


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "hardware_resources"),
        ({"hardware_resources": []}, "hardware_resources"),
        ({"hardware_resources": [{"type": "", "count": 1}]}, "hardware_resources.0.type"),
        ({"hardware_resources": [{"type": "a", "count": 0}]}, "hardware_resources.0.count"),
        ({**WANTED, "config": {"num_uoc_estimation_steps": -1}}, "config.num_uoc_estimation_steps"),
        ([], "body"),
    ],
)
async def test_a_body_of_another_shape_is_named(port: Port, chain: TrainingChain, wanted: Any, field: str) -> None:
    status, answer = await port.ask(wanted)
    assert (status, answer["error"]["message"].split(":")[0]) == (400, field)
    assert chain.taken == []


async def test_a_host_that_does_not_train_promises_nothing(port: Port) -> None:
    status, answer = await port.ask({"training_task_id": 7, "node_ids": ["n"]}, STRANGER, LOCK_PATH)
    assert (status, answer["error"]["message"]) == (403, "this host does not train")
