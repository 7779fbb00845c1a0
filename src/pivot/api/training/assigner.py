"""Choosing nodes for tasks that wait: this host claims one, asks the hosts of suitable nodes, and assigns those that agree.

Every member may do so; the chain lets one at a time try, and another when its time has passed.
"""

import asyncio
import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.each_moment import EachMoment
from pivot.api.http.errors import ApiError
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.duties import Stage, stage_at
from pivot.api.training import tasks
from pivot.api.training.choice import Candidate, choose
from pivot.api.training.hosts import Hosts, Locking, LockNodes
from pivot.protocol.generated.inference.inference.params_pb2 import TrainingParams
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryHardwareNodesAllRequest,
    QueryHardwareNodesAllResponse,
)
from pivot.protocol.generated.inference.inference.training_pb2 import TrainingTask, TrainingTaskAssignee
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgAssignTrainingTask,
    MsgClaimTrainingTaskForAssignment,
)
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode, HardwareNodes, HardwareNodeStatus

LOOK_NS = 10 * 10**9
"""Block time between two looks at the queue."""
OUTCOME_SECONDS = 20.0
SEND_BLOCKS = 50
MAX_ROUNDS = 3
"""How often a choice is made anew when hosts do not agree, before the next look."""
PAGE_LENGTH = 256
MAX_PAGES = 100

log = logging.getLogger(__name__)


class Assigner:
    """A host as assigner."""

    def __init__(
        self, address: str, chain: Chain, outbox: Outbox, phases: Phases, locking: Locking, hosts: Hosts
    ) -> None:
        self._address = address
        self._chain = chain
        self._outbox = outbox
        self._locking = locking
        self._hosts = hosts
        self._looked_at_ns = -LOOK_NS
        self._steps = EachMoment("training assigner", phases, self.step)

    async def start(self) -> None:
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()
        await self._hosts.close()

    async def step(self, moment: Moment) -> None:
        """Take one task further, if any waits. Raises LedgerError."""
        if stage_at(moment) is not Stage.SERVING or moment.head.time_ns < self._looked_at_ns + LOOK_NS:
            return
        self._looked_at_ns = moment.head.time_ns
        waiting = await tasks.queued(self._chain)
        if not waiting:
            return
        members = await self._members(moment)
        if self._address not in members:
            return
        task = next((task for task in waiting if self._is_own(task, moment)), None)
        if task is None:
            claimable = [task for task in waiting if self._may_claim(task, moment)]
            task = secrets.choice(claimable) if claimable else None
            if task is None or not await self._claim(task, moment):
                return
        await self._assign(task, members, moment)

    def _is_own(self, task: TrainingTask, moment: Moment) -> bool:
        """Whether this host has claimed the task, and still has time."""
        ends = task.claimed_by_assigner_at_block_height + _rules(moment).assignment_blocks
        return task.assigner == self._address and moment.head.height < ends

    def _may_claim(self, task: TrainingTask, moment: Moment) -> bool:
        turns = 2 if task.assigner == self._address else 1
        free_at = task.claimed_by_assigner_at_block_height + turns * _rules(moment).assignment_blocks
        return not task.assigner or moment.head.height >= free_at

    async def _claim(self, task: TrainingTask, moment: Moment) -> bool:
        message = MsgClaimTrainingTaskForAssignment(creator=self._address, task_id=task.id)
        height = moment.head.height
        key = f"training-claim:{task.id}:{height}"
        await self._outbox.put(key, message, deadline_height=height + SEND_BLOCKS)
        outcome = await self._outbox.wait(key, OUTCOME_SECONDS)
        if outcome is None or not outcome.accepted:
            log.info("training task %d is not claimed: %s", task.id, outcome.log if outcome else "")
            return False
        return True

    async def _assign(self, task: TrainingTask, members: Mapping[str, int], moment: Moment) -> None:
        """Find nodes whose hosts agree, and assign them."""
        wanted = {each.type: each.count for each in task.hardware_resources}
        candidates = await self._candidates(members)
        for _ in range(MAX_ROUNDS):
            chosen = choose(wanted, candidates)
            if chosen is None:
                log.info("training task %d: no nodes have %s", task.id, wanted)
                return
            refusing = await self._ask(task.id, chosen)
            if not refusing:
                break
            candidates = [each for each in candidates if each.participant not in refusing]
        else:
            return
        message = MsgAssignTrainingTask(creator=self._address, task_id=task.id, assignees=_assignees(chosen))
        height = moment.head.height
        key = f"training-assignment:{task.id}:{height}"
        await self._outbox.put(key, message, deadline_height=height + SEND_BLOCKS)
        outcome = await self._outbox.wait(key, OUTCOME_SECONDS)
        if outcome is None or not outcome.accepted:
            log.warning("training task %d is not assigned: %s", task.id, outcome.log if outcome else "")

    async def _ask(self, task_id: int, chosen: Sequence[Candidate]) -> set[str]:
        """Ask the hosts of chosen nodes, all at once: one that is slow takes nobody else's time. Returns those that do not agree."""
        nodes = _by_host(chosen)
        answers = await asyncio.gather(*(self._agrees(task_id, host, node_ids) for host, node_ids in nodes.items()))
        return {host for host, agrees in zip(nodes, answers, strict=True) if not agrees}

    async def _agrees(self, task_id: int, host: str, node_ids: list[str]) -> bool:
        try:
            if host == self._address:
                await self._locking.lock(host, LockNodes(training_task_id=task_id, node_ids=node_ids))
            else:
                await self._hosts.lock(host, task_id, node_ids)
        except (NotAnswered, ApiError) as error:
            log.info("training task %d: %s", task_id, error)
            return False
        return True

    async def _candidates(self, members: Mapping[str, int]) -> list[Candidate]:
        """Nodes of members that serve."""
        assigned = {place for task in await tasks.in_progress(self._chain) for place in tasks.places(task)}
        return [
            Candidate(
                host.participant,
                node.local_id,
                members[host.participant],
                _hardware(node),
                assigned=(host.participant, node.local_id) in assigned,
            )
            for host in await self._all_hardware()
            if host.participant in members
            for node in host.hardware_nodes
            if node.status == HardwareNodeStatus.INFERENCE
        ]

    async def _all_hardware(self) -> list[HardwareNodes]:
        request, found = QueryHardwareNodesAllRequest(), list[HardwareNodes]()
        request.pagination.limit = PAGE_LENGTH
        for _ in range(MAX_PAGES):
            path = f"{tasks.SERVICE}/HardwareNodesAll"
            answer = await self._chain.query(path, request, QueryHardwareNodesAllResponse)
            found += answer.nodes
            request.pagination.key = answer.pagination.next_key
            if not answer.pagination.next_key:
                break
        return found

    async def _members(self, moment: Moment) -> dict[str, int]:
        """Weight of each member of the present epoch."""
        found = await self._chain.epoch_group(moment.effective.index)
        return {each.member_address: each.weight for each in found.validation_weights} if found else {}


def _rules(moment: Moment) -> TrainingParams:
    return moment.effective.params.training_params


def _hardware(node: HardwareNode) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in node.hardware:
        found[each.type] += each.count
    return found


def _by_host(chosen: Sequence[Candidate]) -> dict[str, list[str]]:
    nodes: dict[str, list[str]] = defaultdict(list)
    for each in chosen:
        nodes[each.participant].append(each.node_id)
    return {host: sorted(node_ids) for host, node_ids in sorted(nodes.items())}


def _assignees(chosen: Sequence[Candidate]) -> list[TrainingTaskAssignee]:
    return [TrainingTaskAssignee(participant=host, node_ids=ids) for host, ids in _by_host(chosen).items()]
