"""What the chain knows of a sprint's commits, and who checks whom."""

from pivot.api.ledger.interface import Chain
from pivot.protocol.generated.inference.inference.query_pb2 import (
    PocDuty,
    QueryPocCommitsRequest,
    QueryPocCommitsResponse,
)

COMMITS_PATH = "/inference.inference.Query/PocCommits"


async def poc_duties(chain: Chain, epoch: int) -> list[PocDuty]:
    """All commits of an epoch's sprint so far, each with its checkers. Raises LedgerError."""
    request = QueryPocCommitsRequest(epoch_index=epoch)
    answer = await chain.query(COMMITS_PATH, request, QueryPocCommitsResponse)
    return list(answer.duties)
