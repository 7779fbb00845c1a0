"""Which answers this host must check: drawn from the elements of its own hash chain, once their segments are over."""

from collections.abc import AsyncIterator

from pivot.api.ledger.interface import Chain
from pivot.protocol.duties import answer, drawn
from pivot.protocol.epochs import SEGMENTS, ended_segments
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryAllInferenceValidationDetailsRequest,
    QueryAllInferenceValidationDetailsResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import EpochBoundaries, InferenceValidationDetails

DETAILS_PATH = "/inference.inference.Query/InferenceValidationDetailsAll"
PAGE_SIZE = 1_000


async def duties_in(
    chain: Chain, params: ValidationParams, epoch: int, segment: int, element: bytes, checker: str
) -> list[InferenceValidationDetails]:
    """The answers of a segment that `checker` must check. params: of the epoch. element: 32 bytes. Raises LedgerError."""
    powers: dict[str, int] = {}
    found = []
    async for page in _pages(chain, epoch, segment):
        for model in {details.model for details in page} - powers.keys():
            powers[model] = await weight_in(chain, epoch, model, checker)
        names = set(drawn(element, [answer(params, details) for details in page], checker, powers))
        found += [details for details in page if details.inference_id in names]
    return found


async def weight_in(chain: Chain, epoch: int, model: str, address: str) -> int:
    """A host's weight in a model's group of an epoch; 0 for who is not in it. Raises LedgerError."""
    group = await chain.epoch_group(epoch, model)
    members = () if group is None else group.validation_weights
    return next((member.weight for member in members if member.member_address == address), 0)


def segments_over(marks: EpochBoundaries, height: int, *, in_force: bool) -> int:
    """How many segments have ended, so that no answer can come into them any more, when block `height` is there.

    The last one lasts until the next epoch serves, however late that is.
    """
    ended = ended_segments(marks, height)
    return min(ended, SEGMENTS - 1) if in_force else SEGMENTS


async def _pages(chain: Chain, epoch: int, segment: int) -> AsyncIterator[list[InferenceValidationDetails]]:
    request = QueryAllInferenceValidationDetailsRequest(epoch_index=epoch, segment=segment)
    request.pagination.limit = PAGE_SIZE
    while True:
        answer_page = await chain.query(DETAILS_PATH, request, QueryAllInferenceValidationDetailsResponse)
        yield list(answer_page.inferenceValidationDetails)
        if not answer_page.pagination.next_key:
            return
        request.pagination.key = answer_page.pagination.next_key
