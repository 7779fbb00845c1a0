"""Revealing a hash chain, element by element, as the segments of its epoch end (design, decisions 5 and 13)."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.modules.epochs.state import effective_index, epoch
from pivot.chain.modules.members.state import is_member, line
from pivot.chain.modules.randomness.state import chain, count_element, folded, put_chain
from pivot.chain.types import Block, Reader
from pivot.protocol import draw
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch, HashChain
from pivot.protocol.hash_chain import ELEMENT_LENGTH, step


def check_element(segment: int, element: bytes) -> None:
    """What a revealed element must look like, whatever the state is. Raises NetworkError (INVALID_FIELD)."""
    if segment >= SEGMENTS:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"segment must be between 0 and {SEGMENTS - 1}")
    if len(element) != ELEMENT_LENGTH:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"element must have {ELEMENT_LENGTH} bytes")


def reveal(block: Block, host: str, index: int, segment: int, element: bytes) -> None:
    """Take the next element of a member's chain, once its segment is over.

    The epoch is the one in force, or the one before: its last segment ends with it, and its duties are claimed after it.
    One element of each segment counts for the randomness: that of its contributor, if it comes before the next segment is
    over, and before the freeze.
    Raises NetworkError: EPOCH_NOT_FOUND, NOT_A_MEMBER, ALREADY_DONE, WRONG_ELEMENT.
    """
    served = require_epoch(block, index)
    found = require_chain(block.state, index, host)
    if segment < found.revealed:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"element {segment} is revealed already")
    if segment > found.revealed:
        raise _wrong(f"element {found.revealed} comes before element {segment}")
    _require_over(block, served, segment)
    if step(block.chain_id, index, host, element) != found.last:
        raise _wrong(f"element {segment} does not hash to the one before it")
    found.last = element
    found.revealed += 1
    put_chain(block.state, found)
    in_time = block.height <= segment_end(served.boundaries, segment + 1)
    if in_time and host == contributor(block.state, served, segment):
        count_element(block.state, index, segment, element)


def contributor(state: Reader, served: Epoch, segment: int) -> str:
    """The member whose element of a segment counts: drawn by weight, when the segment is over, by the elements before it.

    A member can leave its element out after it has seen the others'. If everybody's counted, a crowd of hosts, however
    small, had one choice each at the end, and could try 2^n outcomes until the next committees are its own friends. So only
    those have a choice who are drawn for the last segments, one after the other.
    """
    return draw.contributor(line(state, served.index), segment, folded(state, served, segment))


def require_epoch(block: Block, index: int) -> Epoch:
    """The epoch in force, or the one before. Raises NetworkError (EPOCH_NOT_FOUND) for another."""
    current = effective_index(block.state)
    found = epoch(block.state, index) if index in (current, current - 1) else None
    if found is None:
        raise NetworkError(
            NetworkCode.EPOCH_NOT_FOUND, f"elements are revealed for epoch {current} or the one before, not for {index}"
        )
    return found


def require_chain(state: Reader, index: int, host: str) -> HashChain:
    """A member's hash chain for an epoch. Raises NetworkError: NOT_A_MEMBER, WRONG_ELEMENT if it has none."""
    if not is_member(state, index, host):
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{host} is not a member of epoch {index}")
    found = chain(state, index, host)
    if found is None:
        raise _wrong(f"{host} has committed to no hash chain for epoch {index}")
    return found


def require_element(block: Block, index: int, segment: int, host: str) -> bytes:
    """The element of a segment that a member has revealed. Raises NetworkError: NOT_A_MEMBER, WRONG_ELEMENT.

    Only the last one is kept: those before it follow from it.
    """
    found = require_chain(block.state, index, host)
    if segment >= found.revealed:
        raise _wrong(f"element {segment} of {host} for epoch {index} is not revealed")
    element: bytes = found.last
    for _ in range(found.revealed - 1 - segment):
        element = step(block.chain_id, index, host, element)
    return element


def _require_over(block: Block, served: Epoch, segment: int) -> None:
    """The last segment lasts until the next epoch serves, however long that takes."""
    end = segment_end(served.boundaries, segment)
    if block.height <= end:
        raise _wrong(f"element {segment} may be revealed after height {end}, when its segment is over")
    if segment == SEGMENTS - 1 and effective_index(block.state) == served.index:
        raise _wrong(f"element {segment} may be revealed when epoch {served.index + 1} serves")


def _wrong(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.WRONG_ELEMENT, sentence)
