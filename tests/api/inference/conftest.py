from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.databases import DatabaseAt
from tests.api.inference.network import Network, running_network


@pytest.fixture
async def network(tmp_path: Path, database_at: DatabaseAt) -> AsyncIterator[Network]:
    async with running_network(tmp_path, database_at=database_at) as network:
        yield network
