"""Machines with addresses of their own, on this one: Linux network namespaces, connected by switches that nothing else is on.

No interface of this machine is touched: the switches stand in a namespace of their own, and a test speaks from a machine by
opening its sockets inside that machine's namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x4000_0000
COMMAND_TIMEOUT_SECONDS = 60
ENDING_SECONDS = 30
PREFIX_LENGTH = 24
BETWEEN_TWO = frozenset({"Connection", "Host", "Keep-Alive", "Transfer-Encoding"})
"""Headers that concern one connection: a proxy does not pass them on."""
_system = ctypes.CDLL(None, use_errno=True)


def why_none() -> str:
    """Why this machine can hold no others; empty when it can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces are for root on Linux"
    if shutil.which("ip") is None:
        return "the command `ip` is missing (Debian's package iproute2)"
    probe = _fresh_name()
    try:
        with _namespace(probe):
            _ip("-n", probe, "link", "add", "switch", "type", "bridge")
            _ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other")
    except subprocess.CalledProcessError as error:
        return f"`{' '.join(error.cmd)}` is not permitted here: {error.stderr.strip()}"
    return ""


class Machine:
    """One machine. `folder` holds its files, `logs` in it what its processes say."""

    def __init__(self, name: str, namespace: str, folder: Path) -> None:
        self.name = name
        self.namespace = namespace
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self._processes: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets and processes that this thread makes are the machine's, until the block ends. Nothing may wait in it."""
        with OWN_NAMESPACE.open() as own, (NAMESPACES / self.namespace).open() as machine:
            _enter(machine.fileno())
            try:
                yield
            finally:
                _enter(own.fileno())

    def start(self, name: str, *arguments: str, environment: Mapping[str, str]) -> None:
        """Start `pivot …` on the machine; it runs until `end`."""
        with (self.logs / f"{name}.log").open("wb") as log, self.inside():
            process = subprocess.Popen(_pivot(*arguments), env=_with(environment), stdout=log, stderr=log)
        self._processes.append(process)

    def pivot(self, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """`pivot …` as somebody at the machine's terminal runs it."""
        with self.inside():
            process = subprocess.Popen(
                _pivot(*arguments), env=_with(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        with process:
            try:
                told, complaint = process.communicate(timeout=COMMAND_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, told, complaint)

    def session(self) -> aiohttp.ClientSession:
        """A client at this machine."""
        connector = aiohttp.TCPConnector(socket_factory=lambda info: self.socket(*info[:3]))
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        with self.inside():
            opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened

    def reaches(self, host: str, port: int, patience_seconds: float = 2.0) -> bool:
        """Whether a connection from here is accepted there. Blocks."""
        with self.socket() as attempt:
            attempt.settimeout(patience_seconds)
            return not _fails(attempt, host, port)

    @asynccontextmanager
    async def proxy(self, host: str, port: int, upstreams: Mapping[str, str]) -> AsyncIterator[None]:
        """A reverse proxy on this machine: what comes below a path goes to the URL that it stands for."""
        async with self.session() as http:
            app = web.Application()
            for path, upstream in upstreams.items():
                app.router.add_route("*", f"/{path}/{{rest:.*}}", _forwarding(http, upstream))
            runner = web.AppRunner(app, handle_signals=False)
            await runner.setup()
            listener = self.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            try:
                await web.SockSite(runner, listener).start()
                yield
            finally:
                await runner.cleanup()
                listener.close()

    def end(self) -> None:
        """End all that runs on the machine: gently what was started here, then by force whatever is left."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_SECONDS)
        for pid in _ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self._processes:
            process.wait()


class Machines:
    """Machines on switches; a context manager, after which nothing of them is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = _fresh_name()
        self._switches: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(_namespace(self._name))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, **addresses: str) -> Machine:
        """A machine with an address on each of the switches named, which are made when they are first named."""
        namespace = f"{self._name}-{name}"
        self._stack.enter_context(_namespace(namespace))
        machine = Machine(name, namespace, self._folder / name)
        self._stack.callback(machine.end)
        _ip("-n", namespace, "link", "set", "lo", "up")
        for switch, address in addresses.items():
            self._connect(name, namespace, switch, address)
        return machine

    def unplug(self, machine: Machine, switch: str) -> None:
        """Take the machine's cable out of the switch."""
        _ip("-n", self._name, "link", "set", _port(machine.name, switch), "down")

    def plug(self, machine: Machine, switch: str) -> None:
        """Put it in again."""
        _ip("-n", self._name, "link", "set", _port(machine.name, switch), "up")

    def _connect(self, name: str, namespace: str, switch: str, address: str) -> None:
        if switch not in self._switches:
            self._switches.add(switch)
            _ip("-n", self._name, "link", "add", switch, "type", "bridge")
            _ip("-n", self._name, "link", "set", switch, "up")
        port = _port(name, switch)
        cable = ("type", "veth", "peer", "name", switch, "netns", namespace)
        _ip("-n", self._name, "link", "add", port, *cable)
        _ip("-n", self._name, "link", "set", port, "master", switch, "up")
        _ip("-n", namespace, "address", "add", f"{address}/{PREFIX_LENGTH}", "dev", switch)
        _ip("-n", namespace, "link", "set", switch, "up")


def _port(machine: str, switch: str) -> str:
    """The name of a switch's port; the system allows 15 characters."""
    return f"{machine[:9]}-{switch[:5]}"


def _fresh_name() -> str:
    return f"pivot-{secrets.token_hex(3)}"


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        yield
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> str:
    command = ["ip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _enter(namespace: int) -> None:
    if _system.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _fails(attempt: socket.socket, host: str, port: int) -> bool:
    try:
        attempt.connect((host, port))
    except OSError:
        return True
    return False


def _pivot(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pivot.cli", *arguments]


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of its own network node, and with those of the machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAPI_", "CONFIG_", "MLNODE_"))}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", **environment}


def _forwarding(http: aiohttp.ClientSession, upstream: str) -> Any:
    async def forward(request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.title() not in BETWEEN_TWO}
        url = f"{upstream}/{request.match_info['rest']}"
        async with http.request(request.method, url, data=await request.read(), headers=headers) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.title() not in BETWEEN_TWO}
            response = web.StreamResponse(status=answer.status, headers=passed)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    return forward
