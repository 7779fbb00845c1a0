"""The public port: what developers, other hosts and explorers ask of this host.

Questions go to `openai.py` on the raw request; everything else is an ordinary route, described at `/docs`.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

import aiohttp
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pivot.api.between_hosts.signatures import Signatures
from pivot.api.http import cross_origin
from pivot.api.http.body import Receive, Scope, Send
from pivot.api.http.chain_proxy import ChainProxy
from pivot.api.http.epochs import Archive, Engine, Epochs
from pivot.api.http.errors import (
    ApiError,
    MalformedBody,
    NotFound,
    Unavailable,
    UnknownModel,
    error_headers,
    error_object,
)
from pivot.api.http.network import NetworkState
from pivot.api.http.openai import CHAIN_AWAY, QuestionEndpoint
from pivot.api.http.participants import QUERY, Participants
from pivot.api.http.plain import plain
from pivot.api.http.questions_page import describe_questions
from pivot.api.http.tagged import Tagged
from pivot.api.http.training import Training
from pivot.api.http.usage import UsageReport
from pivot.api.identity import Identity
from pivot.api.inference.request import CHAT_PATH, PATHS, paths_of
from pivot.api.inference.service import InferenceService
from pivot.api.ledger.answers import BriefAnswers
from pivot.api.ledger.interface import Chain, LedgerError, Outbox
from pivot.api.ledger.records import PAID
from pivot.api.phases import Phases
from pivot.api.poc.leaves_api import LEAVES_PATH
from pivot.api.settings import ApiSettings
from pivot.api.training.hosts import Locking
from pivot.api.validation.artifacts_api import ARTIFACT_PATH
from pivot.primitives.coins import BASE_DENOM
from pivot.protocol.engine_arguments import gives_vectors
from pivot.protocol.generated.inference.inference import query_pb2 as queries

MOST_MODELS = 1_000
"""In a list of them; each was voted for."""
ONLY_POST = JSONResponse(
    error_object("Method Not Allowed", "invalid_request_error"), HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "POST"}
)
"""Said to who asks for a question's route in another way."""

log = structlog.get_logger(__name__)


class PublicApp:
    """ASGI application of the public port."""

    def __init__(
        self,
        settings: ApiSettings,
        identity: Identity,
        chain: Chain,
        engine: Engine,
        outbox: Outbox,
        phases: Phases,
        inference: InferenceService,
        leaves: Callable[[Request], Awaitable[Response]],
        artifacts: Callable[[Request], Awaitable[Response]],
        http: aiohttp.ClientSession,
        locking: Locking | None,
        *,
        archive: Archive | None = None,
    ) -> None:
        self._questions = QuestionEndpoint(inference)
        self._epochs = Epochs(engine, phases, archive)
        self.members_of = self._epochs.members_of
        self._answers = BriefAnswers()
        self._participants = Participants(identity.address, chain, outbox, phases, self._answers, settings.api)
        self._chain = chain
        self._identity = identity
        self._phases = phases
        self._url = settings.api.public_url
        self._others = FastAPI(title="Pivot API node", docs_url="/docs", redoc_url=None)
        for router in (
            self._participants.router,
            self._epochs.router,
            NetworkState(chain, self._answers).router,
            ChainProxy(http, settings).router,
            UsageReport(inference, chain).router,
            Training(identity.address, chain, outbox, Signatures(chain), self._answers, locking).router,
        ):
            self._others.include_router(router)
        self._add_routes(leaves, artifacts)
        _answer_errors(self._others)
        describe_questions(self._others)
        self._tagged = Tagged(self._others)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PATHS and scope["method"] == "POST":
            await self._questions(scope, receive, send)
        elif scope["type"] == "http" and cross_origin.is_preflight(scope):
            await cross_origin.allow(scope, send)
        elif scope["type"] == "http" and scope["path"] in PATHS:
            await ONLY_POST(scope, receive, cross_origin.readable(scope, send))
        else:
            if self._phases.moment is not None:
                self._answers.advance(self._phases.moment.head.height)
            await self._tagged(scope, receive, cross_origin.readable(scope, send))

    @property
    def waiting(self) -> int:
        """Developers' requests that wait for their turn."""
        return self._questions.waiting

    async def close(self) -> None:
        await self._epochs.close()
        await self._answers.close()

    async def status(self) -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    async def identity(self) -> dict[str, Any]:
        """Which host this is."""
        return {"data": {"address": self._identity.address, "url": self._url}}

    async def inference(self, inference_id: str) -> dict[str, Any]:
        """The chain's record of an inference, by its id (percent-encoded: ids contain `/`, `+` and `=`)."""

        async def ask() -> dict[str, Any]:
            record = await self._chain.inference(inference_id)
            if record is None:
                raise NotFound("Inference not found")
            return {**plain(record), "executor_paid": record.actual_cost if record.status in PAID else 0}

        return await self._answers.get(("inference", inference_id), ask)

    async def models(self) -> dict[str, Any]:
        """The network's models in OpenAI's shape, with context window, price per token, and where it is asked."""
        return await self._answers.get("models", self._load_models)

    async def model(self, model_id: str) -> Any:
        """One model, as in the list."""
        listed = await self.models()
        found = next((model for model in listed["data"] if model["id"] == model_id), None)
        if found is None:
            raise UnknownModel(f"the network serves no model {model_id!r}", param="model")
        return found

    async def pricing(self) -> dict[str, Any]:
        """What a token of each model costs."""
        return await self._answers.get("pricing", self._load_pricing)

    async def _load_models(self) -> dict[str, Any]:
        prices = await self._prices()
        request = queries.QueryModelsAllRequest()
        request.pagination.limit = MOST_MODELS
        answer = await self._chain.query(f"{QUERY}/ModelsAll", request, queries.QueryModelsAllResponse)
        listed = [
            {
                "id": model.id,
                "object": "model",
                "created": 0,
                "owned_by": model.proposed_by,
                "root": model.hf_repo or model.id,  # vLLM's clients ask it for the tokenizer
                "context_window": model.context_window,
                "price_per_token": prices.get(model.id),
                "endpoints": paths_of(gives_vectors(model.model_args)),
            }
            for model in answer.model
        ]
        return {"object": "list", "data": listed}

    async def _load_pricing(self) -> dict[str, Any]:
        prices = await self._prices()
        return {
            "denom": BASE_DENOM,
            "models": [{"id": model, "price_per_token": price} for model, price in prices.items()],
        }

    async def _prices(self) -> dict[str, int]:
        request = queries.QueryGetAllModelPerTokenPricesRequest()
        answer = await self._chain.query(
            f"{QUERY}/GetAllModelPerTokenPrices", request, queries.QueryGetAllModelPerTokenPricesResponse
        )
        return {price.model_id: price.price for price in answer.model_prices}

    def _add_routes(
        self,
        leaves: Callable[[Request], Awaitable[Response]],
        artifacts: Callable[[Request], Awaitable[Response]],
    ) -> None:
        app = self._others
        app.add_api_route("/health", self.status)
        app.add_api_route("/v1/status", self.status)
        app.add_api_route("/v1/identity", self.identity)
        app.add_api_route("/v1/models", self.models)
        app.add_api_route("/v1/models/{model_id:path}", self.model)
        app.add_api_route("/v1/pricing", self.pricing)
        app.add_api_route(CHAT_PATH + "/{inference_id:path}", self.inference)
        app.add_api_route(LEAVES_PATH, leaves, include_in_schema=False)
        app.add_api_route(ARTIFACT_PATH, artifacts, include_in_schema=False)


def _answer_errors(app: FastAPI) -> None:
    """Every refusal on this port is an OpenAI error object."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(LedgerError, _chain_away)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _by_status)


async def _refused(_: Request, error: Exception) -> Response:
    refusal = cast(ApiError, error)
    headers = {name.decode(): value.decode() for name, value in error_headers(refusal)}
    return Response(refusal.body(), refusal.status, headers)


async def _chain_away(request: Request, error: Exception) -> Response:
    log.warning("chain_away", reason=str(error))
    return await _refused(request, Unavailable(CHAIN_AWAY))


async def _malformed(request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return await _refused(request, MalformedBody(f"{where or 'body'}: {first['msg']}", param=where or None))


async def _by_status(_: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    contents = error_object(refusal.detail, "invalid_request_error")
    return JSONResponse(contents, refusal.status_code, refusal.headers)
