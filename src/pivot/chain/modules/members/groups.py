"""Writing an epoch's members down: one group for all, one per model, and the published list."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pivot.chain.modules.members.state import put_active_participants, put_group
from pivot.chain.modules.models.state import models
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.modules.reputation.state import reputation
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
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


def groups(state: Reader, members: Sequence[Member], order: Sequence[str]) -> list[EpochGroupData]:
    """The group of these members, and one per model with the weight of their nodes that serve it (W-16).

    members: by address, each with weight above 0. order: ids of all models.
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
    found = [_group("", everyone)]
    for model in order:
        serving = [
            ValidationWeight(
                member_address=member.address,
                weight=sum(node.poc_weight for node in member.by_model[model]),
                reputation=known[member.address],
                ml_nodes=member.by_model[model],
            )
            for member in members
            if model in member.by_model
        ]
        if serving:
            found.append(_group(model, serving))
    return found


def active(state: Reader, epoch: Epoch, members: Sequence[Member]) -> ActiveParticipants:
    """These members as clients find them in the published list."""
    return ActiveParticipants(participants=[_active(state, epoch, member) for member in members])


def write_groups(state: State, epoch: Epoch, parts: Iterable[EpochGroupData]) -> EpochGroupData:
    """Put the groups of the epoch's members together out of parts, by address, and write them. Returns that of all."""
    whole = {"": EpochGroupData()}
    for each in parts:
        found = whole.setdefault(each.model_id, EpochGroupData())
        total = found.total_weight + each.total_weight
        found.MergeFrom(each)
        found.total_weight = total
    for record in whole.values():
        record.epoch_index = epoch.index
        record.poc_start_block_height = epoch.poc_start_block_height
        record.effective_block_height = epoch.boundaries.set_new_validators
    served = [model for model in models(state) if model.id in whole]
    for model in served:
        whole[model.id].model_snapshot.CopyFrom(model)
        put_group(state, whole[model.id])
    whole[""].sub_group_models.extend(model.id for model in served)
    put_group(state, whole[""])
    return whole[""]


def write_active_participants(block: Block, epoch: Epoch, parts: Iterable[ActiveParticipants]) -> None:
    """Put the published list together, which clients read with its proof, and write it."""
    record = ActiveParticipants(
        epoch_group_id=epoch.index,
        poc_start_block_height=epoch.poc_start_block_height,
        effective_block_height=epoch.boundaries.set_new_validators,
        created_at_block_height=block.height,
        epoch_id=epoch.index,
    )
    for each in parts:
        record.MergeFrom(each)
    put_active_participants(block.state, record)


def _group(model: str, rows: Sequence[ValidationWeight]) -> EpochGroupData:
    return EpochGroupData(model_id=model, validation_weights=rows, total_weight=sum(row.weight for row in rows))


def _active(state: Reader, epoch: Epoch, member: Member) -> ActiveParticipant:
    record = require_participant(state, member.address)
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
