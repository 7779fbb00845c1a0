"""The call-back port: where the host's ML nodes send what they have computed (payloads: `protocol/mlnode_api.py`)."""

from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Response

from pivot.api.fleet.interface import Fleet
from pivot.api.http.bearer import BearerToken
from pivot.api.http.bounded import BoundedBody
from pivot.api.http.plain_errors import answer_refusals
from pivot.api.http.wrong_tokens import CALLBACKS, WrongTokens
from pivot.api.poc.callback import CALLBACK_PATH, callback_token
from pivot.api.poc.leaves import LeavesOutOfOrder
from pivot.api.poc.prover import ForeignBatch, NotReady, Prover, SprintOver
from pivot.api.settings import ApiSettings
from pivot.protocol.mlnode_api import GeneratedBatch, ValidatedBatch

PREFIXES = (CALLBACK_PATH, f"/mlnode{CALLBACK_PATH}")
MAX_BODY_BYTES = 2**20
"""A full batch of fingerprints in base64 is 683 KiB."""


def callbacks_app(settings: ApiSettings, fleet: Fleet, prover: Prover, wrong: WrongTokens | None = None) -> FastAPI:
    """The application on the call-back port.

    401 without the token, 400 for what is not this host's, 409 for leaves out of order, 410 when the sprint is over,
    503 while this node does not know where the network stands: after that alone an ML node sends the same again.
    """
    app = FastAPI(title="Pivot API node: call-backs of ML nodes")
    app.add_middleware(BoundedBody, limit=MAX_BODY_BYTES)
    app.add_middleware(BearerToken, token=callback_token(settings), wrong=wrong or WrongTokens(CALLBACKS))
    answer_refusals(
        app,
        {
            ForeignBatch: HTTPStatus.BAD_REQUEST,
            LeavesOutOfOrder: HTTPStatus.CONFLICT,
            SprintOver: HTTPStatus.GONE,
            NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
        },
    )
    router = APIRouter()

    @router.post("/generated")
    async def generated(batch: GeneratedBatch) -> Response:
        """Leaves of the running sprint; the same batch again changes nothing."""
        prover.accept(batch)
        return Response()

    @router.post("/validated")
    async def validated(batch: ValidatedBatch) -> Response:
        """Distances of leaves that a node was asked to check."""
        fleet.accept_distances(batch.batch_id, batch.distances)
        return Response()

    for prefix in PREFIXES:
        app.include_router(router, prefix=prefix)
    return app
