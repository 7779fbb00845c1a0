"""The members of epoch 0, the genesis' participants with their weights; or the groups of an exported chain."""

from typing import Any

from pivot.chain.modules.epochs.state import effective
from pivot.chain.modules.members.forming import FORMATION, PARTS
from pivot.chain.modules.members.groups import Member, groups, write_groups
from pivot.chain.modules.members.slots import with_models
from pivot.chain.modules.members.state import ACTIVE_PARTICIPANTS, GROUP_HASHES, GROUPS, STORE
from pivot.chain.modules.models.state import models
from pivot.chain.rows import Kinds, export_rows, load_rows
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.genesis_pb2 import GenesisParticipant, GenesisState
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    EpochGroupData,
    Formation,
    FormationPart,
    MLNodeInfo,
)
from pivot.protocol.poc import split

_KINDS: Kinds = {
    "groups": (GROUPS, EpochGroupData),
    "group_hashes": (GROUP_HASHES, None),
    "active_participants": (ACTIVE_PARTICIPANTS, ActiveParticipants),
    "formation": (FORMATION, Formation),
    "formation_parts": (PARTS, FormationPart),
}


def begin(block: Block, document: GenesisState) -> None:
    """Write the groups of epoch 0, whose members check the first sprint: the participants with a weight above 0.

    Raises ValueError if there are none.
    """
    order = [model.id for model in models(block.state)]
    members = [
        with_models(block.state, _member(entry), order)
        for entry in sorted(document.participants, key=lambda entry: entry.participant.address)
        if entry.weight > 0
    ]
    if not members:
        raise ValueError("the genesis has no participant with a weight: nobody could sign, or check the first sprint")
    write_groups(block.state, effective(block.state), groups(block.state, members, order))


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of an export. Raises ValueError."""
    load_rows(block.state, STORE, _KINDS, document)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return export_rows(state, STORE, _KINDS)


def _member(entry: GenesisParticipant) -> Member:
    """The participant with its weight in equal parts on the nodes that the genesis declares for it."""
    declared = entry.hardware_nodes.hardware_nodes
    parts = split(entry.weight, [1] * len(declared)) if declared else []
    nodes = tuple(
        MLNodeInfo(
            node_id=node.local_id,
            node_number=node.node_number,
            poc_weight=part,
            proven_weight=part,
            timeslot_allocation=[True, False],
        )
        for node, part in zip(declared, parts, strict=True)
        if part
    )
    return Member(entry.participant.address, entry.weight, nodes, entry.weight)
