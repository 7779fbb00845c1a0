from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.mlnode.fakes import FakeApiNode


@pytest.fixture
async def api() -> AsyncIterator[FakeApiNode]:
    """A fake API node that takes call-backs."""
    async with FakeApiNode.running() as node:
        yield node


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
