"""`POST /admin/v1/claim-reward/recover`: the host claims its rewards by hand, in the published shape."""

from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from pivot.api.rewards.claimer import Claimer
from pivot.protocol.mlnode_api import MAX_EPOCH


class RecoverClaim(BaseModel):
    """Body of the request."""

    model_config = ConfigDict(extra="ignore")

    force_claim: bool = False
    """Claim also when checks of answers are missing."""
    epoch_index: Annotated[int, Field(ge=1, le=MAX_EPOCH)] | None = None
    """The epoch that ended last, which is the only one that can be claimed, when it is not named."""


class ClaimRecovered(BaseModel):
    """What became of it."""

    success: bool
    message: str
    epoch_index: int
    missed_validations: int
    already_claimed: bool
    claim_executed: bool


def serve_claims(app: FastAPI, claimer: Claimer) -> None:
    """Add the route to the admin port."""

    @app.post("/admin/v1/claim-reward/recover")
    async def recover(wanted: RecoverClaim) -> ClaimRecovered:
        """Claim the rewards of the epoch that ended last; while checks of answers are missing only by force."""
        done = await claimer.recover(wanted.epoch_index, force=wanted.force_claim)
        return ClaimRecovered(
            success=done.claim_executed or done.already_claimed,
            message=done.message,
            epoch_index=done.epoch_index,
            missed_validations=done.missed_validations,
            already_claimed=done.already_claimed,
            claim_executed=done.claim_executed,
        )
