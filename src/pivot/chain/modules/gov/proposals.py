"""A proposal's life: deposits, a vote, and what follows from it. Time is that of the block.

deposit period ──▶ voting period ──▶ passed (its messages have run), failed (one was refused) or rejected
      └▶ dropped        └▶ an expedited proposal that does not pass goes on as a normal one, with the votes that it has
"""

from collections.abc import Sequence
from itertools import islice

from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1.gov_pb2 import Params, Proposal
from google.protobuf.any_pb2 import Any as AnyMessage

from pivot.chain.errors import Rejection
from pivot.chain.handlers import MessageTable
from pivot.chain.modules.bank.state import COMMUNITY_POOL
from pivot.chain.modules.gov import deposits
from pivot.chain.modules.gov.state import (
    DEPOSIT_ENDS,
    VOTING_ENDS,
    Clearing,
    await_end,
    await_no_more,
    ended,
    forget_proposal,
    next_id,
    params,
    put_clearing,
    put_next_id,
    put_proposal,
    require_proposal,
)
from pivot.chain.modules.gov.tally import Outcome, count, outcome
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.decimals import parse
from pivot.protocol.governance import seconds
from pivot.protocol.transactions import NANOSECONDS, nanoseconds, timestamp

DECIDED_PER_BLOCK = 20
"""Votes that one block counts; what is left follows in the next, and no later vote counts for it."""
DROPPED_PER_BLOCK = 100
NOTHING_COUNTED = gov.TallyResult(yes_count="0", abstain_count="0", no_count="0", no_with_veto_count="0")
"""The final result of a vote that is not over, as every Cosmos chain shows it."""


def submit(block: Block, record: Proposal) -> Proposal:
    """Write a new proposal down, which then waits for deposits. record: its contents alone. Returns it with its id."""
    record.id = next_id(block.state)
    put_next_id(block.state, record.id + 1)
    record.status = gov.PROPOSAL_STATUS_DEPOSIT_PERIOD
    record.final_tally_result.CopyFrom(NOTHING_COUNTED)
    ends = block.time + seconds(params(block.state).max_deposit_period) * NANOSECONDS
    record.submit_time.CopyFrom(timestamp(block.time))
    record.deposit_end_time.CopyFrom(timestamp(ends))
    put_proposal(block.state, record)
    await_end(block.state, DEPOSIT_ENDS, ends, record.id)
    carried = "".join(f",{packed.type_url}" for packed in record.messages)
    block.emit("submit_proposal", proposal_id=record.id, proposal_messages=carried)
    return record


def is_open(record: Proposal, time_ns: int) -> bool:
    """Whether deposits, and votes if its voting period has begun, still count. At the end of a period they do not."""
    if record.status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD:
        return time_ns < nanoseconds(record.deposit_end_time)
    return record.status == gov.PROPOSAL_STATUS_VOTING_PERIOD and time_ns < nanoseconds(record.voting_end_time)


def min_deposit(rules: Params, *, expedited: bool) -> int:
    """ngonka with which a proposal comes to a vote."""
    return deposits.amount_of(rules.expedited_min_deposit if expedited else rules.min_deposit)


def back(block: Block, record: Proposal, depositor: str, amount: int) -> bool:
    """Put coins down for a proposal. True if its voting period begins by it. Raises SdkError (INSUFFICIENT_FUNDS)."""
    deposits.put_down(block, record.id, depositor, amount)
    together = deposits.amount_of(record.total_deposit) + amount
    del record.total_deposit[:]
    record.total_deposit.extend(deposits.coins_of(together))
    rules = params(block.state)
    begins = record.status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD and together >= min_deposit(
        rules, expedited=record.expedited
    )
    if begins:
        _begin_voting(block, record, rules)
    put_proposal(block.state, record)
    block.emit("proposal_deposit", depositor=depositor, amount=f"{amount}{BASE_DENOM}", proposal_id=record.id)
    return begins


def cancel(block: Block, record: Proposal) -> None:
    """Delete a proposal that is open; a share of its deposits is kept."""
    if record.status == gov.PROPOSAL_STATUS_DEPOSIT_PERIOD:
        await_no_more(block.state, DEPOSIT_ENDS, nanoseconds(record.deposit_end_time), record.id)
    else:
        await_no_more(block.state, VOTING_ENDS, nanoseconds(record.voting_end_time), record.id)
    forget_proposal(block.state, record.id)
    rules = params(block.state)
    kept = parse(rules.proposal_cancel_ratio)
    put_clearing(block.state, Clearing(record.id, kept, rules.proposal_cancel_dest or COMMUNITY_POOL))


def process_ended(block: Block, governed: MessageTable) -> None:
    """At the end of a block: drop what nobody backed, decide what was voted on, clear what is over.

    governed: the messages that a proposal may carry.
    """
    for proposal_id in list(islice(ended(block.state, DEPOSIT_ENDS, block.time), DROPPED_PER_BLOCK)):
        _drop(block, require_proposal(block.state, proposal_id))
    for proposal_id in list(islice(ended(block.state, VOTING_ENDS, block.time), DECIDED_PER_BLOCK)):
        _decide(block, require_proposal(block.state, proposal_id), governed)
    deposits.clear_some(block)


def _begin_voting(block: Block, record: Proposal, rules: Params) -> None:
    period = rules.expedited_voting_period if record.expedited else rules.voting_period
    ends = block.time + seconds(period) * NANOSECONDS
    await_no_more(block.state, DEPOSIT_ENDS, nanoseconds(record.deposit_end_time), record.id)
    await_end(block.state, VOTING_ENDS, ends, record.id)
    record.status = gov.PROPOSAL_STATUS_VOTING_PERIOD
    record.voting_start_time.CopyFrom(timestamp(block.time))
    record.voting_end_time.CopyFrom(timestamp(ends))


def _drop(block: Block, record: Proposal) -> None:
    """Nobody has put enough coins down for it in time."""
    await_no_more(block.state, DEPOSIT_ENDS, nanoseconds(record.deposit_end_time), record.id)
    forget_proposal(block.state, record.id)
    if params(block.state).burn_proposal_deposit_prevote:
        deposits.burn(block, record.id)
    else:
        deposits.give_back(block, record.id)
    block.emit("inactive_proposal", proposal_id=record.id, proposal_result="proposal_dropped")


def _decide(block: Block, record: Proposal, governed: MessageTable) -> None:
    """Count the votes, and do what has been decided."""
    await_no_more(block.state, VOTING_ENDS, nanoseconds(record.voting_end_time), record.id)
    rules = params(block.state)
    tally = count(block.state, record.id)
    decided = outcome(tally, rules, expedited=record.expedited)
    if record.expedited and decided is not Outcome.PASSED:
        _go_on_as_normal(block, record, rules)
        return
    if _burns(rules, decided):
        deposits.burn(block, record.id)
    else:
        deposits.give_back(block, record.id)
    record.final_tally_result.CopyFrom(tally.published())
    if decided is not Outcome.PASSED:
        record.status = gov.PROPOSAL_STATUS_REJECTED
        result, told = "proposal_rejected", decided.value
    elif refusal := _run(block, record.messages, governed):
        record.status = gov.PROPOSAL_STATUS_FAILED
        record.failed_reason = refusal
        result, told = "proposal_failed", f"passed, but {refusal}"
    else:
        record.status = gov.PROPOSAL_STATUS_PASSED
        result, told = "proposal_passed", decided.value
    put_proposal(block.state, record)
    block.emit("active_proposal", proposal_id=record.id, proposal_result=result, proposal_log=told)


def _go_on_as_normal(block: Block, record: Proposal, rules: Params) -> None:
    """Give an expedited proposal the time of a normal one, from when its vote began."""
    ends = nanoseconds(record.voting_start_time) + seconds(rules.voting_period) * NANOSECONDS
    record.expedited = False
    record.voting_end_time.CopyFrom(timestamp(ends))
    await_end(block.state, VOTING_ENDS, ends, record.id)
    put_proposal(block.state, record)
    block.emit(
        "active_proposal",
        proposal_id=record.id,
        proposal_result="expedited_proposal_rejected",
        proposal_log="goes on as a normal proposal",
    )


def _burns(rules: Params, decided: Outcome) -> bool:
    return (decided is Outcome.NO_QUORUM and rules.burn_vote_quorum) or (
        decided is Outcome.VETOED and rules.burn_vote_veto
    )


def _run(block: Block, messages: Sequence[AnyMessage], governed: MessageTable) -> str:
    """Run the messages of a passed proposal, all or none. The sentence of the first that is refused, or nothing.

    Each is checked again: rules may have changed since it was proposed. The sentence becomes part of the state, in ASCII:
    versions of Python disagree on which other characters a quoted text can show.
    """
    done = 0
    try:
        with block.frame():
            for packed in messages:
                handler, message = governed.unpack(packed)
                handler.check(message)
                handler.handle(block, message)
                done += 1
    except Rejection as refusal:
        return f"message {done} is refused: {refusal.log}".encode("ascii", "backslashreplace").decode()
    return ""
