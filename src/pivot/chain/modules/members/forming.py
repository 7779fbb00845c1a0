"""A formation under way. Rows of the store `inference`.

Formation/value/                                          Formation: how far it has come
FormationPart/value/<epoch, 8 bytes>/<number, 8 bytes>/   FormationPart: some hosts, in the order of their addresses
"""

from collections.abc import Iterator

from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Formation, FormationPart

STORE = "inference"
FORMATION = b"Formation/value/"
PARTS = b"FormationPart/value/"
_NUMBER_BYTES = 8


def formation(reader: Reader) -> Formation | None:
    """The formation under way, if there is one."""
    row = reader.get(STORE, FORMATION)
    return None if row is None else Formation.FromString(row)


def put_formation(state: State, record: Formation) -> None:
    """Keep the place of a formation that goes on in the next block."""
    state.set(STORE, FORMATION, record.SerializeToString(deterministic=True))


def part(reader: Reader, epoch: int, number: int) -> FormationPart:
    """One part of the hosts, from 0 on; without any if there is no such part."""
    return FormationPart.FromString(reader.get(STORE, part_key(epoch, number)) or b"")


def parts(reader: Reader, epoch: int) -> Iterator[FormationPart]:
    """All parts of an epoch's hosts so far, in order."""
    prefix = epoch_key(PARTS, epoch)
    for _, row in reader.iterate(STORE, prefix, prefix_end(prefix)):
        yield FormationPart.FromString(row)


def put_part(state: State, epoch: int, number: int, record: FormationPart) -> None:
    """Write one part of the hosts."""
    state.set(STORE, part_key(epoch, number), record.SerializeToString(deterministic=True))


def forget(state: State, record: Formation) -> None:
    """The members are known: delete all that led to them."""
    for number in range(record.parts):
        state.delete(STORE, part_key(record.epoch_index, number))
    state.delete(STORE, FORMATION)


def part_key(epoch: int, number: int) -> bytes:
    """Key of the row of one part."""
    return epoch_key(PARTS, epoch) + number.to_bytes(_NUMBER_BYTES) + b"/"
