"""Open disputes on which this host has a vote."""

from collections.abc import AsyncIterator, Collection

from pivot.api.ledger.interface import Chain
from pivot.api.validation.checks import Wanted
from pivot.api.validation.duties import weight_in
from pivot.protocol.generated.inference.inference.query_pb2 import QueryDisputesRequest, QueryDisputesResponse
from pivot.protocol.generated.inference.inference.types_pb2 import Dispute

DISPUTES_PATH = "/inference.inference.Query/Disputes"
PAGE_SIZE = 1_000
LAST_BLOCKS = 3
LAST_SHARE = 4
"""An artifact that is not handed out until the last so manieth part of a dispute is withheld; a vote takes some blocks itself."""


async def votes_wanted(chain: Chain, voter: str, height: int, known: Collection[str]) -> list[Wanted]:
    """Open disputes in which `voter` has a vote, without the `known` ones. Raises LedgerError."""
    found = []
    async for dispute in _open_disputes(chain):
        if dispute.inference_id in known or height >= dispute.deadline_height:
            continue
        if voter in (dispute.executor, dispute.accuser):
            continue
        record = await chain.inference(dispute.inference_id)
        if record is None or not await weight_in(chain, dispute.epoch_index, record.model, voter):
            continue
        length = dispute.deadline_height - dispute.opened_at_height
        found.append(
            Wanted(
                inference_id=dispute.inference_id,
                epoch=dispute.epoch_index,
                segment=record.segment,
                model=record.model,
                patience_height=dispute.deadline_height - max(LAST_BLOCKS, length // LAST_SHARE),
                deadline_height=dispute.deadline_height,
                accuser=dispute.accuser,
            )
        )
    return found


async def _open_disputes(chain: Chain) -> AsyncIterator[Dispute]:
    request = QueryDisputesRequest(open_only=True)
    request.pagination.limit = PAGE_SIZE
    while True:
        answer = await chain.query(DISPUTES_PATH, request, QueryDisputesResponse)
        for dispute in answer.disputes:
            yield dispute
        if not answer.pagination.next_key:
            return
        request.pagination.key = answer.pagination.next_key
