"""A URL that somebody else wrote leads to no address inside this machine's networks, in whatever way it is spelled (A-18)."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pivot.api.urls import PublicResolver, UnsafeUrl, is_public, session_to_hosts, url_of

SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "017700000001",
    "0177.0.0.1",
    "①②⑦.0.0.1",
    "localhost",
    "localhost.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "0",
]


@pytest.fixture
async def inside() -> AsyncIterator[tuple[int, list[str]]]:
    """A port of this machine, and who has called it."""
    callers: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        callers.append(request.host)
        return web.Response()

    app = web.Application()
    app.router.add_get("/v1/status", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site._server.sockets[0].getsockname()[1], callers  # type: ignore[union-attr]
    await runner.cleanup()


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a18_no_spelling_of_this_machine_is_called(inside: tuple[int, list[str]], spelling: str) -> None:
    port, callers = inside
    async with session_to_hosts(allow_private=False) as http:
        with pytest.raises((UnsafeUrl, aiohttp.ClientError)):
            await http.get(url_of(f"http://{spelling}:{port}", "/v1/status", allow_private=False))
    assert callers == []


async def test_a18_a_name_whose_addresses_change_is_looked_at_whenever_it_is_called(
    inside: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the address that was judged is the one that is called, and another judgement follows another answer."""
    port, callers = inside
    answers = [["8.8.8.8"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1"], ["::ffff:10.0.0.1"]]

    async def resolve(host: str, port: int = 0, family: Any = socket.AF_INET) -> list[Any]:
        found = answers.pop(0)
        return [
            {"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0} for each in found
        ]

    resolver = PublicResolver()
    monkeypatch.setattr(resolver._system, "resolve", resolve)
    assert [each["host"] for each in await resolver.resolve("rebound.example", port)] == ["8.8.8.8"]
    while answers:
        with pytest.raises(OSError, match="not a public address"):
            await resolver.resolve("rebound.example", port)
    await resolver.close()
    assert callers == []


@pytest.mark.parametrize(
    "address", ["100.64.0.1", "192.0.2.1", "198.18.0.1", "2001::1", "fd00::1", "fe80::1%1", "ff02::1"]
)
def test_a18_addresses_that_are_nobodys_on_the_internet_are_private(address: str) -> None:
    assert not is_public(address)
