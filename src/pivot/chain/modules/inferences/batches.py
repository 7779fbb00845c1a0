"""Items of a batch: each runs in a frame of its own and gets its own result (design, section 3, Batches)."""

from collections.abc import Callable

from pivot.chain.errors import Rejection
from pivot.chain.modules.inferences.state import ID_LENGTH
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.tx_pb2 import ItemResult


def item_result(block: Block, event: str, inference_id: str, process: Callable[[], None]) -> ItemResult:
    """What became of one item; one that is refused leaves nothing but an event, and spoils no other.

    Results stand in the block's hash, so they hold a code and its name; the sentence, which no rule fixes, is in the event.
    """
    named = inference_id[:ID_LENGTH]
    try:
        with block.frame():
            process()
    except Rejection as refused:
        block.emit(event, inference_id=named, code=refused.code, log=refused.log)
        return ItemResult(inference_id=named, code=refused.code, log=refused.name)
    return ItemResult(inference_id=named)
