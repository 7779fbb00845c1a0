"""Showing what this host has answered to whoever must check it, and to nobody else."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from pivot.api.between_hosts.signatures import Signatures
from pivot.api.database import Database
from pivot.api.epochs.served import ServedEpochs
from pivot.api.http.errors import BadRequest, NotFound, NotPermitted, Unavailable
from pivot.api.identity import Identity
from pivot.api.inference.artifacts import compressed_of
from pivot.api.ledger.interface import Chain
from pivot.api.phases import Phases
from pivot.api.validation.artifacts_api import MEDIA_TYPE, REPORT_TYPE
from pivot.api.validation.rights import dispute_on, has_vote, is_drawn
from pivot.protocol.signing import artifact_sign_bytes

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
        self._signatures = Signatures(chain, now_ns=now_ns)
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._drawn: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def endpoint(self, request: Request) -> Response:
        """The route `artifacts_api.ARTIFACT_PATH`. Raises ApiError, LedgerError."""
        inference_id = str(request.path_params["inference_id"])
        if len(inference_id) > MAX_ID_LENGTH:
            raise BadRequest(f"an id has at most {MAX_ID_LENGTH} characters", param="inference_id")
        words = partial(artifact_sign_bytes, self._chain.chain_id, self._address, inference_id)
        asker = await self._signatures.require(request.headers, words, REPORT_TYPE)
        if self._places.locked():
            raise Unavailable(f"{MAX_AT_ONCE} artifacts are being sent already")
        async with self._places:
            await self._require_right(asker, inference_id)
            compressed = await compressed_of(self._database, inference_id)
        if compressed is None:
            raise NotFound("this host keeps no such artifact")
        return Response(compressed, media_type=MEDIA_TYPE)

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
