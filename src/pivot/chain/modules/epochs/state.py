"""Records of epochs, and which of them is in force. Rows of the store `inference`.

Epoch/value/<index, 8 bytes>/       Epoch
EffectiveEpochIndex/value/          8 bytes, big-endian
"""

from collections.abc import Iterator

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.params.state import params
from pivot.chain.modules.participants.consensus_keys import apply_rotations
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.epochs import boundaries
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.sprint import sprint_seed

STORE = "inference"
EPOCHS = b"Epoch/value/"
_EFFECTIVE = b"EffectiveEpochIndex/value/"


def effective_index(state: Reader) -> int:
    """Index of the epoch whose members serve now; 0 before the first switch."""
    return int.from_bytes(state.get(STORE, _EFFECTIVE) or b"")


def epoch(state: Reader, index: int) -> Epoch | None:
    """The record of an epoch; None if its sprint has not begun, or if it is pruned."""
    row = state.get(STORE, epoch_key(EPOCHS, index))
    return None if row is None else Epoch.FromString(row)


def effective(state: Reader) -> Epoch:
    """The epoch whose members serve now; epoch 0 is there from genesis on."""
    found = epoch(state, effective_index(state))
    if found is None:
        raise NetworkError(NetworkCode.CURRENT_EPOCH_NOT_FOUND, "the chain has no genesis yet")
    return found


def latest(state: Reader) -> Epoch:
    """The upcoming epoch once its sprint has begun, else the effective one."""
    return epoch(state, effective_index(state) + 1) or effective(state)


def sprint_begins(state: Reader, height: int) -> bool:
    """Whether the next epoch's sprint begins in the block of this height: the first that is due and finds no record."""
    current = effective(state)
    return height >= current.boundaries.next_poc_start and epoch(state, current.index + 1) is None


def begin(block: Block, randomness: bytes) -> Epoch:
    """Make the upcoming epoch's record in the block in which its sprint begins.

    All heights are computed here and never again; the parameters are copied, so no later change can reach this epoch.
    randomness: 32 bytes, frozen before this block was made; only the sprint's seed also takes the block's hash.
    """
    index = effective_index(block.state) + 1
    snapshot = params(block.state)
    made = Epoch(
        index=index,
        poc_start_block_height=block.height,
        boundaries=boundaries(snapshot.epoch_params, block.height),
        params=snapshot,
        sprint_seed=sprint_seed(block.chain_id, index, block.hash, randomness),
        randomness=randomness,
        poc_start_block_hash=block.hash,
        created_time=block.time,
    )
    put(block.state, made)
    block.emit("poc_started", epoch_index=index, poc_start_block_height=block.height)
    return made


def switch(block: Block, index: int) -> None:
    """Let the members of epoch `index` serve from now on, with the consensus keys that they have asked for."""
    put_effective_index(block.state, index)
    apply_rotations(block)
    block.emit("epoch_switched", epoch_index=index)


def records(reader: Reader) -> Iterator[Epoch]:
    """The records of all epochs that are kept, oldest first."""
    for _, row in reader.iterate(STORE, EPOCHS, prefix_end(EPOCHS)):
        yield Epoch.FromString(row)


def put_effective_index(state: State, index: int) -> None:
    """Write which epoch's members serve."""
    state.set(STORE, _EFFECTIVE, index.to_bytes(8, "big"))


def put(state: State, record: Epoch) -> None:
    """Write an epoch's record."""
    state.set(STORE, epoch_key(EPOCHS, record.index), record.SerializeToString(deterministic=True))


def epoch_key(prefix: bytes, index: int, *names: str) -> bytes:
    """Key of a row that belongs to an epoch: prefix, index (8 bytes, big-endian), names, each behind a slash."""
    return b"/".join((prefix + index.to_bytes(8, "big"), *(name.encode() for name in names), b""))
