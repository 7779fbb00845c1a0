"""Inferences and their answers in an export."""

from typing import Any

from pivot.chain.modules.inferences.answers import DETAILS, REQUESTS, SEGMENT_ROWS
from pivot.chain.modules.inferences.sharing import SHARES
from pivot.chain.modules.inferences.state import EXPIRIES, ORDER, RECORDS, STORE
from pivot.chain.rows import Kinds, export_rows, load_rows
from pivot.chain.types import Block, Reader
from pivot.protocol.generated.inference.inference.types_pb2 import Inference, InferenceValidationDetails

_KINDS: Kinds = {
    "inferences": (RECORDS, Inference),
    "order": (ORDER, None),
    "expiries": (EXPIRIES, None),
    "details": (DETAILS, InferenceValidationDetails),
    "segments": (SEGMENT_ROWS, None),
    "requests": (REQUESTS, None),
    "shares": (SHARES, None),
}


def load(block: Block, document: dict[str, Any]) -> None:
    """Take the rows of an export. Raises ValueError."""
    load_rows(block.state, STORE, _KINDS, document)


def export(state: Reader) -> dict[str, Any]:
    """The section that `load` turns into the same rows."""
    return export_rows(state, STORE, _KINDS)
