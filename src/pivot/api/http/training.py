"""Training on the public port: what the chain has of it, and what a host can be asked for, by whom it concerns alone."""

from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pivot.api.between_hosts.signatures import TIMESTAMP_HEADER, Signatures, Words
from pivot.api.http.body import read_body
from pivot.api.http.errors import BadRequest, MalformedBody, NotFound, NotPermitted
from pivot.api.http.plain import plain
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.training import tasks
from pivot.api.training.hosts import LOCK_PATH, Locking, LockNodes
from pivot.primitives.hashes import tagged_hash
from pivot.protocol.generated.inference.inference.training_pb2 import (
    TrainingConfig,
    TrainingDatasets,
    TrainingHardwareResources,
)
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgAssignTrainingTask, MsgCreateTrainingTask
from pivot.protocol.messages import type_url
from pivot.protocol.mlnode_api import MAX_EPOCH
from pivot.protocol.signing import training_sign_bytes

TASKS_PATH = "/v1/training/tasks"
MAX_BODY_BYTES = 65_536
MAX_TYPES = 16
MAX_COUNT = 10_000
CREATION_SECONDS = 20.0
MAX_UINT32 = 2**32 - 1

Body = TypeVar("Body", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HardwareResources(_Part):
    """Accelerators of one type."""

    type: Annotated[str, Field(min_length=1, max_length=256)]
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]


class Datasets(_Part):
    """Names of data sets, for the job to make something of."""

    train: Annotated[str, Field(max_length=512)] = ""
    test: Annotated[str, Field(max_length=512)] = ""


class Config(_Part):
    """What is to be trained."""

    datasets: Datasets = Datasets()
    num_uoc_estimation_steps: Annotated[int, Field(ge=0, le=MAX_UINT32)] = 0


class NewTask(_Part):
    """Body of `POST /v1/training/tasks`, in the published shape."""

    hardware_resources: Annotated[list[HardwareResources], Field(min_length=1, max_length=MAX_TYPES)]
    config: Config = Config()


class Training:
    """The routes under `/v1/training`."""

    def __init__(
        self,
        address: str,
        chain: Chain,
        outbox: Outbox,
        signatures: Signatures,
        answers: BriefAnswers,
        locking: Locking | None,
    ) -> None:
        """locking: None where this host does not train."""
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._signatures = signatures
        self._answers = answers
        self._locking = locking
        self.router = APIRouter()
        self.router.add_api_route(TASKS_PATH, self.everything)
        self.router.add_api_route(TASKS_PATH + "/{task_id}", self.one)
        for path, route, body in ((TASKS_PATH, self.create, NewTask), (LOCK_PATH, self.lock, LockNodes)):
            shape = {"requestBody": {"content": {"application/json": {"schema": body.model_json_schema()}}}}
            self.router.add_api_route(path, route, methods=["POST"], openapi_extra=shape)

    async def everything(self) -> dict[str, Any]:
        """The training tasks that were asked for last, ended ones too as long as the chain keeps them, the newest first."""

        async def ask() -> dict[str, Any]:
            return {"tasks": [plain(task) for task in await tasks.newest(self._chain)]}

        return await self._answers.get("trainings", ask)

    async def one(self, task_id: int) -> dict[str, Any]:
        """A training task with its status and its nodes."""

        async def ask() -> dict[str, Any]:
            task = await tasks.find(self._chain, task_id) if 0 < task_id <= MAX_EPOCH else None
            if task is None:
                raise NotFound("Training task not found")
            alive, nodes = await tasks.run_nodes(self._chain, task_id)
            return {**plain(task), "alive_nodes": alive, "nodes": [plain(node) for node in nodes.values()]}

        return await self._answers.get(("training", task_id), ask)

    async def create(self, request: Request, response: Response) -> dict[str, Any]:
        """Ask for a training at this host's expense: signed by the host's own account, or by a key that may do so for it.

        Everybody else sends a MsgCreateTrainingTask of their own. The same signed request again changes nothing (A-21).
        """
        body = await read_body(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES)
        kind = type_url(MsgCreateTrainingTask)
        asker = await self._signatures.require(request.headers, self._words(TASKS_PATH, body), kind)
        if asker != self._address:
            raise NotPermitted(
                "this host asks for trainings in its own name alone; send a MsgCreateTrainingTask of your own"
            )
        wanted = _parsed(NewTask, body)
        message = MsgCreateTrainingTask(
            creator=self._address,
            hardware_resources=[
                TrainingHardwareResources(type=each.type, count=each.count) for each in wanted.hardware_resources
            ],
            config=TrainingConfig(
                datasets=TrainingDatasets(train=wanted.config.datasets.train, test=wanted.config.datasets.test),
                num_uoc_estimation_steps=wanted.config.num_uoc_estimation_steps,
            ),
        )
        stamp = request.headers[TIMESTAMP_HEADER].encode()
        key = f"training-task:{tagged_hash('pivot/training-task/1', stamp + body).hex()}"
        await self._outbox.put(key, message)
        outcome = await self._outbox.wait(key, CREATION_SECONDS)
        if outcome is None or not outcome.done:
            response.status_code = 202
            return {"status": "pending"}
        if outcome.code:
            raise BadRequest(f"the chain refused the task: {outcome.log}")
        response.status_code = 201
        return {"status": "created", "task": await self._made_at(outcome.height)}

    async def lock(self, request: Request) -> dict[str, Any]:
        """Promise nodes of this host to a task: signed by the member that has claimed it (A-21)."""
        body = await read_body(dict(request.scope["headers"]), request.receive, MAX_BODY_BYTES)
        if self._locking is None:
            raise NotPermitted("this host does not train")
        words, kind = self._words(LOCK_PATH, body), type_url(MsgAssignTrainingTask)
        asker = await self._signatures.require(request.headers, words, kind)
        wanted = _parsed(LockNodes, body)
        await self._locking.lock(asker, wanted)
        return {"node_ids": wanted.node_ids}

    def _words(self, path: str, body: bytes) -> Words:
        return partial(training_sign_bytes, self._chain.chain_id, self._address, path, body)

    async def _made_at(self, height: int) -> dict[str, Any] | None:
        """The host's task of a block; None if it is in the queue no longer."""
        for task in reversed(await tasks.queued(self._chain)):
            if task.requested_by == self._address and task.created_at_block_height == height:
                return plain(task)
        return None


def _parsed(kind: type[Body], body: bytes) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise MalformedBody(f"{field or 'body'}: {first['msg']}", param=field or None) from None
