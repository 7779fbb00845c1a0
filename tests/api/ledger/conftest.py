from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.api.ledger.engine import FakeEngine, FakeGateway


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway()
    server = await gateway.serve()
    yield gateway
    await server.stop(None)
