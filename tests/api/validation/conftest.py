import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import engine_app
from tests.api.databases import DatabaseAt
from tests.api.fleet.chain import FakePhases, epoch
from tests.api.serving import serving
from tests.api.validation.network import EPOCH, MODEL, CheckChain, Host, host

TINY_MODEL = Path(__file__).parents[3] / "models" / "tiny-chat"


@pytest.fixture(scope="session")
def tiny_model() -> ServedModel:
    return ServedModel.load(TINY_MODEL, MODEL)


@pytest.fixture
async def engine_url(tiny_model: ServedModel) -> AsyncIterator[str]:
    """The embedded engine with the tiny chat model, as a node serves it."""
    scheduler = Scheduler(Batch(tiny_model.decoder, 4), 64)
    stepping = asyncio.create_task(scheduler.run())
    async with serving(engine_app(tiny_model, scheduler)) as url:
        yield url
    stepping.cancel()
    await asyncio.gather(stepping, return_exceptions=True)


@pytest.fixture
def chain() -> CheckChain:
    chain = CheckChain()
    chain.latest = chain.effective = epoch(EPOCH)
    return chain


@pytest.fixture
def phases(chain: CheckChain) -> FakePhases:
    return FakePhases(chain)


@pytest.fixture
async def hosts(
    chain: CheckChain, phases: FakePhases, tmp_path: Path, engine_url: str, database_at: DatabaseAt
) -> AsyncIterator[list[Host]]:
    """Executor, checker, and a third host, of the same weight."""
    async with AsyncExitStack() as stack:
        homes = [tmp_path / f"host{number}" for number in (1, 2, 3)]
        for home in homes:
            home.mkdir()
        found = [
            await stack.enter_async_context(host(chain, phases, home, engine_url, number, database_at))
            for number, home in enumerate(homes, 1)
        ]
        chain.form({each.address: 10 for each in found})
        yield found
