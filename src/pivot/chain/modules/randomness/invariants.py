"""What holds after every block."""

from functools import lru_cache

from pivot.chain.modules.epochs.state import epoch_key
from pivot.chain.modules.params.state import chain_id
from pivot.chain.modules.poc.state import commit
from pivot.chain.modules.randomness.state import CHAINS, COUNTED, STORE
from pivot.chain.pagination import prefix_end
from pivot.chain.types import Reader
from pivot.protocol.epochs import SEGMENTS
from pivot.protocol.generated.inference.inference.types_pb2 import HashChain
from pivot.protocol.hash_chain import ELEMENT_LENGTH, step

CACHED_TIPS = 4_096
"""A chain moves once per segment; in all other blocks its tip is known."""


def check_hash_chains(state: Reader) -> None:
    """What a host has revealed leads back, element by element, to the tip that it committed to. Raises AssertionError."""
    name = chain_id(state)
    for key, row in state.iterate(STORE, CHAINS, prefix_end(CHAINS)):
        record = HashChain.FromString(row)
        index, host = record.epoch_index, record.participant
        if key != epoch_key(CHAINS, index, host) or record.revealed > SEGMENTS or len(record.last) != ELEMENT_LENGTH:
            raise AssertionError(f"{host} has a hash chain for epoch {index} that cannot be: {record}")
        committed = commit(state, index, host)
        if committed is not None and committed.hash_chain_tip != _tip(name, index, host, record.last, record.revealed):
            raise AssertionError(f"element {record.revealed - 1} of {host} for epoch {index} does not lead to its tip")


def check_counted_elements(state: Reader) -> None:
    """One element of 32 bytes counts for a segment, and there are 24 segments. Raises AssertionError."""
    for key, element in state.iterate(STORE, COUNTED, prefix_end(COUNTED)):
        segment = key[-2]
        if segment >= SEGMENTS or len(element) != ELEMENT_LENGTH:
            raise AssertionError(f"{element.hex()} counts for segment {segment} under {key!r}")


@lru_cache(maxsize=CACHED_TIPS)
def _tip(name: str, epoch: int, host: str, last: bytes, revealed: int) -> bytes:
    for _ in range(revealed):
        last = step(name, epoch, host, last)
    return last
