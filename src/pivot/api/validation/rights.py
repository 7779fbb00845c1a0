"""Who may see an artifact: a checker that was drawn for the answer, and who has a vote in an open dispute on it."""

from pivot.api.ledger.interface import Chain, ChainRefused
from pivot.api.validation.duties import weight_in
from pivot.protocol import hash_chain
from pivot.protocol.duties import answer, drawn
from pivot.protocol.generated.inference.inference.params_pb2 import ValidationParams
from pivot.protocol.generated.inference.inference.query_pb2 import (
    QueryDisputeRequest,
    QueryDisputeResponse,
    QueryGetInferenceValidationDetailsRequest,
    QueryGetInferenceValidationDetailsResponse,
    QueryHashChainRequest,
    QueryHashChainResponse,
)
from pivot.protocol.generated.inference.inference.types_pb2 import Dispute, DisputeOutcome, Inference

DETAILS_PATH = "/inference.inference.Query/InferenceValidationDetails"
DISPUTE_PATH = "/inference.inference.Query/Dispute"
HASH_CHAIN_PATH = "/inference.inference.Query/HashChain"


async def is_drawn(chain: Chain, record: Inference, params: ValidationParams, checker: str) -> bool:
    """Whether a host's element for the answer's segment is revealed and draws it. params: of the epoch. Raises LedgerError."""
    epoch, segment = record.finished_epoch_id, record.segment
    power = await weight_in(chain, epoch, record.model, checker)
    if not power or checker == record.executed_by:
        return False
    element = await element_of(chain, epoch, segment, checker)
    if element is None:
        return False
    request = QueryGetInferenceValidationDetailsRequest(epochId=epoch, inferenceId=record.inference_id)
    try:
        found = await chain.query(DETAILS_PATH, request, QueryGetInferenceValidationDetailsResponse)
    except ChainRefused as refusal:
        if refusal.not_found:
            return False
        raise
    details = found.inferenceValidationDetails
    return bool(drawn(element, [answer(params, details)], checker, {record.model: power}))


async def element_of(chain: Chain, epoch: int, segment: int, host: str) -> bytes | None:
    """A host's element for a segment; None while it is not revealed. Raises LedgerError."""
    request = QueryHashChainRequest(epoch_index=epoch, participant=host)
    try:
        found = (await chain.query(HASH_CHAIN_PATH, request, QueryHashChainResponse)).hash_chain
    except ChainRefused as refusal:
        if refusal.not_found:
            return None
        raise
    if found.revealed <= segment:
        return None
    element = found.last
    for _ in range(found.revealed - 1 - segment):
        element = hash_chain.step(chain.chain_id, epoch, host, element)
    return element


async def dispute_on(chain: Chain, inference_id: str) -> Dispute | None:
    """The dispute on an answer, open or closed. Raises LedgerError."""
    try:
        found = await chain.query(DISPUTE_PATH, QueryDisputeRequest(inference_id=inference_id), QueryDisputeResponse)
    except ChainRefused as refusal:
        if refusal.not_found:
            return None
        raise
    return found.dispute


async def has_vote(chain: Chain, record: Inference, dispute: Dispute, voter: str) -> bool:
    """Whether a member votes on an answer: it served the model in the answer's epoch, and is no party. Raises LedgerError."""
    if dispute.outcome != DisputeOutcome.DISPUTE_OPEN or voter in (record.executed_by, dispute.accuser):
        return False
    return await weight_in(chain, record.finished_epoch_id, record.model, voter) > 0
