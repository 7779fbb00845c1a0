"""`/api/v1/train/…`: a training."""

from __future__ import annotations

from fastapi import APIRouter

from pivot.mlnode.changes import END_TRAINING
from pivot.mlnode.http.unguarded import require_guarded
from pivot.mlnode.service import Service
from pivot.protocol.mlnode_api import Failed, TrainStart, TrainStatus

STARTED = {"status": "Training started"}
ENDED = {"status": "Training stopped"}


def training_routes(service: Service, guarded: bool) -> APIRouter:
    """guarded: whether a training may be started by who asks."""
    router = APIRouter()

    @router.post("/start", responses={500: {"model": Failed}})
    async def start(request: TrainStart) -> dict[str, str]:
        """Start the host's training command with this configuration. Answers once it runs."""
        require_guarded(guarded, "training")
        await service.train(request)
        return STARTED

    @router.post("/stop")
    async def stop() -> dict[str, str]:
        """End the training."""
        await service.stop(END_TRAINING)
        return ENDED

    @router.get("/status", response_model_exclude_none=True)
    async def status() -> TrainStatus:
        """Whether a training runs, what it last wrote, and how the last one ended."""
        return service.train_status

    return router
