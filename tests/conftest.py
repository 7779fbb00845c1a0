"""A whole network as real processes, made once for all tests of this folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.network import Network

UP_TIMEOUT_SECONDS = 240


def pivot(*arguments: str, timeout: float = UP_TIMEOUT_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would."""
    command = [sys.executable, "-m", "pivot.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the shared network come last: none runs beside those that have networks of their own."""
    items.sort(key=lambda item: "two_hosts" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def two_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two hosts with an ML node each, epochs of 120 blocks."""
    home = tmp_path_factory.mktemp("network")
    up = pivot("devnet", "up", "--home", str(home), "--hosts", "2", "--preset", "test", "--detach", "--json")
    if up.returncode:
        pytest.fail(f"the network did not come up: {up.stderr}\n{tails(home)}")
    contract: dict[str, Any] = json.loads(up.stdout)
    assert contract == json.loads((home / "devnet.json").read_text())
    yield Network(home, contract)
    down = pivot("devnet", "down", "--home", str(home))
    assert down.returncode == 0, down.stderr


def tails(home: Path) -> str:
    """The last lines of every log, for a failure's report."""
    return "\n".join(
        f"== {path.stem}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        for path in sorted((home / "logs").glob("*.log"))
    )
