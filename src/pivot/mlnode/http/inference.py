"""`/api/v1/inference/…`: serving a model."""

from __future__ import annotations

from fastapi import APIRouter

from pivot.mlnode.changes import END_SERVING
from pivot.mlnode.http.unguarded import require_guarded
from pivot.mlnode.service import Service
from pivot.protocol.mlnode_api import Done, Failed, InferenceStatus, InferenceUp


def inference_routes(service: Service, guarded: bool) -> APIRouter:
    """guarded: whether arguments of the engine may be taken from who asks."""
    router = APIRouter()

    @router.post("/up", responses={500: {"model": Failed}})
    async def up(request: InferenceUp) -> Done:
        """Serve a model. Answers once the engine does; the same request again changes nothing."""
        require_guarded(guarded or not request.additional_args, "engine arguments")
        await service.serve(request)
        return Done()

    @router.post("/down")
    async def down() -> Done:
        """End serving."""
        await service.stop(END_SERVING)
        return Done()

    @router.get("/status", response_model_exclude_none=True)
    async def status() -> InferenceStatus:
        """What serves, or how far its start has come; whatever the node is doing."""
        return service.inference_status

    return router
