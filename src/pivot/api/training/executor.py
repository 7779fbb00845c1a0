"""A host's part in runs: its nodes begin when a task to which they are promised is assigned, and their end is reported.

Nodes train while the network serves. When a sprint begins they leave, and for this host the run is over: weight comes first.
"""

import logging
from collections.abc import Sequence

from pydantic import ValidationError

from pivot.api.each_moment import EachMoment
from pivot.api.fleet.hardware import known_nodes
from pivot.api.fleet.interface import Fleet, FleetNode
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.duties import Stage, stage_at
from pivot.api.settings import ApiSettings
from pivot.api.training import tasks
from pivot.api.training.promises import Promises
from pivot.api.training.tokens import Place, store_token
from pivot.api.urls import UnsafeUrl, url_of
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskStatus
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgFinishTrainingTask
from pivot.protocol.mlnode_api import TrainStart

LOOK_BLOCKS = 5
"""Between two looks at the chain's tasks."""
QUIET_DIVISOR = 2
"""A node that gave no sign of life for half of the time after which the chain takes it for dead has ended, too."""
REPORT_BLOCKS = 100
"""A report that is in no block after so many is given up: silence says the same."""

log = logging.getLogger(__name__)


class CannotTrain(Exception):
    """A node of this host cannot take part in a run; the sentence says why."""


class TrainingExecutor:
    """Begins, watches and reports the trainings of this host's nodes."""

    def __init__(
        self,
        settings: ApiSettings,
        secret: str,
        address: str,
        chain: Chain,
        outbox: Outbox,
        fleet: Fleet,
        phases: Phases,
        promises: Promises,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._fleet = fleet
        self._promises = promises
        self._looked_at = -LOOK_BLOCKS
        self._unreported: set[int] = set()
        """Tasks that have ended here, and of which the chain is not told yet."""
        self._steps = EachMoment("training executor", phases, self.step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()

    async def step(self, moment: Moment) -> None:
        """Do what is due at this block. Raises LedgerError."""
        height = moment.head.height
        self._promises.lapse(height)
        leaving = stage_at(moment) is not Stage.SERVING
        if leaving:
            for task_id in self._promises.trainings():
                self._end_here(task_id, "the sprint begins")
        if height < self._looked_at + LOOK_BLOCKS:
            return
        self._looked_at = height
        own = {task.id: task for task in await tasks.in_progress(self._chain) if self._has_part(task)}
        for task_id in self._promises.trainings() - own.keys():
            self._end_here(task_id, "the chain has ended it")
        if not leaving:
            for task in own.values():
                await self._take_part(task)
        silence = moment.effective.params.training_params.heartbeat_blocks // QUIET_DIVISOR
        await self._report(own, height, quiet_since=height - silence)

    def _has_part(self, task: TrainingTask) -> bool:
        return any(each.participant == self._address for each in task.assignees)

    async def _take_part(self, task: TrainingTask) -> None:
        """Begin a task on the nodes that are promised to it, or see how far they are."""
        promised = self._promises.nodes_of(task.id)
        assigned = {node_id for participant, node_id in tasks.places(task) if participant == self._address}
        nodes = [node for node in self._fleet.nodes() if node.id in promised and node.id in assigned]
        if not nodes:
            return
        waiting = [node for node in nodes if self._promises.training_of(node.id) is None]
        if waiting:
            await self._begin(task, waiting)
        elif all(_has_ended(node, task.id) for node in nodes):
            self._end_here(task.id, ", ".join(_how_it_ended(node) for node in nodes))

    async def _begin(self, task: TrainingTask, nodes: Sequence[FleetNode]) -> None:
        try:
            starts = {node.id: await self._start_of(task, node.id) for node in nodes}
        except CannotTrain as error:
            log.warning("this host takes no part in training task %d: %s", task.id, error)
            self._promises.release(task.id)
            return
        for node_id, start in starts.items():
            self._promises.begin(node_id, start)
        log.info("training task %d begins on %s", task.id, ", ".join(starts))
        self._fleet.reconsider()

    async def _start_of(self, task: TrainingTask, node_id: str) -> TrainStart:
        """What an ML node is told. Raises CannotTrain, LedgerError."""
        places = list(tasks.places(task))
        rank = places.index((self._address, node_id))
        place = Place(task.id, f"{self._address}/{node_id}")
        training = self._settings.training
        try:
            return TrainStart(
                train_config={
                    "project": f"training-task-{task.id}",
                    "datasets": {"train": task.config.datasets.train, "test": task.config.datasets.test},
                    "num_uoc_estimation_steps": task.config.num_uoc_estimation_steps,
                },
                train_env={
                    "TASK_ID": str(task.id),
                    "NODE_ID": place.node_id,
                    "STORE_API_URL": training.store_url,
                    "STORE_TOKEN": store_token(self._secret, place),
                    "GLOBAL_ADDR": await self._machine_of(*places[0]),
                    "GLOBAL_PORT": str(training.peer_port),
                    "GLOBAL_RANK": str(rank),
                    "GLOBAL_UNIQUE_ID": str(rank),
                    "GLOBAL_WORLD_SIZE": str(len(places)),
                    "BASE_PORT": str(training.base_port),
                },
            )
        except ValidationError as error:
            raise CannotTrain(f"node {node_id!r}: {error.errors()[0]['msg']}") from None

    async def _machine_of(self, participant: str, node_id: str) -> str:
        """Where rank 0 listens: its machine, as its host has declared it. Raises CannotTrain, LedgerError."""
        declared = [node.host for node in await known_nodes(self._chain, participant) if node.local_id == node_id]
        if not declared:
            raise CannotTrain(f"the chain knows no machine of rank 0, {participant}/{node_id}")
        address = declared[0] if "://" in declared[0] else f"http://{declared[0]}"
        allowed = self._settings.api.allow_private_urls or participant == self._address
        try:
            return url_of(address, "", allow_private=allowed).raw_host or ""  # as it was read when it was judged
        except UnsafeUrl as error:
            raise CannotTrain(f"rank 0: {error}") from None

    def _end_here(self, task_id: int, why: str) -> None:
        log.info("training task %d ends here: %s", task_id, why)
        self._promises.release(task_id)
        self._unreported.add(task_id)
        self._fleet.reconsider()

    async def _report(self, own: dict[int, TrainingTask], height: int, *, quiet_since: int) -> None:
        """Tell the chain that this host's nodes are done.

        The word of who has assigned or asked for a task ends it for all, so such a host waits until the others are done, or
        quiet: two such hosts would wait for each other.
        """
        for task_id in sorted(self._unreported):
            task = own.get(task_id)
            if task is None or task.status != TrainingTaskStatus.TRAINING_RUNNING:
                self._unreported.discard(task_id)
                continue
            ends_for_all = self._address in {task.assigner, task.requested_by}
            if ends_for_all and await self._others_work(task_id, quiet_since):
                continue
            report = MsgFinishTrainingTask(creator=self._address, task_id=task_id)
            await self._outbox.put(f"training-end:{task_id}", report, deadline_height=height + REPORT_BLOCKS)
            self._unreported.discard(task_id)

    async def _others_work(self, task_id: int, quiet_since: int) -> bool:
        """Whether a node of another host has given a sign of life lately, and is not done."""
        alive, joined = await tasks.run_nodes(self._chain, task_id)
        others = [joined[node_id] for node_id in alive if not node_id.startswith(f"{self._address}/")]
        return any(node.last_seen_block_height > quiet_since for node in others)


def _has_ended(node: FleetNode, task_id: int) -> bool:
    """Whether the node's job of this task has ended by itself."""
    training = node.training
    return (
        training is not None
        and not training.status
        and training.task_id == str(task_id)
        and training.exit_code is not None
    )


def _how_it_ended(node: FleetNode) -> str:
    training = node.training
    if training is None or training.exit_code == 0:
        return f"{node.id} has finished"
    return f"{node.id} failed with exit code {training.exit_code}: {training.last_line or 'it wrote nothing'}"
