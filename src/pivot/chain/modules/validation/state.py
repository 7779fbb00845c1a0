"""Reports and counters of duties. Rows of the store `inference`.

Validation/value/<epoch, 8 bytes>/<address>/<id>/     1 byte: the verdict that the host has reported
CheckerDuties/value/<epoch, 8 bytes>/<address>/       CheckerDuties: counted when elements are revealed
"""

from collections.abc import Iterator

from pivot.chain.modules.epochs.pruning import prune_rows
from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.pagination import prefix_end
from pivot.chain.store.journal import State
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import AnswerVerdict, CheckerDuties

STORE = "inference"
REPORTS = b"Validation/value/"
DUTIES = b"CheckerDuties/value/"
PRUNED_PER_BLOCK = 5_000
"""Reports that one block deletes: as many as inferences."""


def duties(reader: Reader, epoch: int, host: str) -> CheckerDuties:
    """How many duties of an epoch a host has in the segments whose elements it has revealed, and how many it has done."""
    row = reader.get(STORE, epoch_key(DUTIES, epoch, host))
    return CheckerDuties(participant=host, epoch_index=epoch) if row is None else CheckerDuties.FromString(row)


def put_duties(state: State, record: CheckerDuties) -> None:
    """Write how far a host has done its duties."""
    key = epoch_key(DUTIES, record.epoch_index, record.participant)
    state.set(STORE, key, record.SerializeToString(deterministic=True))


def all_duties(reader: Reader) -> Iterator[CheckerDuties]:
    """All counters, by epoch and address."""
    for _, row in reader.iterate(STORE, DUTIES, prefix_end(DUTIES)):
        yield CheckerDuties.FromString(row)


def has_reported(reader: Reader, epoch: int, host: str, inference_id: str) -> bool:
    """Whether a host's report on an answer was taken."""
    return reader.get(STORE, epoch_key(REPORTS, epoch, host, inference_id)) is not None


def put_report(state: State, epoch: int, host: str, inference_id: str, verdict: AnswerVerdict) -> None:
    """Write down a host's report."""
    state.set(STORE, epoch_key(REPORTS, epoch, host, inference_id), bytes([verdict]))


def reported(reader: Reader, epoch: int, host: str) -> Iterator[str]:
    """Ids of the answers of an epoch on which a host's report was taken, in order."""
    prefix = epoch_key(REPORTS, epoch, host)
    for key, _ in reader.iterate(STORE, prefix, prefix_end(prefix)):
        yield key[len(prefix) : -1].decode()


def prune(block: Block) -> None:
    """Delete what belongs to epochs past their time (W-24)."""
    prune_rows(block, REPORTS, PRUNED_PER_BLOCK)
    prune_rows(block, DUTIES)
