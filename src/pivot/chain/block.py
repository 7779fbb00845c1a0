"""One block, top to bottom, in the order in which the protocol happens."""

from collections.abc import Sequence

from google.protobuf.message import Message
from tendermint.abci.types_pb2 import ExecTxResult

from pivot.chain.ante import process_ante
from pivot.chain.errors import Rejection
from pivot.chain.modules.auth import state as auth
from pivot.chain.modules.authz import state as authz
from pivot.chain.modules.collateral import release as collateral
from pivot.chain.modules.disputes import state as disputes
from pivot.chain.modules.disputes import voting
from pivot.chain.modules.epochs import pruning as epoch_records
from pivot.chain.modules.epochs import state as epochs
from pivot.chain.modules.evidence import misbehaviour
from pivot.chain.modules.feegrant import state as feegrant
from pivot.chain.modules.gov import proposals
from pivot.chain.modules.inferences import lifetime as inferences
from pivot.chain.modules.members import formation as members
from pivot.chain.modules.members import state as groups
from pivot.chain.modules.params import state as params
from pivot.chain.modules.partial_upgrades import state as partial_upgrades
from pivot.chain.modules.participants import consensus_keys
from pivot.chain.modules.poc import state as poc
from pivot.chain.modules.poc import tally
from pivot.chain.modules.pricing.movement import move_prices
from pivot.chain.modules.randomness import state as randomness
from pivot.chain.modules.restrictions import state as restrictions
from pivot.chain.modules.rewards import settlement
from pivot.chain.modules.rewards import state as rewards
from pivot.chain.modules.slashing import liveness
from pivot.chain.modules.statistics import state as statistics
from pivot.chain.modules.status import state as status
from pivot.chain.modules.streamvesting import release as vested_pay
from pivot.chain.modules.training import lifetime as training
from pivot.chain.modules.upgrade import state as upgrade
from pivot.chain.modules.validation import state as validation
from pivot.chain.modules.validators import state as validators
from pivot.chain.registry import GOVERNED
from pivot.chain.results import accepted, rejected
from pivot.chain.signatures import Signatures
from pivot.chain.transaction import Call, Transaction
from pivot.chain.types import Block, Event
from pivot.protocol.messages import type_url


def process_block(
    block: Block, transactions: Sequence[Transaction | Rejection], signatures: Signatures
) -> list[ExecTxResult]:
    """Make the block: its state, events and validator updates. Returns one result per transaction.

    A transaction that could not be decoded comes as the Rejection that says why.
    """
    begin_block(block)
    _mark_events(block, 0, "BeginBlock")
    began = len(block.events)
    results = [process_transaction(block, transaction, signatures) for transaction in transactions]
    end_block(block)
    _mark_events(block, began, "EndBlock")
    return results


def begin_block(block: Block) -> None:
    """What happens before the first transaction."""
    upgrade.begin(block)
    params.note_block_time(block.state, block.time)
    auth.forget_expired_nonces(block.state, block.time)
    authz.forget_expired(block.state, block.time)
    feegrant.forget_expired(block.state, block.time)
    validators.note_signatures(block)
    liveness.note_votes(block)
    misbehaviour.note_misbehaviours(block)
    if epochs.sprint_begins(block.state, block.height):
        epochs.begin(block, randomness.frozen(block.state))


def end_block(block: Block) -> None:
    """What happens after the last transaction."""
    proposals.process_ended(block, GOVERNED)
    inferences.expire_due(block)
    voting.close_due(block)
    training.look_after_due(block)

    serving, upcoming = epochs.effective(block.state), epochs.latest(block.state)
    if block.height == serving.boundaries.randomness_freeze:
        randomness.freeze(block)
    if members.is_due(block, serving, upcoming):
        work = tally.earned(block.state, upcoming, after=members.tallied_to(block.state))
        members.form_some(block, upcoming, work)
    if upcoming.index > serving.index and block.height >= upcoming.boundaries.set_new_validators:
        settlement.settle(block, serving)
        epochs.switch(block, upcoming.index)
        vested_pay.begin(block, upcoming.index)
        validators.set_members(block, groups.electorate(block.state, upcoming.index))

    settlement.settle_some(block)
    status.release_due(block)
    if rewards.settlement(block.state) is None:
        vested_pay.release_some(block)
        collateral.release_some(block)
    restrictions.lift(block)
    move_prices(block)
    prune(block)
    validators.process_updates(block)


def prune(block: Block) -> None:
    """Delete some of what belongs to epochs past their time (W-24)."""
    disputes.prune(block)
    inferences.prune(block)
    statistics.prune(block)
    validation.prune(block)
    poc.prune(block)
    randomness.prune(block)
    groups.prune(block)
    consensus_keys.prune(block)
    partial_upgrades.prune(block)
    training.prune(block)
    epoch_records.prune(block)


def process_transaction(block: Block, transaction: Transaction | Rejection, signatures: Signatures) -> ExecTxResult:
    """Let one transaction in and run its messages, all or none. Its fee and its place are used up either way."""
    if isinstance(transaction, Rejection):
        return rejected(transaction)
    of_block, block.events = block.events, []
    try:
        process_ante(block, transaction, signatures)
        let_in = len(block.events)
        try:
            responses = process_messages(block, transaction)
        except Rejection as refusal:
            return rejected(refusal, transaction, block.events[:let_in])
        return accepted(transaction, responses, block.events)
    except Rejection as refusal:
        return rejected(refusal, transaction)
    finally:
        block.events = of_block


def process_messages(block: Block, transaction: Transaction) -> list[Message]:
    """Run a transaction's messages in one frame. Raises the Rejection of the first that is refused."""
    responses = []
    with block.frame():
        for position, call in enumerate(transaction.calls):
            emitted = len(block.events)
            block.events.append(_message_event(call))
            try:
                responses.append(call.handler.handle(block, call.message))
            except Rejection as refusal:
                refusal.log = f"failed to execute message; message index: {position}: {refusal.log}"
                raise
            index = (("msg_index", str(position)),)
            block.events[emitted:] = [Event(e.type, e.attributes + index) for e in block.events[emitted:]]
    return responses


def _mark_events(block: Block, first: int, mode: str) -> None:
    """Tell of the block's own events when they have happened, as clients expect it."""
    block.events[first:] = [Event(each.type, (*each.attributes, ("mode", mode))) for each in block.events[first:]]


def _message_event(call: Call) -> Event:
    """What clients search transactions by: the message's type, its first signer, its module."""
    url = type_url(call.message)
    module = url.split(".")[1]
    return Event("message", (("action", url), ("sender", call.signers[0]), ("module", module)))
