from pathlib import Path

import pytest

from pivot.mlnode.engines.embedded.served import ServedModel
from tests.mlnode.engines.tiny import make_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one random model, `tiny-random`."""
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "tiny-random")
    return folder


@pytest.fixture(scope="session")
def served(models: Path) -> ServedModel:
    return ServedModel.load(models / "tiny-random", "pivot/tiny-random")
