from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.inference.network import Network, running_network


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    async with running_network(tmp_path) as network:
        yield network
