"""The messages of `cosmos.gov.v1beta1`, which many wallets still send: each is taken as the one of `v1` that means the same.

But for a proposal's, the fields of both have the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from cosmos.gov.v1 import tx_pb2 as v1
from cosmos.gov.v1beta1 import tx_pb2 as v1beta1
from cosmos.gov.v1beta1.gov_pb2 import TextProposal
from google.protobuf.message import Message

from pivot.chain.errors import GovCode, GovError
from pivot.chain.handlers import MessageHandler, MessageTable, decode
from pivot.chain.types import Block
from pivot.protocol.decimals import sdk_text
from pivot.protocol.messages import type_url

WEIGHT_DIGITS = 19
"""Of a weight, which this version writes with its 18 decimals but without the point."""


def messages(of_v1: Sequence[MessageHandler]) -> list[MessageHandler]:
    """The handlers of this version, given those of `v1`."""
    known = MessageTable(list(of_v1))
    return [
        _taken_as(
            known, v1beta1.MsgSubmitProposal, v1.MsgSubmitProposal, _submission, v1beta1.MsgSubmitProposalResponse
        ),
        _taken_as(known, v1beta1.MsgDeposit, v1.MsgDeposit, _deposit, v1beta1.MsgDepositResponse),
        _taken_as(known, v1beta1.MsgVote, v1.MsgVote, _vote, v1beta1.MsgVoteResponse),
        _taken_as(known, v1beta1.MsgVoteWeighted, v1.MsgVoteWeighted, _weighted, v1beta1.MsgVoteWeightedResponse),
    ]


def _taken_as(
    known: MessageTable,
    old: type[Message],
    new: type[Message],
    convert: Callable[[Any], Message],
    response: type[Message],
) -> MessageHandler:
    handler = known.all()[type_url(new)]

    def handle(block: Block, message: Message) -> Message:
        answer = handler.handle(block, convert(message))
        return response.FromString(answer.SerializeToString())

    return MessageHandler(
        old,
        handle,
        gas=lambda message: handler.gas(convert(message)),
        check=lambda message: handler.check(convert(message)),
    )


def _submission(message: v1beta1.MsgSubmitProposal) -> v1.MsgSubmitProposal:
    """A text. Raises GovError (UNROUTABLE_MESSAGE) for other contents: they are messages since `v1`."""
    if message.content.type_url != type_url(TextProposal):
        raise GovError(
            GovCode.UNROUTABLE_MESSAGE,
            f"content: {message.content.type_url[:200]!r} is no text; propose messages by cosmos.gov.v1.MsgSubmitProposal",
        )
    text = decode(TextProposal, message.content.value)
    return v1.MsgSubmitProposal(
        initial_deposit=message.initial_deposit, proposer=message.proposer, title=text.title, summary=text.description
    )


def _deposit(message: v1beta1.MsgDeposit) -> v1.MsgDeposit:
    return v1.MsgDeposit.FromString(message.SerializeToString())


def _vote(message: v1beta1.MsgVote) -> v1.MsgVote:
    return v1.MsgVote.FromString(message.SerializeToString())


def _weighted(message: v1beta1.MsgVoteWeighted) -> v1.MsgVoteWeighted:
    """Raises GovError (INVALID_VOTE) for a weight that is no number."""
    voted = v1.MsgVoteWeighted.FromString(message.SerializeToString())
    for each in voted.options:
        each.weight = _weight(each.weight)
    return voted


def _weight(written: str) -> str:
    if not (written.isascii() and written.isdigit() and len(written) <= WEIGHT_DIGITS):
        raise GovError(
            GovCode.INVALID_VOTE, f"options.weight: {written[:40]!r} is no number of 18 decimals, without a point"
        )
    return sdk_text(int(written))
