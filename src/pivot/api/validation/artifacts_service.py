"""Showing what this host has answered to whoever must check it, and to nobody else."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from pivot.api.database import Database
from pivot.api.http.errors import BadRequest, NotFound, NotPermitted, OutsideTimeWindow, Unauthorized, Unavailable
from pivot.api.identity import Identity
from pivot.api.inference.artifacts import compressed_of
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Phases
from pivot.api.validation.artifacts_api import (
    ADDRESS_HEADER,
    MEDIA_TYPE,
    REPORT_TYPE,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
)
from pivot.api.validation.epochs import ServedEpochs
from pivot.api.validation.rights import dispute_on, has_vote, is_drawn
from pivot.primitives.keys import InvalidSignature, decode_signature, verify
from pivot.protocol.signing import artifact_sign_bytes

FRESHNESS_NS = 60 * 10**9
"""How far a request's time stamp may lie from this machine's clock."""
MAX_TIMESTAMP_DIGITS = 19
MAX_ID_LENGTH = 128
MAX_AT_ONCE = 8
"""Artifacts that are read from disk and sent at a time."""
MAX_REMEMBERED = 10_000
"""Rights that need not be asked of the chain again."""


class ArtifactsService:
    """The host's artifacts: of its own answers, and of those that it has called wrong."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        chain: Chain,
        phases: Phases,
        epochs: ServedEpochs,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._address = identity.address
        self._chain = chain
        self._phases = phases
        self._epochs = epochs
        self._now_ns = now_ns
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._drawn: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def endpoint(self, request: Request) -> Response:
        """The route `artifacts_api.ARTIFACT_PATH`. Raises ApiError, LedgerError."""
        inference_id = str(request.path_params["inference_id"])
        if len(inference_id) > MAX_ID_LENGTH:
            raise BadRequest(f"an id has at most {MAX_ID_LENGTH} characters", param="inference_id")
        asker = await self._asker(request, inference_id)
        if self._places.locked():
            raise Unavailable(f"{MAX_AT_ONCE} artifacts are being sent already")
        async with self._places:
            await self._require_right(asker, inference_id)
            compressed = await compressed_of(self._database, inference_id)
        if compressed is None:
            raise NotFound("this host keeps no such artifact")
        return Response(compressed, media_type=MEDIA_TYPE)

    async def _asker(self, request: Request, inference_id: str) -> str:
        """The address of who asks, as its signature says."""
        address, stamp = request.headers.get(ADDRESS_HEADER, ""), request.headers.get(TIMESTAMP_HEADER, "")
        if not address:
            raise Unauthorized(f"{ADDRESS_HEADER} is required")
        if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > MAX_TIMESTAMP_DIGITS:
            raise BadRequest(f"{TIMESTAMP_HEADER} must be the time in nanoseconds since 1970", param=TIMESTAMP_HEADER)
        if abs(self._now_ns() - int(stamp)) > FRESHNESS_NS:
            raise OutsideTimeWindow(f"{TIMESTAMP_HEADER} is too far from this host's clock")
        try:
            signature = decode_signature(request.headers.get(SIGNATURE_HEADER, ""))
        except InvalidSignature as error:
            raise Unauthorized(str(error)) from None
        message = artifact_sign_bytes(self._chain.chain_id, self._address, inference_id, int(stamp))
        keys = await self._chain.public_keys(address, REPORT_TYPE)
        if not any(verify(key, message, signature) for key in keys):
            raise Unauthorized("the signature does not cover this request")
        return address

    async def _require_right(self, asker: str, inference_id: str) -> None:
        """Raises NotFound, NotPermitted, Unavailable, LedgerError."""
        if (inference_id, asker) in self._drawn:
            return
        record, moment = await self._chain.inference(inference_id), self._phases.moment
        if moment is None:
            raise Unavailable("this host has not seen a block yet")
        if record is None:
            raise NotFound("the chain has no such answer")
        params = (await self._epochs.get(record.finished_epoch_id, moment)).params.validation_params
        if record.executed_by == self._address and await is_drawn(self._chain, record, params, asker):
            self._drawn[inference_id, asker] = None
            if len(self._drawn) > MAX_REMEMBERED:
                self._drawn.popitem(last=False)
            return
        dispute = await dispute_on(self._chain, inference_id)
        if (
            dispute is None
            or self._address not in (record.executed_by, dispute.accuser)
            or not await has_vote(self._chain, record, dispute, asker)
        ):
            raise NotPermitted(f"{asker!r} is not drawn for this answer, and has no vote on it")
