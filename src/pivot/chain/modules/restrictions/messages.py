"""MsgExecuteEmergencyTransfer, by whom an exemption names; MsgUpdateParams, by governance."""

from pivot.chain.errors import RestrictionCode, RestrictionError, SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.auth.state import check_address
from pivot.chain.modules.bank.state import send
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.restrictions.checks import InvalidRestrictions, check_restriction_params
from pivot.chain.modules.restrictions.state import exemption, is_restricted, put_restriction_params
from pivot.chain.modules.restrictions.transfers import count_use, matches, require_open
from pivot.chain.types import Block
from pivot.primitives.coins import BASE_DENOM, InvalidCoin, parse_amount
from pivot.protocol.generated.inference.restrictions.tx_pb2 import (
    MsgExecuteEmergencyTransfer,
    MsgExecuteEmergencyTransferResponse,
    MsgUpdateParams,
    MsgUpdateParamsResponse,
)

GAS_OF_AN_EMERGENCY_TRANSFER = 25_000
GAS_OF_AN_UPDATE = 50_000


def _check_transfer(message: MsgExecuteEmergencyTransfer) -> None:
    check_address("from_address", message.from_address)
    check_address("to_address", message.to_address)
    if message.denom != BASE_DENOM:
        raise SdkError(SdkCode.INVALID_COINS, f"denom: there is no coin {message.denom[:40]!r}, only {BASE_DENOM}")
    try:
        parse_amount(message.amount)
    except InvalidCoin as error:
        raise SdkError(SdkCode.INVALID_COINS, f"amount: {error}") from None


def _transfer(block: Block, message: MsgExecuteEmergencyTransfer) -> MsgExecuteEmergencyTransferResponse:
    """Move coins by a named exemption, while transfers are restricted, and count its use.

    Raises RestrictionError (NO_EXEMPTION, USED_UP), SdkError (UNAUTHORIZED, INSUFFICIENT_FUNDS).
    """
    source, target, amount = message.from_address, message.to_address, parse_amount(message.amount)
    found = exemption(block.state, message.exemption_id)
    if found is None or not is_restricted(block.state, block.height):
        raise RestrictionError(
            RestrictionCode.NO_EXEMPTION, f"exemption_id {message.exemption_id[:80]!r} names no exemption in force"
        )
    if not matches(found, block, source, target, amount):
        raise RestrictionError(
            RestrictionCode.NO_EXEMPTION,
            f"the exemption {found.exemption_id!r} does not allow {source} to send {amount}{BASE_DENOM} to {target}"
            f" at height {block.height}",
        )
    require_open(target)
    left = count_use(block.state, found, source)
    send(block, source, target, amount)
    block.emit(
        "emergency_transfer",
        exemption_id=found.exemption_id,
        from_address=source,
        to_address=target,
        amount=amount,
        denom=BASE_DENOM,
        remaining_uses=left,
    )
    return MsgExecuteEmergencyTransferResponse(remaining_uses=left)


def _check_update(message: MsgUpdateParams) -> None:
    check_authority(message.authority)
    try:
        check_restriction_params(message.params)
    except InvalidRestrictions as error:
        raise SdkError(SdkCode.INVALID_REQUEST, f"params: {error}") from None


def _update(block: Block, message: MsgUpdateParams) -> MsgUpdateParamsResponse:
    """Replace the parameters."""
    put_restriction_params(block.state, message.params)
    return MsgUpdateParamsResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(
        MsgExecuteEmergencyTransfer, _transfer, gas=lambda _: GAS_OF_AN_EMERGENCY_TRANSFER, check=_check_transfer
    ),
    MessageHandler(MsgUpdateParams, _update, gas=lambda _: GAS_OF_AN_UPDATE, check=_check_update),
]
