"""Published Python clients, in an environment of their own: two copies of one protobuf file cannot live in a process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.wallet_chain import WalletChain, running_chain

CLIENTS = ("openai==3.57.0", "httpx==0.28.1", "gonka-openai==0.2.6")
INSTALL_TIMEOUT_SECONDS = 240
RUN_TIMEOUT_SECONDS = 120
SCRIPTS = Path(__file__).parent


@pytest.fixture(scope="session")
def wallet_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalletChain]:
    """A real chain for wallets and explorers."""
    with running_chain(tmp_path_factory.mktemp("chain")) as running:
        yield running


@pytest.fixture(scope="session")
def client_python() -> Path:
    """A Python that has the clients, kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pivot" / "clients"
    folder = cache / "-".join(name.replace("==", "-") for name in CLIENTS)
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        uv = shutil.which("uv")
        if uv is None:
            pytest.skip("uv is not installed")
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *CLIENTS],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
            if done.returncode:
                pytest.skip(f"the clients cannot be installed here: {done.stderr[-300:]}")
        ready.touch()
    return python


@pytest.fixture(scope="session")
def run_client(client_python: Path) -> Callable[..., str]:
    """Run a script of this folder with the clients, with these variables; what it printed."""

    def run(script: str, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [str(client_python), str(SCRIPTS / script), *arguments],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
