"""Groups of members, written once when their epoch is formed, parsed once per process. Rows of the store `inference`.

EpochGroupData/value/<epoch, 8 bytes>/<model id>/       EpochGroupData; all members under the empty id
EpochGroupHash/value/<epoch, 8 bytes>/<model id>/       SHA-256 of that row, under which a process keeps it parsed
ActiveParticipants/value/<epoch, 8 bytes>/              ActiveParticipants, which clients read with its proof
"""

from collections.abc import Mapping
from functools import lru_cache

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.participants.consensus_keys import consensus_key
from pivot.chain.modules.participants.state import require_participant
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.primitives.hashes import sha256
from pivot.protocol.draw import Line
from pivot.protocol.generated.inference.inference.types_pb2 import (
    ActiveParticipants,
    EpochGroupData,
    MLNodeInfo,
    ValidationWeight,
)

STORE = "inference"
GROUPS = b"EpochGroupData/value/"
GROUP_HASHES = b"EpochGroupHash/value/"
ACTIVE_PARTICIPANTS = b"ActiveParticipants/value/"
CACHED_GROUPS = 64
"""Parsed groups of a process: three epochs' with some twenty models; each may take megabytes."""


def group(state: Reader, epoch: int, model: str = "") -> EpochGroupData | None:
    """The epoch's members (model ""), or those that serve a model; None if there is no such group.

    The message is shared by all who ask: nobody may change it. The members' nodes are in it.
    """
    found = _parsed(state, epoch, model)
    return None if found is None else found.group


def weights(state: Reader, epoch: int, model: str = "") -> tuple[tuple[str, int], ...]:
    """(address, weight) of the members by address, all weights above 0; empty if there is no such group.

    In a model's group a member's weight is that of the nodes which serve this model (W-16).
    """
    found = _parsed(state, epoch, model)
    return () if found is None else found.weights


def by_address(state: Reader, epoch: int) -> Mapping[str, ValidationWeight]:
    """The epoch's members by address, in the order of the group; none if there is no such group. Shared, as the group is."""
    found = _parsed(state, epoch)
    return {} if found is None else found.members


def share(state: Reader, epoch: int, address: str) -> tuple[int, int]:
    """(weight of the address, weight of all the epoch's members); the first is 0 for others."""
    found = _parsed(state, epoch)
    member = None if found is None else found.members.get(address)
    return (0, 0) if found is None else (0 if member is None else member.weight, found.total)


def line(state: Reader, epoch: int, model: str = "") -> Line:
    """The members on the line from which executors and checkers are drawn; an empty one if there is no such group."""
    found = _parsed(state, epoch, model)
    return Line(()) if found is None else found.line


def is_member(state: Reader, epoch: int, address: str) -> bool:
    """Whether the address is one of the epoch's members."""
    found = _parsed(state, epoch)
    return found is not None and address in found.members


def weight(state: Reader, epoch: int, address: str, model: str = "") -> int:
    """A member's weight in the epoch, or in a model's group; 0 for others."""
    found = _parsed(state, epoch, model)
    member = None if found is None else found.members.get(address)
    return 0 if member is None else member.weight


def member_reputation(state: Reader, epoch: int, address: str) -> int:
    """The reputation (0 to 100) with which a member entered an epoch; 0 for others."""
    found = _parsed(state, epoch)
    member = None if found is None else found.members.get(address)
    return 0 if member is None else member.reputation


def nodes(state: Reader, epoch: int, address: str) -> tuple[MLNodeInfo, ...]:
    """The nodes, with their weights, that a member has in an epoch; none for others."""
    found = _parsed(state, epoch)
    member = None if found is None else found.members.get(address)
    return () if member is None else tuple(member.ml_nodes)


def proven_weight(state: Reader, epoch: int, address: str) -> int:
    """What proof of compute gave a member of an epoch, before collateral and the cap; 0 for others."""
    found = _parsed(state, epoch)
    member = None if found is None else found.members.get(address)
    return 0 if member is None else member.proven_weight


def serving_nodes(state: Reader, epoch: int, address: str) -> tuple[MLNodeInfo, ...]:
    """The member's nodes that go on answering during the sprint which takes place in this epoch (POC_SLOT)."""
    return tuple(node for node in nodes(state, epoch, address) if serves_in_sprint(node))


def serves_in_sprint(node: MLNodeInfo) -> bool:
    """Whether the node has the published POC_SLOT: it answers during the next sprint and carries its weight over."""
    return len(node.timeslot_allocation) > 1 and node.timeslot_allocation[1]


def active_participants(state: Reader, epoch: int) -> ActiveParticipants | None:
    """The published row of an epoch's members; epoch 0 has none."""
    row = state.get(STORE, epoch_key(ACTIVE_PARTICIPANTS, epoch))
    return None if row is None else ActiveParticipants.FromString(row)


def electorate(state: Reader, epoch: int) -> list[tuple[str, bytes]]:
    """(address, consensus key in force) of an epoch's members, who may hold power."""
    return [(address, consensus_key(require_participant(state, address))) for address in by_address(state, epoch)]


def put_group(state: State, record: EpochGroupData) -> None:
    """Write a group."""
    row = record.SerializeToString(deterministic=True)
    state.set(STORE, epoch_key(GROUPS, record.epoch_index, record.model_id), row)
    state.set(STORE, epoch_key(GROUP_HASHES, record.epoch_index, record.model_id), sha256(row))


def put_active_participants(state: State, record: ActiveParticipants) -> None:
    """Write the published row of an epoch's members."""
    state.set(STORE, epoch_key(ACTIVE_PARTICIPANTS, record.epoch_id), record.SerializeToString(deterministic=True))


def prune(block: Block) -> None:
    """Delete groups and members of epochs past their time."""
    prune_rows(block, GROUP_HASHES)
    prune_rows(block, GROUPS)
    prune_rows(block, ACTIVE_PARTICIPANTS)


class _Group:
    """A group's row, parsed."""

    __slots__ = ("group", "line", "members", "total", "weights")

    def __init__(self, row: bytes) -> None:
        self.group = EpochGroupData.FromString(row)
        self.members: dict[str, ValidationWeight] = {
            member.member_address: member for member in self.group.validation_weights
        }
        self.weights = tuple((address, member.weight) for address, member in self.members.items())
        self.total = sum(weight for _, weight in self.weights)
        self.line = Line(self.weights)


def _parsed(state: Reader, epoch: int, model: str = "") -> _Group | None:
    """The group, parsed once. The row itself, which may be large, is read only then."""
    digest = state.get(STORE, epoch_key(GROUP_HASHES, epoch, model))
    if digest is None:
        return None
    kept = _kept(digest)
    if not kept:
        kept.append(_Group(state.get(STORE, epoch_key(GROUPS, epoch, model)) or b""))
    return kept[0]


@lru_cache(maxsize=CACHED_GROUPS)
def _kept(_: bytes) -> list[_Group]:
    """Where the parsed group with this hash is kept; empty until somebody has parsed it."""
    return []
