"""What hardware a host has: its ML nodes, each with a number that it keeps."""

from collections.abc import Iterable

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.models.state import model
from pivot.chain.modules.participants.state import hardware, put_hardware, require_participant
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgSubmitHardwareDiff, MsgSubmitHardwareDiffResponse
from pivot.protocol.generated.inference.inference.types_pb2 import HardwareNode, HardwareNodes
from pivot.protocol.hardware import (
    MAX_HARDWARE_PER_NODE,
    MAX_MODELS_PER_NODE,
    MAX_NODE_ID_LENGTH,
    MAX_TEXT_LENGTH,
)
from pivot.protocol.poc import MAX_NODES_PER_HOST
from pivot.protocol.sprint import MAX_NODE_NUMBER

DIFF_GAS = 50_000
"""The whole declaration is read and written again, however little changes."""
GAS_PER_NODE = 500
MAX_DECLARATION_BYTES = 2**18
"""Of all that one host declares: the whole row is read with every commit and every change."""


def _check_diff(message: MsgSubmitHardwareDiff) -> None:
    changed = [node.local_id for node in message.newOrModified]
    if len(set(changed)) != len(changed):
        raise _invalid("newOrModified names a node twice")
    for node in (*message.newOrModified, *message.removed):
        if not 0 < len(node.local_id) <= MAX_NODE_ID_LENGTH:
            raise _invalid(f"local_id must have 1 to {MAX_NODE_ID_LENGTH} characters")
    for node in message.newOrModified:
        _check_node(node)


def _check_node(node: HardwareNode) -> None:
    if node.node_number > MAX_NODE_NUMBER:
        raise _invalid(f"node_number of {node.local_id} must not be above {MAX_NODE_NUMBER}")
    if len(node.models) > MAX_MODELS_PER_NODE or len(set(node.models)) != len(node.models):
        raise _invalid(f"models of {node.local_id} must be {MAX_MODELS_PER_NODE} different ones at most")
    if len(node.hardware) > MAX_HARDWARE_PER_NODE:
        raise _invalid(f"hardware of {node.local_id} must be {MAX_HARDWARE_PER_NODE} kinds at most")
    for text in (node.host, node.port, *(part.type for part in node.hardware)):
        if len(text) > MAX_TEXT_LENGTH:
            raise _invalid(f"host, port and hardware of {node.local_id} must have {MAX_TEXT_LENGTH} characters at most")


def _apply_diff(block: Block, message: MsgSubmitHardwareDiff) -> MsgSubmitHardwareDiffResponse:
    """Take away the nodes removed, then add or replace the others. Removing a node that is not there is no fault.

    One that comes with another number is another node: it carries no weight of the one that it replaces.
    """
    require_participant(block.state, message.creator)
    declared = {node.local_id: node for node in hardware(block.state, message.creator).hardware_nodes}
    for node in message.removed:
        declared.pop(node.local_id, None)
    for node in message.newOrModified:
        for name in node.models:
            if model(block.state, name) is None:
                raise NetworkError(NetworkCode.INVALID_MODEL, f"{name[:90]!r} is not a model of this network")
        declared[node.local_id] = node
    _require_numbers(declared.values())
    nodes = [declared[local_id] for local_id in sorted(declared)]
    record = HardwareNodes(participant=message.creator, hardware_nodes=nodes)
    if record.ByteSize() > MAX_DECLARATION_BYTES:
        raise _invalid(f"a host's nodes take {record.ByteSize()} bytes, at most {MAX_DECLARATION_BYTES}")
    put_hardware(block.state, record)
    return MsgSubmitHardwareDiffResponse()


def _require_numbers(nodes: Iterable[HardwareNode]) -> None:
    """No two nodes may do the same nonces."""
    numbers = [node.node_number for node in nodes]
    if len(numbers) > MAX_NODES_PER_HOST:
        raise _invalid(f"a host has {MAX_NODES_PER_HOST} nodes at most")
    if len(set(numbers)) != len(numbers):
        raise _invalid("two nodes of a host cannot have one node_number")


def _gas(message: MsgSubmitHardwareDiff) -> int:
    return DIFF_GAS + GAS_PER_NODE * (len(message.newOrModified) + len(message.removed))


def _invalid(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.INVALID_FIELD, sentence)


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgSubmitHardwareDiff, _apply_diff, gas=_gas, check=_check_diff, duty=True)
]
