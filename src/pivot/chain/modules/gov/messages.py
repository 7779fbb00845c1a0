"""MsgSubmitProposal, MsgDeposit, MsgVote, MsgVoteWeighted and MsgCancelProposal."""

from collections.abc import Sequence
from functools import partial

from cosmos.base.v1beta1.coin_pb2 import Coin
from cosmos.gov.v1 import gov_pb2 as gov
from cosmos.gov.v1.gov_pb2 import Proposal, Vote, WeightedVoteOption
from cosmos.gov.v1.tx_pb2 import (
    MsgCancelProposal,
    MsgCancelProposalResponse,
    MsgDeposit,
    MsgDepositResponse,
    MsgSubmitProposal,
    MsgSubmitProposalResponse,
    MsgVote,
    MsgVoteResponse,
    MsgVoteWeighted,
    MsgVoteWeightedResponse,
)

from pivot.chain.errors import GovCode, GovError
from pivot.chain.handlers import MessageHandler, MessageTable
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.messages import coin_amount
from pivot.chain.modules.epochs.state import effective_index
from pivot.chain.modules.gov.authority import AUTHORITY
from pivot.chain.modules.gov.proposals import back, cancel, is_open, min_deposit, submit
from pivot.chain.modules.gov.state import params, put_vote, require_proposal
from pivot.chain.modules.gov.tally import OPTIONS
from pivot.chain.modules.members.state import is_member
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM
from pivot.primitives.fixed_point import ONE, multiply_floor
from pivot.protocol.decimals import InvalidDecimal, parse, sdk_text
from pivot.protocol.messages import signers
from pivot.protocol.transactions import timestamp

MAX_MESSAGES = 16
"""Of one proposal."""
MAX_MESSAGE_BYTES = 65_536
"""Of all messages of one proposal together."""
MAX_TITLE_BYTES = 255
MAX_METADATA_BYTES = 255
"""Of a proposal, or a vote. It is meant to be a link."""
MAX_SUMMARY_BYTES = 10_200
GAS_OF_A_PROPOSAL = 50_000
"""Beside the gas of the messages that it carries."""
GAS_OF_A_DEPOSIT = 30_000
GAS_OF_A_VOTE = 15_000
WHOLE_WEIGHT = sdk_text(ONE)


def messages(governed: MessageTable) -> list[MessageHandler]:
    """The handlers of this module. governed: the messages that a proposal may carry."""
    return [
        MessageHandler(
            MsgSubmitProposal,
            _submit,
            gas=partial(_gas_of_proposal, governed),
            check=partial(_check_submit, governed),
        ),
        MessageHandler(MsgDeposit, _deposit, gas=lambda _: GAS_OF_A_DEPOSIT, check=_check_deposit),
        MessageHandler(MsgVote, _vote, gas=lambda _: GAS_OF_A_VOTE, check=_check_vote),
        MessageHandler(MsgVoteWeighted, _vote_weighted, gas=lambda _: GAS_OF_A_VOTE, check=_check_vote_weighted),
        MessageHandler(MsgCancelProposal, _cancel, gas=lambda _: GAS_OF_A_DEPOSIT, check=_check_cancel),
    ]


def _check_submit(governed: MessageTable, message: MsgSubmitProposal) -> None:
    check_address("proposer", message.proposer)
    _check_coins("initial_deposit", message.initial_deposit)
    if not message.title.strip() or not message.summary.strip():
        raise GovError(GovCode.INVALID_PROPOSAL, "title and summary must say what is proposed")
    _check_length("title", message.title, MAX_TITLE_BYTES, GovCode.INVALID_PROPOSAL)
    _check_length("summary", message.summary, MAX_SUMMARY_BYTES, GovCode.SUMMARY_TOO_LONG)
    _check_length("metadata", message.metadata, MAX_METADATA_BYTES, GovCode.METADATA_TOO_LONG)
    if len(message.messages) > MAX_MESSAGES:
        raise GovError(GovCode.INVALID_PROPOSAL, f"messages: {MAX_MESSAGES} at most, not {len(message.messages)}")
    if sum(packed.ByteSize() for packed in message.messages) > MAX_MESSAGE_BYTES:
        raise GovError(GovCode.INVALID_PROPOSAL, f"messages: {MAX_MESSAGE_BYTES} bytes at most together")
    for packed in message.messages:
        if governed.find(packed.type_url) is None:
            raise GovError(GovCode.UNROUTABLE_MESSAGE, f"messages: no proposal can carry {packed.type_url[:200]!r}")
        handler, inner = governed.unpack(packed)
        if signers(inner) != [AUTHORITY]:
            raise GovError(
                GovCode.INVALID_SIGNER, f"messages: the signer of {packed.type_url} must be governance, {AUTHORITY}"
            )
        handler.check(inner)


def _gas_of_proposal(governed: MessageTable, message: MsgSubmitProposal) -> int:
    carried = (governed.unpack(packed) for packed in message.messages)
    return GAS_OF_A_PROPOSAL + sum(handler.gas(inner) for handler, inner in carried)


def _submit(block: Block, message: MsgSubmitProposal) -> MsgSubmitProposalResponse:
    """Write a proposal down with its first deposit. Raises GovError (DEPOSIT_TOO_SMALL), SdkError (INSUFFICIENT_FUNDS)."""
    rules = params(block.state)
    wanted = min_deposit(rules, expedited=message.expedited)
    least = -(-wanted * parse(rules.min_initial_deposit_ratio) // ONE)
    amount = coin_amount(message.initial_deposit) if message.initial_deposit else 0
    if amount < least:
        raise GovError(
            GovCode.DEPOSIT_TOO_SMALL,
            f"initial_deposit: {amount}{BASE_DENOM} is less than {least}{BASE_DENOM}, the least of {wanted}{BASE_DENOM}",
        )
    record = submit(
        block,
        Proposal(
            messages=message.messages,
            metadata=message.metadata,
            title=message.title,
            summary=message.summary,
            proposer=message.proposer,
            expedited=message.expedited,
        ),
    )
    if amount and back(block, record, message.proposer, amount):
        block.emit("submit_proposal", voting_period_start=record.id)
    return MsgSubmitProposalResponse(proposal_id=record.id)


def _check_deposit(message: MsgDeposit) -> None:
    check_address("depositor", message.depositor)
    _check_coins("amount", message.amount)
    coin_amount(message.amount)


def _deposit(block: Block, message: MsgDeposit) -> MsgDepositResponse:
    """Put coins down for a proposal that is open. Raises GovError (INACTIVE_PROPOSAL, DEPOSIT_TOO_SMALL), SdkError."""
    record = _require_open(block, message.proposal_id)
    rules = params(block.state)
    amount = coin_amount(message.amount)
    least = multiply_floor(min_deposit(rules, expedited=record.expedited), parse(rules.min_deposit_ratio))
    if amount < least:
        raise GovError(
            GovCode.DEPOSIT_TOO_SMALL, f"amount: {amount}{BASE_DENOM} is less than {least}{BASE_DENOM}, the least"
        )
    if back(block, record, message.depositor, amount):
        block.emit("proposal_deposit", voting_period_start=record.id)
    return MsgDepositResponse()


def _check_vote(message: MsgVote) -> None:
    _check_ballot(message.voter, message.metadata, _whole(message.option))


def _check_vote_weighted(message: MsgVoteWeighted) -> None:
    _check_ballot(message.voter, message.metadata, message.options)


def _vote(block: Block, message: MsgVote) -> MsgVoteResponse:
    cast(block, message.proposal_id, message.voter, _whole(message.option), message.metadata)
    return MsgVoteResponse()


def _vote_weighted(block: Block, message: MsgVoteWeighted) -> MsgVoteWeightedResponse:
    cast(block, message.proposal_id, message.voter, message.options, message.metadata)
    return MsgVoteWeightedResponse()


def cast(block: Block, proposal_id: int, voter: str, options: Sequence[WeightedVoteOption], metadata: str = "") -> None:
    """Take a member's vote in place of its earlier one. Members are those of the current epoch, and of one that has been formed.

    Raises GovError (INACTIVE_PROPOSAL, VOTING_PERIOD_ENDED, INVALID_VOTE).
    """
    record = require_proposal(block.state, proposal_id)
    if record.status != gov.PROPOSAL_STATUS_VOTING_PERIOD:
        raise GovError(GovCode.INACTIVE_PROPOSAL, f"proposal_id: proposal {proposal_id} is not voted on")
    if not is_open(record, block.time):
        raise GovError(GovCode.VOTING_PERIOD_ENDED, f"the vote on proposal {proposal_id} has ended")
    serving = effective_index(block.state)
    if not any(is_member(block.state, epoch, voter) for epoch in (serving, serving + 1)):
        raise GovError(GovCode.INVALID_VOTE, f"voter: {voter} is no member of the current epoch, and has no weight")
    put_vote(block.state, Vote(proposal_id=proposal_id, voter=voter, options=options, metadata=metadata))
    told = "\n".join(f'option:{gov.VoteOption.Name(each.option)} weight:"{each.weight}"' for each in options)
    block.emit("proposal_vote", voter=voter, option=told, proposal_id=proposal_id)


def _check_cancel(message: MsgCancelProposal) -> None:
    check_address("proposer", message.proposer)


def _cancel(block: Block, message: MsgCancelProposal) -> MsgCancelProposalResponse:
    """Take a proposal back. Raises GovError (INACTIVE_PROPOSAL, INVALID_PROPOSER)."""
    record = _require_open(block, message.proposal_id)
    if record.proposer != message.proposer:
        raise GovError(GovCode.INVALID_PROPOSER, f"proposer: {message.proposer} has not proposed {message.proposal_id}")
    cancel(block, record)
    block.emit("cancel_proposal", sender=message.proposer, proposal_id=record.id)
    return MsgCancelProposalResponse(
        proposal_id=record.id, canceled_time=timestamp(block.time), canceled_height=block.height
    )


def _require_open(block: Block, proposal_id: int) -> Proposal:
    record = require_proposal(block.state, proposal_id)
    if not is_open(record, block.time):
        raise GovError(GovCode.INACTIVE_PROPOSAL, f"proposal_id: proposal {proposal_id} is over")
    return record


def _check_ballot(voter: str, metadata: str, options: Sequence[WeightedVoteOption]) -> None:
    check_address("voter", voter)
    _check_length("metadata", metadata, MAX_METADATA_BYTES, GovCode.METADATA_TOO_LONG)
    seen: list[int] = []
    total = 0
    for each in options:
        if each.option not in OPTIONS or each.option in seen:
            raise GovError(GovCode.INVALID_VOTE, f"options: {each.option} is no option, or stands there twice")
        seen.append(each.option)
        try:
            weight = parse(each.weight)
        except InvalidDecimal as error:
            raise GovError(GovCode.INVALID_VOTE, f"options.weight: {error}") from None
        if weight <= 0:
            raise GovError(GovCode.INVALID_VOTE, "options.weight must be above 0")
        total += weight
    if total != ONE:
        raise GovError(GovCode.INVALID_VOTE, "options: the weights must add up to 1")


def _whole(option: gov.VoteOption) -> list[WeightedVoteOption]:
    return [WeightedVoteOption(option=option, weight=WHOLE_WEIGHT)]


def _check_coins(field: str, coins: Sequence[Coin]) -> None:
    for coin in coins:
        if coin.denom != BASE_DENOM:
            raise GovError(
                GovCode.INVALID_DEPOSIT_DENOM, f"{field}: deposits are in {BASE_DENOM}, not in {coin.denom[:40]!r}"
            )
    if coins:
        coin_amount(coins, field)


def _check_length(field: str, text: str, most: int, code: GovCode) -> None:
    if len(text.encode()) > most:
        raise GovError(code, f"{field}: {len(text.encode())} bytes, {most} at most")
