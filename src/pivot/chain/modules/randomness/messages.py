"""Revealing a hash chain, element by element, as the segments of its epoch end (design, decisions 5 and 13)."""

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.epochs.state import effective_index, epoch
from pivot.chain.modules.members.state import is_member
from pivot.chain.modules.randomness.state import chain, count_element, put_chain
from pivot.chain.types import Block
from pivot.protocol.epochs import SEGMENTS, segment_end
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgRevealElement, MsgRevealElementResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Epoch
from pivot.protocol.hash_chain import ELEMENT_LENGTH, step

REVEAL_GAS = 2_000


def _check_reveal(message: MsgRevealElement) -> None:
    if message.segment >= SEGMENTS:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"segment must be between 0 and {SEGMENTS - 1}")
    if len(message.element) != ELEMENT_LENGTH:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"element must have {ELEMENT_LENGTH} bytes")


def _reveal(block: Block, message: MsgRevealElement) -> MsgRevealElementResponse:
    """Take the next element of a member's chain, once its segment is over.

    The epoch is the one in force, or the one before: its last segment ends with it, and its duties are claimed after it.
    Only what comes before the next segment is over counts for the randomness, and only before the freeze: so a host can
    leave out its latest element, and cannot choose at the end among all that it has kept back.
    """
    served = _require_epoch(block, message.epoch_index)
    if not is_member(block.state, served.index, message.creator):
        raise NetworkError(NetworkCode.NOT_A_MEMBER, f"{message.creator} is not a member of epoch {served.index}")
    found = chain(block.state, served.index, message.creator)
    if found is None:
        raise _wrong(f"{message.creator} has committed to no hash chain for epoch {served.index}")
    if message.segment < found.revealed:
        raise NetworkError(NetworkCode.ALREADY_DONE, f"element {message.segment} is revealed already")
    if message.segment > found.revealed:
        raise _wrong(f"element {found.revealed} comes before element {message.segment}")
    end = segment_end(served.boundaries, message.segment)
    if block.height <= end:
        raise _wrong(f"element {message.segment} may be revealed after height {end}, when its segment is over")
    if step(block.chain_id, served.index, message.creator, message.element) != found.last:
        raise _wrong(f"element {message.segment} does not hash to the one before it")
    found.last = message.element
    found.revealed += 1
    put_chain(block.state, found)
    if block.height <= segment_end(served.boundaries, message.segment + 1):
        count_element(block.state, served.index, message.creator, message.element)
    return MsgRevealElementResponse()


def _require_epoch(block: Block, index: int) -> Epoch:
    current = effective_index(block.state)
    found = epoch(block.state, index) if index in (current, current - 1) else None
    if found is None:
        raise NetworkError(
            NetworkCode.EPOCH_NOT_FOUND, f"elements are revealed for epoch {current} or the one before, not for {index}"
        )
    return found


def _wrong(sentence: str) -> NetworkError:
    return NetworkError(NetworkCode.WRONG_ELEMENT, sentence)


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgRevealElement, _reveal, gas=lambda _: REVEAL_GAS, check=_check_reveal, duty=True)
]
