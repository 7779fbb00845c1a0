"""What the chain has agreed on, for explorers: versions, models, restrictions of transfers, proofs of compute, accounts.

Answers hold for a block; callers that want the same thing at the same time share one question.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.tendermint.v1beta1.query_pb2 import GetNodeInfoRequest, GetNodeInfoResponse
from fastapi import APIRouter, Path

from pivot.api.http.errors import BadRequest, NotFound
from pivot.api.http.participants import QUERY
from pivot.api.http.plain import plain
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.ledger.interface import Chain, ChainRefused
from pivot.primitives import addresses
from pivot.primitives.addresses import InvalidAddress
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.generated.inference.inference import query_pb2 as queries
from pivot.protocol.generated.inference.inference.types_pb2 import ParticipantStatus
from pivot.protocol.generated.inference.restrictions import query_pb2 as restrictions
from pivot.protocol.mlnode_api import MAX_EPOCH

RESTRICTIONS = "/inference.restrictions.Query"
NODE_INFO = "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo"
PAGE_LENGTH = 1_000
"""Of lists that a vote of governance lets grow, all in one answer."""
LONGEST_NAME = 256

Epoch = Annotated[int, Path(ge=1, le=MAX_EPOCH)]
Name = Annotated[str, Path(min_length=1, max_length=LONGEST_NAME)]


class NetworkState:
    """Routes that answer from the chain alone."""

    def __init__(self, chain: Chain, answers: BriefAnswers) -> None:
        self._chain = chain
        self._answers = answers
        self.router = APIRouter()
        for path, route in (
            ("/v1/versions", self.versions),
            ("/v1/governance/models", self.models),
            ("/v1/governance/pricing", self.pricing),
            ("/v1/restrictions/status", self.restriction_status),
            ("/v1/restrictions/exemptions", self.exemptions),
            ("/v1/restrictions/exemptions/{exemption_id}/usage/{account}", self.exemption_usage),
            ("/v1/poc-batches/{epoch}", self.proofs_of_compute),
            ("/v2/participants/{address}", self.participant),
            ("/v2/accounts/{address}", self.account),
        ):
            self.router.add_api_route(path, route)

    async def versions(self) -> dict[str, Any]:
        """Which software the chain node runs, and which network it is in."""

        async def ask() -> dict[str, Any]:
            info = await self._chain.query(NODE_INFO, GetNodeInfoRequest(), GetNodeInfoResponse)
            application, engine = info.application_version, info.default_node_info
            return {
                "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
                "api_version": {
                    "application_name": application.app_name,
                    "version": application.version,
                    "commit": application.git_commit,
                },
                "node_version": {
                    "application_name": application.name,
                    "version": application.version,
                    "engine_version": engine.version,
                    "network": engine.network,
                },
            }

        return await self._answers.get("versions", ask)

    async def models(self) -> dict[str, Any]:
        """The models that governance has registered, with all that is fixed for them."""

        async def ask() -> dict[str, Any]:
            request = queries.QueryModelsAllRequest()
            answer = await self._chain.query(f"{QUERY}/ModelsAll", request, queries.QueryModelsAllResponse)
            return {"models": [plain(model) for model in answer.model]}

        return await self._answers.get("governance models", ask)

    async def pricing(self) -> dict[str, Any]:
        """The price of a token of each model now, and the capacity by which prices move."""

        async def ask() -> dict[str, Any]:
            prices = await self._chain.query(
                f"{QUERY}/GetAllModelPerTokenPrices",
                queries.QueryGetAllModelPerTokenPricesRequest(),
                queries.QueryGetAllModelPerTokenPricesResponse,
            )
            capacities = await self._chain.query(
                f"{QUERY}/GetAllModelCapacities",
                queries.QueryGetAllModelCapacitiesRequest(),
                queries.QueryGetAllModelCapacitiesResponse,
            )
            capacity = {each.model_id: each.capacity for each in capacities.model_capacities}
            listed = [
                {"id": each.model_id, "price_per_token": each.price, "capacity": capacity.get(each.model_id, 0)}
                for each in prices.model_prices
            ]
            return {"denom": BASE_DENOM, "dynamic_pricing_enabled": True, "models": listed}

        return await self._answers.get("governance pricing", ask)

    async def restriction_status(self) -> dict[str, Any]:
        """Whether transfers between accounts are restricted, and until which block."""

        async def ask() -> dict[str, Any]:
            request = restrictions.QueryTransferRestrictionStatusRequest()
            kind = restrictions.QueryTransferRestrictionStatusResponse
            return plain(await self._chain.query(f"{RESTRICTIONS}/TransferRestrictionStatus", request, kind))

        return await self._answers.get("restrictions", ask)

    async def exemptions(self) -> dict[str, Any]:
        """Transfers that governance has allowed all the same."""

        async def ask() -> dict[str, Any]:
            request = restrictions.QueryTransferExemptionsRequest(pagination=PageRequest(limit=PAGE_LENGTH))
            kind = restrictions.QueryTransferExemptionsResponse
            answer = await self._chain.query(f"{RESTRICTIONS}/TransferExemptions", request, kind)
            return {"exemptions": [plain(each) for each in answer.exemptions]}

        return await self._answers.get("exemptions", ask)

    async def exemption_usage(self, exemption_id: Name, account: str) -> dict[str, Any]:
        """How much an account has used of an exemption."""
        _require_address("account", account)

        async def ask() -> dict[str, Any]:
            request = restrictions.QueryExemptionUsageRequest(exemption_id=exemption_id, account_address=account)
            kind = restrictions.QueryExemptionUsageResponse
            answer = await self._chain.query(f"{RESTRICTIONS}/ExemptionUsage", request, kind)
            return {"usage_entries": [plain(each) for each in answer.usage_entries]}

        return await self._found(("exemption", exemption_id, account), ask, "Exemption not found")

    async def proofs_of_compute(self, epoch: Epoch) -> dict[str, Any]:
        """What the hosts have committed to in an epoch's sprint, and who checks each of them."""

        async def ask() -> dict[str, Any]:
            request = queries.QueryPocCommitsRequest(epoch_index=epoch)
            answer = await self._chain.query(f"{QUERY}/PocCommits", request, queries.QueryPocCommitsResponse)
            return {"epoch_index": epoch, "commits": [plain(duty) for duty in answer.duties]}

        return await self._found(("commits", epoch), ask, "No proofs of compute of this epoch")

    async def participant(self, address: str) -> dict[str, Any]:
        """A host: where it is, and whether it counts."""
        _require_address("address", address)
        found = await self._chain.participant(address)
        if found is None:
            raise NotFound("Participant not found")
        status = ParticipantStatus.Name(found.status)
        return {"participant": {"address": found.index, "inferenceUrl": found.inference_url, "status": status}}

    async def account(self, address: str) -> dict[str, Any]:
        """An account's public key and what it holds."""
        _require_address("address", address)

        async def ask() -> dict[str, Any]:
            request = queries.QueryInferenceParticipantRequest(address=address)
            kind = queries.QueryInferenceParticipantResponse
            answer = await self._chain.query(f"{QUERY}/InferenceParticipant", request, kind)
            return {
                "account": {
                    "address": address,
                    "pubkey": answer.pubkey,
                    "balance": {"denom": BASE_DENOM, "amount": str(answer.balance)},
                }
            }

        return await self._found(("account", address), ask, "Account not found")

    async def _found(self, key: object, ask: Callable[[], Awaitable[dict[str, Any]]], absent: str) -> dict[str, Any]:
        """An answer that holds for a block. Raises NotFound where the chain has no such record."""
        try:
            return await self._answers.get(key, ask)
        except ChainRefused as refusal:
            if refusal.not_found:
                raise NotFound(absent) from refusal
            raise


def _require_address(name: str, text: str) -> None:
    try:
        addresses.require(text)
    except InvalidAddress as error:
        raise BadRequest(f"{name}: {error}", param=name) from None
