"""One real engine and one real application, as processes that a test may kill."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pivot.node.engine import find_engine
from pivot.node.engine_home import EngineHome, engine_config, genesis_document
from tests.chain.chain import CHAIN_ID, app_state, lone_host

START_SECONDS = 30.0
NOTICE_SECONDS = 1.0
WAIT_SECONDS = 0.02
ANSWER_SECONDS = 5.0


class Node:
    """An engine behind an application; the only validator of its chain."""

    def __init__(
        self,
        home: Path,
        balances: dict[str, int],
        timeout_commit: str = "20ms",
        sections: Mapping[str, Any] | None = None,
    ) -> None:
        """`sections`: further ones of the genesis."""
        self.home = home
        self.socket = home / "application.sock"
        self.rpc = f"127.0.0.1:{free_port()}"
        self._engine_home = EngineHome(home / "engine")
        self._engine_home.make_keys()
        self._engine_home.write_config(
            engine_config(
                moniker="test",
                abci_socket=self.socket,
                rpc=self.rpc,
                p2p=f"127.0.0.1:{free_port()}",
                timeout_commit=timeout_commit,
                peers=[],
                on_one_machine=True,
            ),
            environment={},
        )
        consensus_key = self._engine_home.consensus_key()
        state = app_state(balances, lone_host(consensus_key)) | dict(sections or {})
        document = genesis_document(CHAIN_ID, "2026-01-01T00:00:00Z", {consensus_key: 10}, state)
        self._engine_home.genesis_file.write_text(json.dumps(document))
        self.application: subprocess.Popen[bytes] | None = None
        self.engine: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both; returns when the engine answers."""
        command = [
            sys.executable,
            "-m",
            "pivot.chain",
            "--home",
            str(self.home / "chain"),
            "--socket",
            str(self.socket),
        ]
        self.application = self._spawn("application", command)
        wait_until(self.socket.exists)
        self.engine = self._spawn("engine", [str(find_engine()), "start", "--home", str(self._engine_home.path)])
        wait_until(lambda: self.ask("status") is not None)

    def kill(self) -> None:
        """Kill both at once, as a power cut would."""
        for process in (self.engine, self.application):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()
        self.socket.unlink(missing_ok=True)

    def kill_application(self) -> None:
        """Kill the application alone. The engine then ends by itself, or hangs in doing so: it is killed a second later."""
        assert self.application is not None
        assert self.engine is not None
        os.kill(self.application.pid, signal.SIGKILL)
        self.application.wait()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.engine.wait(NOTICE_SECONDS)
        self.kill()

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of an RPC call; None while the engine does not answer."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(f"http://{self.rpc}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return json.loads(answer.read()).get("result")
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def broadcast(self, raw: bytes) -> dict[str, Any] | None:
        """Hand in a transaction and hear what CheckTx says."""
        return self.ask("broadcast_tx_sync", tx=base64.b64encode(raw).decode())

    def query(self, path: str, data: bytes = b"", *, prove: bool = False) -> dict[str, Any]:
        """An ABCI query."""
        answer = self.ask("abci_query", path=path, data=data.hex(), prove=prove)
        assert answer is not None
        response: dict[str, Any] = answer["response"]
        return response

    def height(self) -> int:
        """Of the last block that the application has committed."""
        info = self.ask("abci_info")
        return 0 if info is None else int(info["response"].get("last_block_height", 0))

    def _spawn(self, name: str, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)


def wait_until(holds: Any, seconds: float = START_SECONDS) -> None:
    """Wait until something holds. Raises AssertionError when it takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(WAIT_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
