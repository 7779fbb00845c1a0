"""`/api/v1/pow/…`: the proof of compute."""

from __future__ import annotations

from fastapi import APIRouter

from pivot.mlnode.callback_hosts import CallbackHosts
from pivot.mlnode.changes import END_PROOF
from pivot.mlnode.service import Service
from pivot.protocol.mlnode_api import PowEnvelope, PowInit, PowStatus, ValidateRequest


def proof_routes(service: Service, callback_hosts: CallbackHosts) -> APIRouter:
    """callback_hosts: where results may go."""
    router = APIRouter()

    def envelope() -> PowEnvelope:
        return PowEnvelope(pow_status=service.pow_status)

    @router.post("/init/generate", response_model_exclude_none=True)
    async def generate(init: PowInit) -> PowEnvelope:
        """Generate fingerprints; they go to `url/generated`. The same request again changes nothing."""
        await callback_hosts.require(init.url)
        await service.generate(init)
        return envelope()

    @router.post("/init/validate", response_model_exclude_none=True)
    async def validate(init: PowInit) -> PowEnvelope:
        """Be ready to check leaves of other hosts."""
        await callback_hosts.require(init.url)
        await service.validate(init)
        return envelope()

    @router.post("/validate")
    async def submit(request: ValidateRequest) -> None:
        """Check leaves; the distances go to `url/validated`."""
        service.submit(request)

    @router.get("/status", response_model_exclude_none=True)
    async def status() -> PowStatus:
        """What the proof of compute is doing."""
        return service.pow_status

    @router.post("/stop", response_model_exclude_none=True)
    async def stop() -> PowEnvelope:
        """End the proof of compute, giving computed leaves a moment to be sent."""
        await service.stop(END_PROOF)
        return envelope()

    return router
