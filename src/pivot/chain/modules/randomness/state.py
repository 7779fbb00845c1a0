"""Hash chains, and the value that they fold into. Rows of the store `inference`.

HashChain/value/<epoch, 8 bytes>/<address>/         HashChain
CountedElement/value/<epoch, 8 bytes>/<segment>/    32 bytes: the element of its contributor, revealed in time
FrozenRandomness/value/                             32 bytes: randomness of the next epoch
"""

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import effective, epoch_key
from pivot.chain.modules.params.state import genesis_hash
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, HashChain
from pivot.protocol.hash_chain import fold

STORE = "inference"
CHAINS = b"HashChain/value/"
COUNTED = b"CountedElement/value/"
FIRST_FOLDED_EPOCH = 3
"""Epochs before this one are seeded by the genesis: when their sprints begin, no epoch with hash chains is complete."""
FROZEN = b"FrozenRandomness/value/"


def chain(state: Reader, epoch: int, address: str) -> HashChain | None:
    """A host's hash chain for an epoch, as far as it is revealed; None if it committed to none."""
    row = state.get(STORE, epoch_key(CHAINS, epoch, address))
    return None if row is None else HashChain.FromString(row)


def commit_tip(state: State, epoch: int, address: str, tip: bytes) -> None:
    """Open a host's hash chain for an epoch with its tip (32 bytes)."""
    put_chain(state, HashChain(participant=address, epoch_index=epoch, last=tip))


def frozen(state: Reader) -> bytes:
    """Randomness of the next epoch (32 bytes): the hash of the genesis for epochs 1 and 2, then what `freeze` folded."""
    return state.get(STORE, FROZEN) or genesis_hash(state)


def freeze(block: Block) -> None:
    """Fix the next epoch's randomness: this one's, with the elements that count of all its segments."""
    current = effective(block.state)
    if current.index + 1 >= FIRST_FOLDED_EPOCH:
        block.state.set(STORE, FROZEN, folded(block.state, current, SEGMENTS))


def folded(state: Reader, served: Epoch, before: int) -> bytes:
    """The randomness (32 bytes) of an epoch, with the elements that count of its segments before one, in their order."""
    value = fold(served.randomness, b"")
    elements = state.iterate(STORE, _counted_key(served.index, 0), _counted_key(served.index, before))
    for _, element in elements:
        value = fold(value, element)
    return value


def count_element(state: State, epoch: int, segment: int, element: bytes) -> None:
    """Let an element (32 bytes) be the one that stands for a segment in the next epoch's randomness."""
    state.set(STORE, _counted_key(epoch, segment), element)


def put_chain(state: State, record: HashChain) -> None:
    """Write a host's hash chain."""
    key = epoch_key(CHAINS, record.epoch_index, record.participant)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def prune(block: Block) -> None:
    """Delete hash chains of epochs past their time."""
    prune_rows(block, CHAINS)
    prune_rows(block, COUNTED)


def _counted_key(epoch: int, segment: int) -> bytes:
    return epoch_key(COUNTED, epoch) + bytes([segment]) + b"/"
