from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.mlnode.engines.tiny import make_model
from tests.mlnode.fakes import FakeApiNode


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one random model, `tiny-random`."""
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "tiny-random")
    return folder


@pytest.fixture
async def api() -> AsyncIterator[FakeApiNode]:
    """A fake API node that takes call-backs."""
    async with FakeApiNode.running() as node:
        yield node


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
