"""MsgSoftwareUpgrade and MsgCancelUpgrade. Both need a passed proposal."""

from cosmos.upgrade.v1beta1.tx_pb2 import (
    MsgCancelUpgrade,
    MsgCancelUpgradeResponse,
    MsgSoftwareUpgrade,
    MsgSoftwareUpgradeResponse,
)

from pivot.chain.errors import SdkCode, SdkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.upgrade.state import applied_height, cancel, schedule
from pivot.chain.types import Block
from pivot.primitives.plain_text import is_printable

GAS_OF_A_PLAN = 50_000
MAX_NAME_BYTES = 140
MAX_INFO_BYTES = 10_240


def _check_upgrade(message: MsgSoftwareUpgrade) -> None:
    check_authority(message.authority)
    plan = message.plan
    if not is_printable(plan.name) or not 0 < len(plan.name) <= MAX_NAME_BYTES:
        raise SdkError(SdkCode.INVALID_REQUEST, f"plan.name must be printable ASCII, of 1 to {MAX_NAME_BYTES} bytes")
    if plan.height <= 0:
        raise SdkError(SdkCode.INVALID_REQUEST, "plan.height must be above 0")
    if plan.HasField("time") or plan.HasField("upgraded_client_state"):
        raise SdkError(SdkCode.INVALID_REQUEST, "plan: an upgrade has a height, neither a time nor a client state")
    if len(plan.info.encode()) > MAX_INFO_BYTES:
        raise SdkError(SdkCode.INVALID_REQUEST, f"plan.info has more than {MAX_INFO_BYTES} bytes")


def _upgrade(block: Block, message: MsgSoftwareUpgrade) -> MsgSoftwareUpgradeResponse:
    """Schedule the plan. Refused if its height has passed while members voted, or if it has been applied before."""
    if message.plan.height <= block.height:
        raise SdkError(
            SdkCode.INVALID_REQUEST, f"plan.height: {message.plan.height} has passed, this is {block.height}"
        )
    if height := applied_height(block.state, message.plan.name):
        raise SdkError(SdkCode.INVALID_REQUEST, f"plan.name: {message.plan.name!r} has been applied at height {height}")
    schedule(block.state, message.plan)
    block.emit("upgrade_scheduled", name=message.plan.name, height=message.plan.height)
    return MsgSoftwareUpgradeResponse()


def _check_cancel(message: MsgCancelUpgrade) -> None:
    check_authority(message.authority)


def _cancel(block: Block, _: MsgCancelUpgrade) -> MsgCancelUpgradeResponse:
    """Schedule nothing. It is no fault if nothing was scheduled."""
    cancel(block.state)
    return MsgCancelUpgradeResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgSoftwareUpgrade, _upgrade, gas=lambda _: GAS_OF_A_PLAN, check=_check_upgrade),
    MessageHandler(MsgCancelUpgrade, _cancel, gas=lambda _: GAS_OF_A_PLAN, check=_check_cancel),
]
