from pathlib import Path

import pytest

from pivot.mlnode.engines.embedded.served import ServedModel


@pytest.fixture(scope="session")
def served(models: Path) -> ServedModel:
    """The random model, loaded."""
    return ServedModel.load(models / "tiny-random", "pivot/tiny-random")
