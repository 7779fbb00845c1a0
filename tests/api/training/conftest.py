from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from tests.api.fleet.chain import FakeOutbox, FakePhases, epoch
from tests.api.training.network import TrainingChain

Post = Callable[[str, bytes, dict[str, str]], Awaitable[tuple[int, str]]]


@pytest.fixture
def chain() -> TrainingChain:
    """Serving in epoch 1."""
    return TrainingChain(latest=epoch(1), effective=epoch(1))


@pytest.fixture
def outbox(chain: TrainingChain) -> FakeOutbox:
    return FakeOutbox(on_put=chain.take)


@pytest.fixture
def phases(chain: TrainingChain) -> FakePhases:
    return FakePhases(chain)


@pytest.fixture
async def http_post() -> AsyncIterator[Post]:
    """Posts a body. Gives the status and the text of the answer."""
    async with aiohttp.ClientSession() as session:

        async def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
            async with session.post(url, data=body, headers=headers) as answer:
                return answer.status, await answer.text()

        yield post
