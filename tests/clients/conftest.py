"""Published clients, in environments of their own: two copies of one protobuf file cannot live in a process."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.clients import pooling_network
from tests.clients.wallet_chain import WalletChain, running_chain
from tests.e2e.network import Network

CLIENTS = ("openai==3.57.0", "httpx==0.28.1", "gonka-openai==0.2.6")
FRAMEWORKS = ("langchain-openai==1.7.4", "litellm==1.110.2")
JAVASCRIPT = ("openai@7.57.0", "gonka-openai@0.2.2")
INSTALL_TIMEOUT_SECONDS = 240
RUN_TIMEOUT_SECONDS = 120
SCRIPTS = Path(__file__).parent
READY = ".ready"


@pytest.fixture(scope="session")
def wallet_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalletChain]:
    """A real chain for wallets and explorers."""
    with running_chain(tmp_path_factory.mktemp("chain")) as running:
        yield running


@pytest.fixture(scope="session")
def pooling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network whose hosts serve a model for embeddings, too."""
    home, folder = tmp_path_factory.mktemp("pooling"), tmp_path_factory.mktemp("people")
    with pooling_network.running(home) as network, pooling_network.ml_nodes(network) as nodes:
        asyncio.run(pooling_network.serve_vectors(network, nodes, folder))
        yield network


@pytest.fixture(scope="session")
def client_python() -> Path:
    """A Python that has the OpenAI clients."""
    return _python_with(CLIENTS)


@pytest.fixture(scope="session")
def run_client(client_python: Path) -> Callable[..., str]:
    """Run a script of this folder with the OpenAI clients, with these variables; what it printed."""
    return _runner(client_python)


@pytest.fixture(scope="session")
def run_framework() -> Callable[..., str]:
    """As `run_client`, with LangChain and LiteLLM."""
    return _runner(_python_with(FRAMEWORKS))


@pytest.fixture(scope="session")
def run_javascript() -> Callable[..., str]:
    """As `run_client`, with the clients for JavaScript."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    folder = _cache("-".join(name.replace("@", "-") for name in JAVASCRIPT))
    if not (folder / READY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *JAVASCRIPT])
        (folder / READY).touch()
    for script in SCRIPTS.glob("ask_*.mjs"):
        shutil.copy(script, folder)  # modules are looked for beside the script
    return _runner(Path(node), folder)


def _python_with(packages: Sequence[str]) -> Path:
    """A Python that has the packages, kept between runs."""
    folder = _cache("-".join(name.replace("==", "-") for name in packages))
    python = folder / "bin" / "python"
    if not (folder / READY).exists():
        uv = shutil.which("uv")
        if uv is None:
            pytest.skip("uv is not installed")
        _install([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _install([uv, "pip", "install", "--quiet", "--python", str(python), *packages])
        (folder / READY).touch()
    return python


def _cache(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pivot" / "clients" / name


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False)
    if done.returncode:
        pytest.skip(f"the clients cannot be installed here: {done.stderr[-300:]}")


def _runner(program: Path, scripts: Path = SCRIPTS) -> Callable[..., str]:
    def run(script: str, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [str(program), str(scripts / script), *arguments],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
