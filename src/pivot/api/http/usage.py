"""`GET /v1/usage`: what an API key, or an account that signs, has used."""

from typing import Any

from fastapi import APIRouter, Request

from pivot.api.inference.service import InferenceService
from pivot.api.keys.issued import IssuedKey
from pivot.api.ledger.interface import Chain
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.signing import body_hash

STATISTICS = "/inference.inference.Query/StatsByDeveloperAndEpochsBackwards"
ACCOUNT_EPOCHS = 10
"""How far back an account's usage is summed: the current epoch, and those before it."""


class UsageReport:
    """The route, for whoever may also send questions."""

    def __init__(self, service: InferenceService, chain: Chain) -> None:
        self._service = service
        self._chain = chain
        self.router = APIRouter()
        self.router.add_api_route("/v1/usage", self.usage)

    async def usage(self, request: Request) -> dict[str, Any]:
        """Of the API key that is sent, or of the account that signs as for a question with an empty body."""
        access, market = self._service.access, self._service.market
        admitted = access.admit(dict(request.scope["headers"]), market.moment)
        if isinstance(admitted, IssuedKey):
            return {"object": "usage", "denom": BASE_DENOM, "api_key": shown(admitted)}
        access.signer(admitted, b"", body_hash(b""))
        asked = queries.QueryStatsByDeveloperAndEpochBackwardsRequest(
            developer=admitted.address, epochs_n=ACCOUNT_EPOCHS
        )
        told = await self._chain.query(STATISTICS, asked, queries.QueryInferencesAndTokensStatsResponse)
        account = {
            "address": admitted.address,
            "balance": await market.balance(admitted.address),
            "epochs": ACCOUNT_EPOCHS,
            "spent": told.actual_inferences_cost,
            "requests": told.inferences,
            "tokens": told.ai_tokens,
        }
        return {"object": "usage", "denom": BASE_DENOM, "account": account}


def shown(key: IssuedKey) -> dict[str, Any]:
    """A key's terms and usage; never the key itself. Coins in ngonka, times in seconds since 1970."""
    return {
        "id": key.id,
        "name": key.terms.name,
        "budget": key.terms.budget,
        "spent": key.used.spent,
        "set_aside": key.held,
        "left": key.left,
        "rate": key.terms.rate,
        "concurrency": key.terms.concurrency,
        "created_at": key.created_s,
        "expires_at": key.terms.expires_s,
        "revoked_at": key.revoked_s,
        "requests": key.used.requests,
        "prompt_tokens": key.used.prompt_tokens,
        "completion_tokens": key.used.completion_tokens,
    }
