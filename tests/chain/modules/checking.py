"""A small network whose answers are checked: answers in segments, elements, reports and votes, with all books kept."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pivot.chain.errors import Rejection
from pivot.chain.modules.bank.invariants import check_supply
from pivot.chain.modules.bank.state import REWARDS, balance, put_genesis_balance
from pivot.chain.modules.disputes import messages as disputes_messages
from pivot.chain.modules.disputes.invariants import check_disputes
from pivot.chain.modules.disputes.state import dispute
from pivot.chain.modules.disputes.voting import close_due
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.inferences import messages as inferences_messages
from pivot.chain.modules.inferences.invariants import check_escrow, check_records, check_shares
from pivot.chain.modules.inferences.state import inference
from pivot.chain.modules.participants import state as participants
from pivot.chain.modules.randomness.state import chain, commit_tip
from pivot.chain.modules.rewards import messages as rewards_messages
from pivot.chain.modules.rewards import settlement
from pivot.chain.modules.rewards.state import settle_amount, stats_of
from pivot.chain.modules.status.invariants import check_standings
from pivot.chain.modules.status.state import release_due
from pivot.chain.modules.validation import messages as validation_messages
from pivot.chain.modules.validation.invariants import check_duties, check_segments
from pivot.chain.modules.validation.state import duties
from pivot.chain.types import Block, View
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference.params_pb2 import Decimal, Params
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    ItemResult,
    MsgClaimRewards,
    MsgRevealElement,
    MsgSubmitValidations,
    MsgVoteDisputes,
)
from pivot.protocol.generated.inference.inference.types_pb2 import (
    AnswerVerdict,
    CheckerDuties,
    Dispute,
    DisputeVote,
    Inference,
    ParticipantStatus,
    ValidationReport,
)
from pivot.protocol.hash_chain import element, tip
from pivot.protocol.parameters import preset_params
from tests.chain.chain import CHAIN_ID, key, next_block
from tests.chain.modules.network import secret
from tests.chain.requests import (
    DEVELOPER,
    EPOCH,
    HOSTS,
    PRICE,
    add_epoch,
    executors,
    gateway,
    make_finish,
    make_start,
    network,
)

COST = (15 + 30) * PRICE
PASSED, FAILED, WITHHELD = AnswerVerdict.ANSWER_PASSED, AnswerVerdict.ANSWER_FAILED, AnswerVerdict.ANSWER_WITHHELD
_HANDLERS = {
    handler.type: handler
    for handler in (
        *inferences_messages.MESSAGES,
        *validation_messages.MESSAGES,
        *disputes_messages.MESSAGES,
        *rewards_messages.MESSAGES,
    )
}


def checking_params(**limits: Any) -> Params:
    """Everybody checks every answer of others, and no duty may be missing. limits: of validation_params."""
    params = preset_params("test")
    part = params.validation_params
    part.max_validation_average.CopyFrom(Decimal(value=100))
    part.missing_duties_allowed.CopyFrom(Decimal(value=0))
    for name, value in limits.items():
        if isinstance(value, Decimal):
            getattr(part, name).CopyFrom(value)
        else:
            setattr(part, name, value)
    return params


class Checking:
    """Blocks of a network in epoch 1, whose members all have a hash chain and serve one model."""

    def __init__(self, hosts: Mapping[str, int] | None = None, *, params: Params | None = None) -> None:
        self.hosts = dict(hosts or HOSTS)
        self.params = params or checking_params()
        self.block = network(self.hosts, params=self.params)
        self._requests = 0
        put_genesis_balance(self.block.state, REWARDS, 10**18)
        payers = [REWARDS, DEVELOPER.address, *(gateway(name).address for name in self.hosts)]
        total = sum(balance(self.block.state, address) for address in payers)
        self.block.state.set("bank", b"\x00ngonka", str(total).encode())
        self.commit(EPOCH)

    @property
    def state(self):
        return self.block.state

    @property
    def view(self) -> View:
        return View(self.state, CHAIN_ID, self.block.height, self.block.time)

    # Time

    def commit(self, epoch: int, hosts: Iterable[str] | None = None) -> None:
        """Let hosts have hash chains for an epoch."""
        for name in self.hosts if hosts is None else hosts:
            address = key(name).address
            commit_tip(self.state, epoch, address, tip(CHAIN_ID, epoch, address, secret(name)))

    def advance(self, height: int) -> Block:
        """End this block, and go to another."""
        close_due(self.block)
        release_due(self.block)
        self.check()
        self.block = next_block(self.block, height)
        return self.block

    def after_segment(self, segment: int) -> None:
        """Go to the first block after a segment of the epoch in force."""
        self.advance(segment_end(epochs.effective(self.state).boundaries, segment) + 1)

    def switch(self, hosts: Mapping[str, int] | None = None, **fields: Any) -> None:
        """Go to the first block in which the next epoch serves; the one before is settled."""
        ended = epochs.effective(self.state)
        self.advance(segment_end(ended.boundaries, SEGMENTS - 1))
        close_due(self.block)
        settlement.settle(self.block, ended)
        members = self.hosts if hosts is None else hosts
        add_epoch(self.block, ended.index + 1, ended.boundaries.next_poc_start, members, self.params, **fields)
        epochs.switch(self.block, ended.index + 1)
        self.commit(ended.index + 1, members)
        settlement.settle_some(self.block)
        self.advance(self.block.height + 1)

    def check(self) -> None:
        """All that must hold after every block."""
        for check in (
            check_supply,
            check_escrow,
            check_records,
            check_shares,
            check_segments,
            check_duties,
            check_disputes,
            check_standings,
        ):
            check(self.state)

    # Messages

    def deliver(self, message: Any) -> Any:
        """Check and run a message as a transaction does."""
        handler = _HANDLERS[type(message)]
        handler.check(message)
        assert handler.gas(message) > 0
        with self.block.frame():
            return handler.handle(self.block, message)

    def refused(self, message: Any) -> Rejection:
        """Why a message is refused; nothing may be left of it."""
        before = self.state.changes()
        with pytest.raises(Rejection) as refusal:
            self.deliver(message)
        assert self.state.changes() == before
        return refusal.value

    def answer(self, executor: str, **fields: Any) -> str:
        """A finished answer of this host; its id."""
        asked: dict[str, Any] = {"epoch": epochs.effective_index(self.state)}
        asked |= {name: fields.pop(name) for name in ("epoch", "developer") if name in fields}
        while True:
            self._requests += 1
            body = f"request {self._requests}".encode()
            asked |= {"body": body, "request_timestamp": self.block.time - self._requests}
            start = make_start(self.block, **asked)
            drawn = executors(self.block, start.inference_id, asked["epoch"])
            if key(executor).address in drawn:
                break
        start = make_start(self.block, attempt=drawn.index(key(executor).address), **asked)
        finish = make_finish(start, **fields)
        self.deliver(finish)
        return finish.inference_id

    def element(self, name: str, segment: int, epoch: int = EPOCH) -> bytes:
        return element(CHAIN_ID, epoch, key(name).address, secret(name), segment)

    def reveal(self, name: str, last: int, epoch: int = EPOCH) -> None:
        """Reveal a host's elements up to one segment, as far as they are not yet."""
        found = chain(self.state, epoch, key(name).address)
        assert found is not None
        for segment in range(found.revealed, last + 1):
            self.deliver(self.reveal_message(name, segment, epoch))

    def reveal_message(self, name: str, segment: int, epoch: int = EPOCH) -> MsgRevealElement:
        return MsgRevealElement(
            creator=key(name).address, epoch_index=epoch, segment=segment, element=self.element(name, segment, epoch)
        )

    def reports(
        self, name: str, segment: int, reports: Mapping[str, int], epoch: int = EPOCH, **fields: Any
    ) -> MsgSubmitValidations:
        """A host's message with verdicts by id."""
        return MsgSubmitValidations(
            **{
                "creator": key(name).address,
                "epoch_index": epoch,
                "segment": segment,
                "reports": [
                    ValidationReport(inference_id=each, verdict=verdict, value_e6=990_000)  # type: ignore[arg-type]
                    for each, verdict in reports.items()
                ],
                **fields,
            }
        )

    def report(self, name: str, segment: int, reports: Mapping[str, int], epoch: int = EPOCH) -> list[ItemResult]:
        """Reveal what is to be revealed, and report. Returns the items' results."""
        self.reveal(name, segment, epoch)
        return list(self.deliver(self.reports(name, segment, reports, epoch)).reports)

    def vote(self, name: str, inference_id: str, *, invalid: bool) -> ItemResult:
        votes = [DisputeVote(inference_id=inference_id, invalid=invalid)]
        result: ItemResult = self.deliver(MsgVoteDisputes(creator=key(name).address, votes=votes)).votes[0]
        return result

    def claim(self, name: str, epoch: int = EPOCH) -> int:
        amount: int = self.deliver(MsgClaimRewards(creator=key(name).address, epoch_index=epoch)).amount
        return amount

    # What is there

    def record(self, inference_id: str) -> Inference:
        found = inference(self.state, inference_id)
        assert found is not None
        return found

    def dispute(self, inference_id: str) -> Dispute:
        found = dispute(self.state, inference_id)
        assert found is not None
        return found

    def duties(self, name: str, epoch: int = EPOCH) -> CheckerDuties:
        return duties(self.state, epoch, key(name).address)

    def earned(self, epoch: int = EPOCH) -> dict[str, int]:
        """What hosts have earned in an epoch and not been paid."""
        found = {}
        for name in self.hosts:
            settled = settle_amount(self.state, epoch, key(name).address)
            work = settled.work_coins if settled else stats_of(self.state, epoch, key(name).address).earned_coins
            if work:
                found[name] = work
        return found

    def status(self, name: str) -> ParticipantStatus:
        return participants.require_participant(self.state, key(name).address).status

    def set_status(self, name: str, status: ParticipantStatus) -> None:
        record = participants.require_participant(self.state, key(name).address)
        record.status = status
        participants.put(self.state, record)

    def events(self, kind: str) -> list[dict[str, str]]:
        return [dict(event.attributes) for event in self.block.events if event.type == kind]
