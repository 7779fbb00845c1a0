"""The host as checker: checks those hosts for which it was drawn, and votes on all of them at once.

First the hash of the votes, in the first half of the validation window, then the votes: nobody copies.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from functools import partial

from pivot.api.between_hosts.client import NotAnswered
from pivot.api.database import Database
from pivot.api.each_moment import EachMoment
from pivot.api.fleet.interface import Fleet
from pivot.api.http.errors import ApiError
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Moment, Phases
from pivot.api.poc.commits import poc_duties
from pivot.api.poc.duties import Stage, stage_at
from pivot.api.poc.host_check import HostCheck
from pivot.api.poc.leaves_api import ServedLeaf
from pivot.api.poc.leaves_client import LeavesClient
from pivot.api.poc.leaves_service import LeavesService
from pivot.api.poc.records import keep_votes, votes_record
from pivot.api.settings import ApiSettings
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitPocVoteHash, MsgSubmitPocVotes
from pivot.protocol.generated.inference.inference.types_pb2 import EpochBoundaries, PocCommit
from pivot.protocol.mlnode_api import ValidateRequest
from pivot.protocol.poc import SALT_LENGTH, vote_hash
from pivot.protocol.sprint import SPRINT_PRESETS

MIN_MARGIN_BLOCKS = 2
MARGIN_DIVISOR = 5
"""The hash is sent this share of its window before the window ends, finished checks or not; by a host that comes in the midst of
it, this share of what it has left."""
USUAL_BLOCK_S = 1.0
"""Length of a block while it cannot be measured."""
NS_PER_S = 10**9

log = logging.getLogger(__name__)


class Checker:
    """The host as checker."""

    def __init__(
        self,
        database: Database,
        settings: ApiSettings,
        identity: Identity,
        chain: Chain,
        outbox: Outbox,
        fleet: Fleet,
        phases: Phases,
        own_leaves: LeavesService,
    ) -> None:
        self._database = database
        self._settings = settings
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._fleet = fleet
        self._own_leaves = own_leaves
        self._client: LeavesClient | None = None
        self._epoch = 0
        self._last_call = 0
        """The height at which the hash of the votes must be sent."""
        self._checks: dict[str, tuple[HostCheck, asyncio.Task[None]]] = {}
        """By the host checked."""
        self._ended = 0, 0
        """The tally of those that are no longer here."""
        self._complete = False
        """Whether the commits can no longer change."""
        self._steps = EachMoment("checker", phases, self._step)

    async def start(self) -> None:
        allow_private = self._settings.api.allow_private_urls
        self._client = LeavesClient(self._identity, self._chain, allow_private=allow_private)
        self._steps.start()

    async def close(self) -> None:
        await self._steps.close()
        await self._end_checks()
        if self._client:
            await self._client.close()

    @property
    def tally(self) -> tuple[int, int]:
        """How many hosts' commits this one was drawn to check in this sprint, or else the last, and how many checks are done."""
        if not self._checks:
            return self._ended
        return len(self._checks), sum(task.done() for _, task in self._checks.values())

    async def _step(self, moment: Moment) -> None:
        if stage_at(moment) is not Stage.CHECKING:
            await self._end_checks()
            return
        epoch, marks, height = moment.latest.index, moment.latest.boundaries, moment.head.height
        if epoch != self._epoch:
            await self._end_checks()
            self._epoch, self._complete, self._last_call = epoch, False, last_call(marks, height)
        votes = await votes_record(self._database, epoch)
        if votes is None and height < marks.poc_validation_reveal:
            await self._begin_checks(moment)
            if self._decided(height):
                votes = await self._decide(epoch)
        if votes is None:
            return
        if marks.poc_validation_start <= height < marks.poc_validation_reveal:
            await self._put_hash(votes, marks)
        if height >= marks.poc_validation_reveal:
            await self._put_votes(votes, marks)

    async def _begin_checks(self, moment: Moment) -> None:
        """A check for every commit that this host was drawn for, as soon as the chain has it."""
        if self._complete:
            return
        duties = await poc_duties(self._chain, self._epoch)
        for duty in duties:
            host = duty.commit.participant
            if self._identity.address in duty.checkers and host not in self._checks:
                check = self._check(duty.commit, moment)
                task = asyncio.create_task(check.run(), name=f"check-{host}")
                self._checks[host] = check, task
        self._complete = moment.head.height >= moment.latest.boundaries.poc_exchange_end

    def _check(self, commit: PocCommit, moment: Moment) -> HostCheck:
        params, marks = moment.latest.params.poc_params, moment.latest.boundaries
        host = commit.participant
        own = host == self._identity.address
        return HostCheck(
            commit,
            SPRINT_PRESETS[params.preset],
            params.sample_size,
            sprint_seed=moment.latest.sprint_seed,
            source=partial(self._leaves_of, host) if not own else self._leaves_of_own,
            recompute=partial(
                self._recompute, ends_at=asyncio.get_running_loop().time() + seconds_left(moment, self._last_call)
            ),
            late=moment.head.height > marks.poc_validation_start,
        )

    async def _leaves_of(self, host: str, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        if self._client is None:
            raise NotAnswered("the checker is not started")
        return await self._client.leaves(host, self._epoch, node_number, indices)

    async def _leaves_of_own(self, node_number: int, indices: Sequence[int]) -> list[ServedLeaf]:
        try:
            return await self._own_leaves.leaves(self._epoch, node_number, indices)
        except ApiError as error:
            raise NotAnswered(str(error)) from error

    async def _recompute(self, request: ValidateRequest, *, ends_at: float) -> list[int]:
        return await self._fleet.distances(request, timeout_s=max(0.0, ends_at - asyncio.get_running_loop().time()))

    def _decided(self, height: int) -> bool:
        """Whether every check is done, or the hash of the votes must go out now."""
        if not self._complete:
            return False
        return height >= self._last_call or all(task.done() for _, task in self._checks.values())

    async def _decide(self, epoch: int) -> MsgSubmitPocVotes | None:
        """Fix the votes; None when this host was drawn for nobody."""
        if not self._checks:
            return None
        votes = MsgSubmitPocVotes(
            creator=self._identity.address,
            epoch_index=epoch,
            votes=[self._checks[host][0].vote() for host in sorted(self._checks)],
            salt=secrets.token_bytes(SALT_LENGTH),
        )
        await keep_votes(self._database, votes)
        await self._end_checks()
        return votes

    async def _put_hash(self, votes: MsgSubmitPocVotes, marks: EpochBoundaries) -> None:
        digest = vote_hash(
            self._chain.chain_id, votes.epoch_index, self._identity.address, list(votes.votes), votes.salt
        )
        message = MsgSubmitPocVoteHash(creator=self._identity.address, epoch_index=votes.epoch_index, vote_hash=digest)
        await self._outbox.put(_hash_key(votes), message, deadline_height=marks.poc_validation_reveal)

    async def _put_votes(self, votes: MsgSubmitPocVotes, marks: EpochBoundaries) -> None:
        """Votes count only after their hash: who was away when it was to be sent keeps silent."""
        hash_sent = await self._outbox.outcome(_hash_key(votes))
        if hash_sent is not None and hash_sent.accepted:
            await self._outbox.put(f"poc-votes:{votes.epoch_index}", votes, deadline_height=marks.poc_validation_end)

    async def _end_checks(self) -> None:
        self._ended = self.tally
        checks, self._checks = self._checks, {}
        for _, task in checks.values():
            task.cancel()
        for host, (_, task) in checks.items():
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(outcome, Exception):
                log.error("the check of %s failed", host, exc_info=outcome)


def last_call(marks: EpochBoundaries, begun: int = 0) -> int:
    """The height at which the hash of the votes must be sent to be in its window, by a host whose checks begin at `begun`.

    Whoever comes as late as that still takes a block for its checks, if there is one.
    """
    end = marks.poc_validation_reveal
    left = end - max(marks.poc_validation_start, begun)
    return max(end - max(MIN_MARGIN_BLOCKS, left // MARGIN_DIVISOR), min(begun + 1, end - 1))


def seconds_left(moment: Moment, until: int) -> float:
    """Time until a height, at the pace of this epoch's blocks so far."""
    epoch = moment.latest
    blocks = moment.head.height - epoch.boundaries.poc_start
    passed_ns = moment.head.time_ns - epoch.created_time
    block_s = passed_ns / blocks / NS_PER_S if epoch.created_time and blocks > 0 < passed_ns else USUAL_BLOCK_S
    return max(0, until - moment.head.height) * block_s


def _hash_key(votes: MsgSubmitPocVotes) -> str:
    return f"poc-vote-hash:{votes.epoch_index}"
