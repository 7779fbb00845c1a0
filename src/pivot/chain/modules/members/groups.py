"""Writing an epoch's members down: one group for all, one per model, and the published list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pivot.chain.modules.members.state import put_active_participants, put_group
from pivot.chain.modules.models.state import models
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.reputation.state import reputation
from pivot.chain.store.journal import State
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipant,
    ActiveParticipants,
    Epoch,
    EpochGroupData,
    MLNodeInfo,
    ModelMLNodes,
    RandomSeed,
    ValidationWeight,
)


@dataclass(frozen=True)
class Member:
    """One host as a member of an epoch."""

    address: str
    weight: int
    """The sum of its nodes' weights; a genesis member may have weight without nodes."""
    nodes: tuple[MLNodeInfo, ...]
    proven: int
    """What its weight was before collateral and the cap."""
    tip: bytes = b""
    """Of its hash chain, 32 bytes; empty if it has none."""
    by_model: Mapping[str, tuple[MLNodeInfo, ...]] = field(default_factory=dict)
    without_model: tuple[MLNodeInfo, ...] = ()


def write_groups(state: State, epoch: Epoch, members: Sequence[Member]) -> None:
    """Write the group of all members, and one per model with the weight of the nodes that serve it (W-16).

    members: by address, each with weight above 0.
    """
    known = {member.address: reputation(state, member.address) for member in members}
    everyone = [
        ValidationWeight(
            member_address=member.address,
            weight=member.weight,
            reputation=known[member.address],
            ml_nodes=member.nodes,
            proven_weight=member.proven,
        )
        for member in members
    ]
    subgroups = []
    for model in models(state):
        serving = [
            ValidationWeight(
                member_address=member.address,
                weight=sum(node.poc_weight for node in member.by_model[model.id]),
                reputation=known[member.address],
                ml_nodes=member.by_model[model.id],
            )
            for member in members
            if model.id in member.by_model
        ]
        if serving:
            subgroups.append(model.id)
            record = _group(epoch, serving)
            record.model_id = model.id
            record.model_snapshot.CopyFrom(model)
            put_group(state, record)
    parent = _group(epoch, everyone)
    parent.sub_group_models.extend(subgroups)
    put_group(state, parent)


def write_active_participants(block: Block, epoch: Epoch, members: Sequence[Member]) -> None:
    """Write the published list, which clients read with its proof."""
    put_active_participants(
        block.state,
        ActiveParticipants(
            participants=[_active(block, epoch, member) for member in members],
            epoch_group_id=epoch.index,
            poc_start_block_height=epoch.poc_start_block_height,
            effective_block_height=epoch.boundaries.set_new_validators,
            created_at_block_height=block.height,
            epoch_id=epoch.index,
        ),
    )


def _group(epoch: Epoch, rows: Sequence[ValidationWeight]) -> EpochGroupData:
    return EpochGroupData(
        epoch_index=epoch.index,
        poc_start_block_height=epoch.poc_start_block_height,
        effective_block_height=epoch.boundaries.set_new_validators,
        validation_weights=rows,
        total_weight=sum(row.weight for row in rows),
    )


def _active(block: Block, epoch: Epoch, member: Member) -> ActiveParticipant:
    record = require_participant(block.state, member.address)
    arrays = list(member.by_model.values()) + ([member.without_model] if member.without_model else [])
    return ActiveParticipant(
        index=member.address,
        validator_key=record.next_validator_key or record.validator_key,
        weight=member.weight,
        inference_url=record.inference_url,
        models=list(member.by_model),
        seed=RandomSeed(participant=member.address, epoch_index=epoch.index, signature=member.tip.hex())
        if member.tip
        else None,
        ml_nodes=[ModelMLNodes(ml_nodes=nodes) for nodes in arrays],
    )
