"""Which model each node serves, and which nodes go on serving during the next sprint (design, section 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pivot.chain.modules.members.groups import Member
from pivot.chain.modules.members.state import serving_nodes
from pivot.chain.modules.participants.state import hardware
from pivot.chain.types import Reader
from pivot.primitives.hashes import tagged_hash
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, HardwareNodes, MLNodeInfo


def with_models(state: Reader, member: Member, order: Sequence[str]) -> Member:
    """The member with its nodes sorted by model: every node serves the first one, in id order, that its hardware lists.

    order: ids of all models.
    """
    served = _served(hardware(state, member.address), order)
    nodes: dict[str, list[MLNodeInfo]] = {}
    for node in member.nodes:
        nodes.setdefault(served.get((node.node_id, node.node_number), ""), []).append(node)
    by_model = {name: tuple(nodes[name]) for name in order if name in nodes}
    return replace(member, by_model=by_model, without_model=tuple(nodes.get("", ())))


def with_slots(state: Reader, epoch: Epoch, member: Member, order: Sequence[str]) -> Member:
    """The member with models and time slots: per model at most half of its nodes serve through the next sprint.

    None that served through this sprint is among them. A hash that nobody knew when nodes were declared puts them in order.
    """
    rested = {node.node_number for node in serving_nodes(state, epoch.index - 1, member.address)}
    member = with_models(state, member, order)
    by_model = {name: _allocated(epoch, member.address, nodes, rested) for name, nodes in member.by_model.items()}
    without = tuple(_slotted(node, serves=False) for node in member.without_model)
    nodes = tuple(node for each in (*by_model.values(), without) for node in each)
    return replace(member, nodes=nodes, by_model=by_model, without_model=without)


def _served(declared: HardwareNodes, order: Sequence[str]) -> Mapping[tuple[str, int], str]:
    """(id, number) of each declared node to its model; nodes that can serve none are not in it."""
    served = {}
    for node in declared.hardware_nodes:
        found = next((name for name in order if name in node.models), None)
        if found is not None:
            served[node.local_id, node.node_number] = found
    return served


def _allocated(epoch: Epoch, address: str, nodes: Sequence[MLNodeInfo], rested: set[int]) -> tuple[MLNodeInfo, ...]:
    candidates = [node.node_number for node in nodes if node.node_number not in rested]
    candidates.sort(key=lambda number: tagged_hash("pivot/slots/1", epoch.randomness, *_names(epoch, address, number)))
    chosen = set(candidates[: len(nodes) // 2])
    return tuple(_slotted(node, serves=node.node_number in chosen) for node in nodes)


def _names(epoch: Epoch, address: str, number: int) -> tuple[bytes, ...]:
    return epoch.index.to_bytes(8), address.encode(), number.to_bytes(8)


def _slotted(node: MLNodeInfo, *, serves: bool) -> MLNodeInfo:
    return MLNodeInfo(
        node_id=node.node_id,
        node_number=node.node_number,
        poc_weight=node.poc_weight,
        proven_weight=node.proven_weight,
        timeslot_allocation=[True, serves],
    )
