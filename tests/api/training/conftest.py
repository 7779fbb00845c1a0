import pytest

from tests.api.fleet.chain import FakeOutbox, FakePhases, epoch
from tests.api.training.network import TrainingChain


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
