"""MsgCreatePartialUpgrade: a passed proposal tells API and ML nodes what to run from a height on."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.partial_upgrades.state import put
from pivot.chain.types import Block
from pivot.primitives.numbers import MAX_INT64
from pivot.protocol.generated.inference.inference.tx_pb2 import (
    MsgCreatePartialUpgrade,
    MsgCreatePartialUpgradeResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import PartialUpgrade

GAS_OF_A_PARTIAL_UPGRADE = 50_000
MAX_VERSION_BYTES = 256
MAX_BINARIES_BYTES = 16_384


def _check(message: MsgCreatePartialUpgrade) -> None:
    check_authority(message.authority)
    if not 0 < message.height <= MAX_INT64:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"height must be between 1 and {MAX_INT64}")
    if not message.nodeVersion and not message.apiBinariesJson:
        raise NetworkError(NetworkCode.INVALID_FIELD, "nodeVersion or apiBinariesJson must be given")
    if len(message.nodeVersion.encode()) > MAX_VERSION_BYTES:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"nodeVersion has more than {MAX_VERSION_BYTES} bytes")
    if len(message.apiBinariesJson.encode()) > MAX_BINARIES_BYTES:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"apiBinariesJson has more than {MAX_BINARIES_BYTES} bytes")


def _create(block: Block, message: MsgCreatePartialUpgrade) -> MsgCreatePartialUpgradeResponse:
    """Write it down. A height that has passed while members voted is refused: nobody would have heard in time."""
    if message.height <= block.height:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"height {message.height} has passed, this is {block.height}")
    record = PartialUpgrade(
        height=message.height, node_version=message.nodeVersion, api_binaries_json=message.apiBinariesJson
    )
    put(block.state, record)
    block.emit("partial_upgrade_created", height=record.height, node_version=record.node_version)
    return MsgCreatePartialUpgradeResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgCreatePartialUpgrade, _create, gas=lambda _: GAS_OF_A_PARTIAL_UPGRADE, check=_check),
]
