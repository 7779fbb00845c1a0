from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.api.fleet import reconciler
from pivot.api.poc import host_check
from tests.api.databases import DatabaseAt
from tests.api.fleet.chain import FakeChain, FakePhases
from tests.api.fleet.parts import chain, http, identity, outbox, settings
from tests.api.poc.host import Host, host

__all__ = ["chain", "http", "identity", "outbox", "settings"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "TRANSITION_POLL_S", 0.02)
    monkeypatch.setattr(host_check, "RETRY_PAUSE_S", 0.02)


@pytest.fixture
def phases(chain: FakeChain) -> FakePhases:
    return FakePhases(chain)


@pytest.fixture
async def one(chain: FakeChain, phases: FakePhases, tmp_path: Path, database_at: DatabaseAt) -> AsyncIterator[Host]:
    async with host(chain, phases, tmp_path, database_at) as one:
        yield one
