"""The messages that a proposal may carry, and those among them that belong to governance itself."""

from collections.abc import Sequence

from cosmos.distribution.v1beta1.tx_pb2 import MsgCommunityPoolSpend, MsgCommunityPoolSpendResponse
from cosmos.gov.v1.tx_pb2 import MsgUpdateParams, MsgUpdateParamsResponse

from pivot.chain.errors import GovCode, GovError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler, MessageTable
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.messages import coin_amount
from pivot.chain.modules.bank.state import COMMUNITY_POOL, MODULE_ACCOUNTS, send
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.gov.state import set_params
from pivot.chain.types import Block
from pivot.protocol.governance import InvalidGovernance, check_gov_params
from pivot.protocol.messages import signer_fields

SIGNER_FIELD = "authority"
"""What the signer of a message is called, in the SDK as here, that only governance sends. A message with another signer, as a
transfer, is never carried: in governance's name it would move the deposits."""
GAS_OF_AN_UPDATE = 50_000
GAS_OF_A_SPEND = 30_000

_CLOSED = frozenset(MODULE_ACCOUNTS.values()) - {COMMUNITY_POOL}
"""Accounts whose coins are bookkept by modules: a gift would break their books."""


def governed(handlers: Sequence[MessageHandler]) -> MessageTable:
    """Those of the handlers whose messages governance alone may send."""
    return MessageTable([each for each in handlers if signer_fields(each.type) == (SIGNER_FIELD,)])


def _check_update(message: MsgUpdateParams) -> None:
    check_authority(message.authority)
    try:
        check_gov_params(message.params)
    except InvalidGovernance as error:
        raise GovError(GovCode.INVALID_MESSAGE, f"params: {error}") from None
    if message.params.proposal_cancel_dest in _CLOSED:
        raise GovError(GovCode.INVALID_MESSAGE, "params: proposal_cancel_dest is an account that takes no gifts")


def _update(block: Block, message: MsgUpdateParams) -> MsgUpdateParamsResponse:
    """Replace the rules of governance. Periods that have begun end when they would have."""
    set_params(block.state, message.params)
    return MsgUpdateParamsResponse()


def _check_spend(message: MsgCommunityPoolSpend) -> None:
    check_authority(message.authority)
    check_address("recipient", message.recipient)
    if message.recipient in MODULE_ACCOUNTS.values():
        raise SdkError(SdkCode.UNAUTHORIZED, f"recipient: {message.recipient} is not allowed to receive funds")
    coin_amount(message.amount)


def _spend(block: Block, message: MsgCommunityPoolSpend) -> MsgCommunityPoolSpendResponse:
    """Pay out of the community pool. Raises SdkError (INSUFFICIENT_FUNDS)."""
    send(block, COMMUNITY_POOL, message.recipient, coin_amount(message.amount))
    return MsgCommunityPoolSpendResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgUpdateParams, _update, gas=lambda _: GAS_OF_AN_UPDATE, check=_check_update),
    MessageHandler(MsgCommunityPoolSpend, _spend, gas=lambda _: GAS_OF_A_SPEND, check=_check_spend),
]
