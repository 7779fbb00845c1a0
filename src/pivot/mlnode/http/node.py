"""`/api/v1/…`: the node itself, whatever it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fastapi import APIRouter
from pydantic import BaseModel

from pivot.mlnode.callback_hosts import CallbackHosts
from pivot.mlnode.devices import Device
from pivot.mlnode.model_cache import CachedModel
from pivot.mlnode.reach import Tries
from pivot.mlnode.service import Service
from pivot.mlnode.watches import DeviceWatch
from pivot.protocol.mlnode_api import CallbackTried, CallbackTry, Done, NodeState

Models = Callable[[], Sequence[CachedModel]]


class Devices(BaseModel):
    """Answer of `/gpu`."""

    devices: list[Device]
    reason: str | None = None
    """Why there are none."""
    warnings: list[str] = []
    """What was there and is not."""


class HeldModel(BaseModel):
    """One model of `/models`."""

    model: str
    revision: str
    """Empty in the host's own folder."""
    size_bytes: int
    missing: list[str]
    """Files without which it cannot be served."""


class HeldModels(BaseModel):
    """Answer of `/models`."""

    models: list[HeldModel]


class Version(BaseModel):
    """Answer of `/version`."""

    version: str


def node_routes(
    service: Service, devices: DeviceWatch, callback_hosts: CallbackHosts, models: Models, version: str, tries: Tries
) -> APIRouter:
    """Routes that belong to no mode."""
    router = APIRouter()

    @router.get("/state", response_model_exclude_defaults=True)
    async def state() -> NodeState:
        """What the node is doing, and what is amiss."""
        return service.state

    @router.post("/stop")
    async def stop() -> Done:
        """End whatever runs or is being started."""
        await service.stop()
        return Done()

    @router.get("/gpu", response_model_exclude_none=True)
    async def gpu() -> Devices:
        """The accelerators, as their driver's tool tells of them."""
        await devices.look()
        return Devices(devices=list(devices.devices), reason=devices.reason or None, warnings=devices.warnings)

    @router.get("/models")
    async def held() -> HeldModels:
        """The models on this machine's disk, and what is missing of them."""
        found = await asyncio.to_thread(models)
        return HeldModels(
            models=[
                HeldModel(
                    model=each.repository,
                    revision=each.revision,
                    size_bytes=each.size_bytes,
                    missing=list(each.missing),
                )
                for each in found
            ]
        )

    @router.get("/version")
    async def which() -> Version:
        """Of this software."""
        return Version(version=version)

    @router.post("/callback/try")
    async def try_callback(wanted: CallbackTry) -> CallbackTried:
        """Whether this machine reaches a network node's call-back port; whatever the node is doing."""
        await callback_hosts.require(wanted.url)
        return await tries.reach(wanted.url)

    return router
