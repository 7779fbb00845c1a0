"""What a client may do to a port: it gets a clear answer, costs a bounded amount, and others are served meanwhile."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pivot.api import listening
from pivot.api.fleet.fleet import HostFleet
from pivot.api.http import body as bodies
from tests.api.inference.network import Network
from tests.api.security.ports import ADMIN, CALLBACKS, INTERNALS, PUBLIC, Caller, Door, Ports, all_ports

EVERY_PORT = pytest.mark.parametrize("name", [PUBLIC, ADMIN, CALLBACKS])
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
NODE = b'{"id": "n", "host": "h", "inference_port": 1, "poc_port": 2, "max_concurrent": 1}'
LET_GO_S = 5.0
"""Long before the first answer, which waits for a free node, is given up."""
MANY = 100 * 2**20
"""Bytes of a body that nobody wants."""
TAKEN_AT_MOST = 12 * 2**20
"""Of it, until the port has closed: its own limit, and what the machine's sockets hold."""


@pytest.fixture
async def ports(network: Network, tmp_path: Path) -> AsyncIterator[Ports]:
    async with all_ports(network, tmp_path / "host") as ports:
        yield ports


def require_clear(told: bytes) -> None:
    assert not any(each.encode() in told for each in INTERNALS), told


async def pour(caller: Caller, piece: bytes, length: int) -> None:
    """Send so much of a body, as far as it is taken."""
    try:
        while caller.sent < length:
            await caller.send(piece)
    except ConnectionError:
        pass


@EVERY_PORT
async def test_a4_a_head_that_drips_is_told_to_hurry_and_let_go(
    ports: Ports, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.4)
    door = ports[name]
    async with Caller.at(door) as slow:
        for byte in b"POST / HTTP/1.1\r\nX: ":
            await slow.send(bytes([byte]))
        await door.require_others_are_served()
        status, _ = await slow.answer()
        assert (status, await slow.rest()) == (408, b"")


@EVERY_PORT
async def test_a4_a_body_that_drips_is_told_to_hurry_and_let_go(
    ports: Ports, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.4)
    door = ports[name]
    async with Caller.at(door) as slow:
        await slow.send(door.head("POST", "Content-Length: 1000"))

        async def drip() -> None:
            while True:
                await slow.send(b"{")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        await door.require_others_are_served()
        status, told = await slow.answer()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert status == (400 if name == PUBLIC else 408)
        assert b"was not whole after 0.4 s" in told or b"was not whole after 0 s" in told


@EVERY_PORT
@pytest.mark.parametrize("declared", [True, False], ids=["with Content-Length", "chunked"])
async def test_a4_a_body_of_100_mb_is_refused_on_every_port(ports: Ports, name: str, declared: bool) -> None:
    door = ports[name]
    async with Caller.at(door) as caller:
        await caller.send(door.head("POST", f"Content-Length: {MANY}" if declared else "Transfer-Encoding: chunked"))
        pouring = asyncio.create_task(pour(caller, CHUNK[7:-2] if declared else CHUNK, MANY))
        try:
            status, told = await caller.answer()
            assert status == 413
            assert b"error" in told
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it had closed the connection before the answer was read
        await door.require_others_are_served()
        taken = caller.sent
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
    assert taken < TAKEN_AT_MOST


PATHS = (
    "/%ff%fe",
    "/v1/models/%c3%28",
    "/%00",
    "/\xff\xfe",
    "/v1/participants/%ed%a0%80",
    "/?\xff=%ff",
    "//",
    "/..%2f..%2fetc",
)
HEADERS = (
    "X-Request-Id: \xff\xfe",
    "X-Request-Id: a\x00b",
    "X-Request-Id: a\x7fb\x01",
    "Authorization: Bearer \xff\xfe",
    "Authorization: \xff",
    "X-Requester-Address: \xc3\x28",
    "X-Timestamp: " + "١٢٣".encode().decode("latin-1"),
    "Content-Length: \xb2",
    "\xff: x",
    "Host: \xff",
    "If-None-Match: \xff",
    "X-Forwarded-For: \xff",
    "Content-Type: application/json; charset=\xff",
    "X-Start: \xff",
)


@EVERY_PORT
async def test_a4_paths_and_headers_that_are_no_text_are_answered(ports: Ports, name: str) -> None:
    door = ports[name]
    asked = [door.head("GET", path=path) for path in PATHS]
    asked += [door.head("POST", "Content-Length: 2", header) + b"{}" for header in HEADERS]
    for request in asked:
        async with Caller.at(door) as caller:
            await caller.send(request)
            status, told = await caller.answer()
        assert 200 <= status < 500, request
        require_clear(told)
    await door.require_others_are_served()


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
SHAPES = {
    "both lengths": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "both lengths, the other way round": ("Transfer-Encoding: chunked", "Content-Length: 5"),
    "two lengths": ("Content-Length: 5", "Content-Length: 50"),
    "a list of lengths": ("Content-Length: 5, 50",),
    "a signed length": ("Content-Length: +5",),
    "a negative length": ("Content-Length: -5",),
    "a length in hexadecimal": ("Content-Length: 0x5",),
    "a length beyond all": (f"Content-Length: {10**30}",),
    "a blank before the colon": ("Transfer-Encoding : chunked",),
    "chunked is not the last": ("Transfer-Encoding: chunked, identity",),
    "an encoding that is none": ("Transfer-Encoding: xchunked",),
    "a folded header": ("Transfer-Encoding:\r\n chunked", "Content-Length: 5"),
    "a bare line feed": ("Content-Length: 5\nTransfer-Encoding: chunked",),
    "a line feed within a value": ("X: a\nTransfer-Encoding: chunked", "Content-Length: 5"),
    "a zero byte in a name": ("Transfer-Encoding\x00: chunked", "Content-Length: 5"),
}


SIZES = ("-1", "1;" + "x" * 100, "10000000000000000", "g", "0x5", " 5", "+5")
"""Of a chunk that has two bytes."""


async def test_a4_a_request_with_two_ends_is_not_two_requests(ports: Ports) -> None:
    """Whichever end a proxy before this port has seen, nothing that comes behind it is taken for another's request."""
    door = ports[PUBLIC]
    asked = [door.head("POST", *headers) + b"0\r\n\r\n" for headers in SHAPES.values()]
    asked += [door.head("POST", "Transfer-Encoding: chunked") + f"{size}\r\nab\r\n".encode() for size in SIZES]
    for request in asked:
        async with Caller.at(door) as caller:
            await caller.send(request + SMUGGLED)
            status, told = await caller.answer()
            more = await caller.rest()
        assert (status, more) == (400, b""), request
        require_clear(told)
    assert not any(route == "none" for _, route, _ in ports.traffic.requests)
    await door.require_others_are_served()


@EVERY_PORT
async def test_a4_a_flood_of_headers_is_refused(ports: Ports, name: str) -> None:
    door = ports[name]
    for flood in (b"X: y\r\n" * 20_000, b"X: " + b"y" * 200_000, b"Cookie: a=b\r\n" * 20_000):
        async with Caller.at(door) as caller:
            try:
                await caller.send(door.head("GET")[:-2] + flood)
                assert await caller.answer() == (431, b"")
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # it was closed while the rest was still being sent
            await caller.rest()
    await door.require_others_are_served()


async def test_requests_that_do_not_wait_for_each_other_are_answered_in_order(ports: Ports) -> None:
    door = ports[PUBLIC]
    async with Caller.at(door) as caller:
        await caller.send(b"".join(door.head("GET", path=f"/v1/{number}" if number else "") for number in range(8)))
        assert [(await caller.answer())[0] for _ in range(8)] == [200] + [404] * 7


async def test_a4_who_sends_requests_without_end_and_waits_for_none_is_let_go(ports: Ports) -> None:
    door = ports[PUBLIC]
    ports.network.hosts[0].fleet.free.clear()
    ports.network.hosts[1].fleet.free.clear()
    question = ports.network.body()
    slow = door.head("POST", f"Content-Length: {len(question)}") + question
    async with Caller.at(door) as caller:
        await caller.send(slow + door.head("GET") * (listening.MAX_PIPELINED + 10))
        async with asyncio.timeout(LET_GO_S):
            assert await caller.rest() == b""
    await door.require_others_are_served()
    for each in ports.network.hosts:
        each.fleet.free.set()


async def test_a4_a_compressed_body_is_not_unpacked(ports: Ports) -> None:
    bomb = gzip.compress(b"[" * 64 * 2**20)
    assert len(bomb) < 2**17
    for door in ports.doors.values():
        for small in (gzip.compress(b"{}"), bomb[:60_000]):
            async with Caller.at(door) as caller:
                await caller.send(door.head("POST", "Content-Encoding: gzip", f"Content-Length: {len(small)}") + small)
                status, told = await caller.answer()
            assert status == 400
            require_clear(told)
        await door.require_others_are_served()
    assert b"Content-Encoding" in await refusal(ports[PUBLIC], gzip.compress(b"{}"))


async def refusal(door: Door, body: bytes) -> bytes:
    async with Caller.at(door) as caller:
        await caller.send(door.head("POST", "Content-Encoding: gzip", f"Content-Length: {len(body)}") + body)
        return (await caller.answer())[1]


async def test_a_field_that_comes_twice_means_the_same_to_everybody(ports: Ports) -> None:
    """The last one counts: for the escrow, for the record on the chain, and for the engine."""
    network, door = ports.network, ports[PUBLIC]
    twice = re.sub(rb'"max_tokens":8', b'"max_tokens":1000,"max_tokens":3', network.body())
    async with Caller.at(door) as caller:
        await caller.send(door.head("POST", f"Content-Length: {len(twice)}") + twice)
        status, _ = await caller.answer()
    assert status == 200
    starts = await network.hosts[0].started()
    assert [start.max_tokens for start in starts] == [3]
    asked = [body for host in network.hosts for body in host.engine.bodies]
    assert [body["max_tokens"] for body in asked] == [3]


@EVERY_PORT
async def test_a4_a_fault_of_the_nodes_own_is_told_without_itself(
    ports: Ports, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No panic: who meets a bug gets a bare 500, and the next one is answered."""
    door, body = ports[name], ports.network.body()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("what /src/pivot/api knows alone")

    with monkeypatch.context() as broken:
        broken.setattr(ports.network.hosts[0].service.access, "admit", fail)
        broken.setattr(HostFleet, "put", fail)
        broken.setattr(HostFleet, "accept_distances", fail)
        document = {ADMIN: NODE, CALLBACKS: b'{"batch_id": "x", "distances": [1]}'}.get(name, body)
        async with Caller.at(door) as caller:
            await caller.send(door.head("POST", f"Content-Length: {len(document)}") + document)
            status, told = await caller.answer()
    assert status == 500
    require_clear(told)
    assert b"knows alone" not in told
    await door.require_others_are_served()


@EVERY_PORT
async def test_no_answer_names_the_software_behind_it(ports: Ports, name: str) -> None:
    door = ports[name]
    for request in (door.head("GET"), door.head("GET", path="/nowhere"), b"no HTTP at all\r\n\r\n"):
        async with Caller.at(door) as caller:
            await caller.send(request.replace(b"Host: h", b"Host: h\r\nConnection: close"))
            told = (await caller.rest()).lower()
        assert told.startswith(b"http/1.1 ")
        assert not any(each in told for each in (b"server:", b"uvicorn", b"starlette", b"python", b"x-powered-by"))
