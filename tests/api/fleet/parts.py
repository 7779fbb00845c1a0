"""Fixtures: the parts of an API node around the fleet."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from pivot.api.identity import Identity
from pivot.api.settings import ApiSettings
from pivot.api.tls import session_to_ml_nodes
from tests.api.fleet.chain import FakeChain, FakeOutbox, key


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    settings = ApiSettings(home=tmp_path)
    settings.api.allow_private_urls = True
    return settings


@pytest.fixture
def identity() -> Identity:
    return Identity(account=key(1), gateway=key(2))


@pytest.fixture
async def http(settings: ApiSettings) -> AsyncIterator[aiohttp.ClientSession]:
    async with session_to_ml_nodes(settings.api) as session:
        yield session


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()
