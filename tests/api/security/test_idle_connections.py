"""10,000 connections that want nothing: they cost a port a bounded amount of memory, and whoever asks is answered meanwhile."""

import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pivot.api.listening import MAX_CONNECTIONS

IDLE = 10_000
SPARE_FILES = 200
"""That a test's process has open beside connections."""
MAX_GROWTH_BYTES = 64 * 2**20
ASK_EVERY = 1_000
RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)
PORT = """
import asyncio
from pivot.api.listening import Listener, allow_open_files, bind

async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

async def main():
    allow_open_files()
    bound = bind("127.0.0.1", 0, "PORT")
    await Listener(answer, bound).start()
    print(bound.getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def port() -> Iterator[tuple[int, int]]:
    """The id of a process that serves a port as the node does, and the port."""
    with subprocess.Popen([sys.executable, "-c", PORT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def files_allowed(number: int) -> Iterator[int]:
    """So many open files, or as many as this machine lets a process have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = number if before[1] == resource.RLIM_INFINITY else min(number, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def connection(number: int) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", number), timeout=30)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_WHEN_CLOSED)
    return opened


def require_served(number: int) -> None:
    with connection(number) as asking:
        asking.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        told = b""
        while piece := asking.recv(4_096):
            told += piece
    assert told.endswith(b"ok"), told


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a4_ten_thousand_idle_connections_cost_little_and_others_are_served() -> None:
    with files_allowed(IDLE + SPARE_FILES) as allowed, port() as (pid, number), ExitStack() as stack:
        idle = min(IDLE, allowed - SPARE_FILES)
        require_served(number)
        before = resident_bytes(pid)
        kept = []
        for count in range(1, idle + 1):
            kept.append(stack.enter_context(connection(number)))
            if count % ASK_EVERY == 0:
                require_served(number)
        require_served(number)
        assert resident_bytes(pid) - before < MAX_GROWTH_BYTES
        open_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        assert open_files < MAX_CONNECTIONS + SPARE_FILES
        if idle > MAX_CONNECTIONS:
            kept[0].settimeout(5)
            assert kept[0].recv(1) == b""  # who has waited longest was let go
    if idle < IDLE:
        pytest.skip(f"held with {idle} connections: this machine allows a process {allowed} open files")
