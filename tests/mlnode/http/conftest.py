from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from pivot.mlnode.http.app import management_app
from pivot.mlnode.poc.session import PowSession
from pivot.mlnode.service import Service
from tests.mlnode.fakes import FakeEngine, FakeTraining, client, served
from tests.mlnode.http.bodies import Call


@pytest.fixture
async def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def training() -> FakeTraining:
    return FakeTraining()


@pytest.fixture
async def service(session: aiohttp.ClientSession, engine: FakeEngine, training: FakeTraining) -> AsyncIterator[Service]:
    service = Service(PowSession(session), engine, training)
    yield service
    await service.stop()


@pytest.fixture
async def call(service: Service) -> AsyncIterator[Call]:
    """Calls a route below /api/v1. Returns status and body."""
    async with served(management_app(service)) as url, client(url) as http:

        async def call(method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
            async with http.request(method, f"/api/v1{path}", json=body, **options) as response:
                return response.status, await response.json()

        yield call
