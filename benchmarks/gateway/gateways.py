"""The gateways that are compared: how each is started, and what a request to it looks like."""

import itertools
import json
import os
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from pathlib import Path

from benchmarks.gateway import node, processes
from pivot.primitives.keys import PrivateKey
from pivot.protocol import signing
from tests.api.inference.network import BLOCK_TIME_NS, MODEL

START_SECONDS = 120.0
END_SECONDS = 10.0
KEY = "sk-benchmark"


@dataclass
class Gateway(ABC):
    """One that runs."""

    name: str
    version: str
    port: int
    pid: int

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return processes.family(self.pid)

    @abstractmethod
    def request(self, body: bytes) -> bytes:
        """An HTTP request with this body, to be sent once."""


class Direct(Gateway):
    """No gateway: the upstream itself."""

    def request(self, body: bytes) -> bytes:
        return _http_request(body, {})


class Pivot(Gateway):
    """Its API node. The developer signs every request, as gonka-openai does."""

    developer: PrivateKey
    address: str
    _stamps = itertools.count(BLOCK_TIME_NS)

    def request(self, body: bytes) -> bytes:
        stamp = next(self._stamps)
        signed = signing.developer_sign_bytes(signing.body_hash(body), stamp, self.address)
        headers = {
            "Authorization": self.developer.sign_base64(signed),
            "X-Requester-Address": self.developer.address,
            "X-Timestamp": str(stamp),
        }
        return _http_request(body, headers)


class WithKey(Gateway):
    """One that wants a bearer token."""

    def request(self, body: bytes) -> bytes:
        return _http_request(body, {"Authorization": f"Bearer {KEY}"})


@contextmanager
def pivot(context: SpawnContext, upstream: int, folder: Path, version: str, profile: Path | None) -> Iterator[Pivot]:
    """Pivot's API node."""
    home = folder / "pivot"
    home.mkdir()
    developer = PrivateKey(node.new_seed())
    parent, child = context.Pipe()
    process = context.Process(
        target=node.run, args=(child, upstream, home, developer.address, profile), daemon=True, name="pivot"
    )
    process.start()
    port, address = parent.recv()
    gateway = Pivot("pivot", version, port, process.pid or 0)
    gateway.developer, gateway.address = developer, address
    try:
        yield gateway
    finally:
        parent.send("end")
        process.join(END_SECONDS)
        process.kill()


@contextmanager
def litellm(command: Path, upstream: int, folder: Path) -> Iterator[Gateway]:
    """LiteLLM's proxy as its pages have it for production: one worker, byte-compiled, little logging, no database."""
    port = _free_port()
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": KEY}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "litellm_settings": {"set_verbose": False, "request_timeout": 600, "telemetry": False},
        "general_settings": {"master_key": KEY, "disable_spend_logs": True},
    }
    file = folder / "litellm.json"
    file.write_text(json.dumps(config))
    settings = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    arguments = [str(command), "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    python = command.parent / "python"
    told = [str(python), "-c", "from importlib.metadata import version; print(version('litellm'))"]
    version = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
    yield from _started("litellm", version, arguments, settings, port, folder)


@contextmanager
def crabllm(command: Path, upstream: int, folder: Path) -> Iterator[Gateway]:
    """A gateway in Rust from crates.io (`cargo install crabllm`)."""
    port = _free_port()
    file = folder / "crabllm.toml"
    file.write_text(
        f'listen = "127.0.0.1:{port}"\n\n[[keys]]\nname = "benchmark"\nkey = "{KEY}"\nmodels = ["*"]\n\n'
        f'[providers.upstream]\nkind = "openai"\napi_key = "{KEY}"\nbase_url = "http://127.0.0.1:{upstream}/v1"\n'
        f'models = ["{MODEL}"]\n'
    )
    installed = json.loads((command.parents[1] / ".crates2.json").read_text())["installs"]
    version = next(name.split()[1] for name in installed if name.startswith("crabllm "))
    yield from _started(
        "crabllm", version, [str(command), "serve", "--config", str(file)], {"RUST_LOG": "error"}, port, folder
    )


def _started(
    name: str, version: str, arguments: list[str], settings: dict[str, str], port: int, folder: Path
) -> Iterator[Gateway]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | settings
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_for(port, process, folder / f"{name}.log")
            yield WithKey(name, version, port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the gateway did not start: {log.read_text()[-2_000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def _http_request(body: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{lines}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
