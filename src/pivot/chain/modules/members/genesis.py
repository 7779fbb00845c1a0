"""The members of epoch 0: the genesis' participants with their weights."""

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.members.groups import Member, write_groups
from pivot.chain.modules.members.slots import with_models
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import MLNodeInfo
from pivot.protocol.poc import split


def begin(block: Block, document: GenesisState) -> None:
    """Write the groups of epoch 0, whose members check the first sprint: the participants with a weight above 0.

    Raises ValueError if there are none.
    """
    members = [
        with_models(block.state, _member(entry))
        for entry in sorted(document.participants, key=lambda entry: entry.participant.address)
        if entry.weight > 0
    ]
    if not members:
        raise ValueError("the genesis has no participant with a weight: nobody could sign, or check the first sprint")
    write_groups(block.state, effective(block.state), members)


def _member(entry: GenesisParticipant) -> Member:
    """The participant with its weight in equal parts on the nodes that the genesis declares for it."""
    declared = entry.hardware_nodes.hardware_nodes
    parts = split(entry.weight, [1] * len(declared)) if declared else []
    nodes = tuple(
        MLNodeInfo(
            node_id=node.local_id, node_number=node.node_number, poc_weight=part, timeslot_allocation=[True, False]
        )
        for node, part in zip(declared, parts, strict=True)
        if part
    )
    return Member(entry.participant.address, entry.weight, nodes)
