"""A chain with three funded accounts, and a keyring that holds their keys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.node.keyring.keyring import open_keyring
from tests.chain.chain import Chain, key
from tests.cli.conftest import Pivot
from tests.cli.engine import FakeEngine, served

COINS = 100_000_000
NAMES = ("alice", "bob", "carol")


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    chain = Chain({key(name).address: COINS for name in NAMES})
    async with served(chain) as engine:
        yield engine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIVOT_KEYRING_BACKEND", "test")
    monkeypatch.setenv("PIVOT_HOME", str(tmp_path))
    ring = open_keyring(tmp_path, "test", lambda _: "")
    for name in NAMES:
        ring.add(name, key(name))
    return tmp_path


@pytest.fixture
def ask(pivot: Pivot, engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch) -> Pivot:
    """`pivot` with the chain's node and the keyring."""
    monkeypatch.setenv("PIVOT_NODE", engine.url)
    return pivot
