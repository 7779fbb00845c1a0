"""A URL that somebody else wrote leads to no address inside this machine's networks, in whatever way it is spelled (A-18)."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pivot.api import urls
from pivot.api.between_hosts.client import HostClient, NotAnswered
from pivot.api.identity import Identity
from pivot.api.urls import PublicResolver, UnsafeUrl, is_public, session_to_hosts, url_of
from pivot.primitives.keys import PrivateKey
from pivot.protocol.generated.inference.inference.types_pb2 import Participant

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


class Names:
    """A name server: each name's next answers, the last one for good."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {f"{name}.example": answer for name, answer in answers.items()}

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[Any]:
        answers = self._answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            {"hostname": host, "host": each, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for each in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"
"""Two addresses of this machine, of which these tests take the first for one of the internet."""


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[int, list[str]]]:
    """A port that is open on both addresses, and who was called there."""
    called: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        called.append(address)
        location = f"http://{INSIDE}:{request.url.port}/v1/status"
        return web.Response(status=307 if request.path == "/elsewhere" else 200, headers={"Location": location})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    first = web.TCPSite(runner, OUTSIDE, 0)
    await first.start()
    port = first._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    await web.TCPSite(runner, INSIDE, port).start()
    yield port, called
    await runner.cleanup()


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Callable[[Names], None]:
    """Lets OUTSIDE count as public, and names be what a test says."""
    judged = urls.is_public

    def use(names: Names) -> None:
        monkeypatch.setattr(urls, "is_public", lambda address: address == OUTSIDE or judged(address))
        monkeypatch.setattr(urls, "ThreadedResolver", lambda: names)

    return use


@pytest.mark.parametrize("then", [[INSIDE], [OUTSIDE, INSIDE], ["10.0.0.1"], ["169.254.169.254"]])
async def test_a18_a_name_that_leads_outside_first_and_inside_then_is_called_outside_alone(
    internet: Callable[[Names], None], then: list[str]
) -> None:
    internet(Names(rebound=[[OUTSIDE], then]))
    async with two_hosts() as (port, called):
        url = f"http://rebound.example:{port}"
        judged = url_of(url, "/v1/status", allow_private=False)
        async with session_to_hosts(allow_private=False) as http, http.get(judged) as answer:
            assert answer.status == 200
        async with session_to_hosts(allow_private=False) as http:
            with pytest.raises(aiohttp.ClientConnectorError, match="is not a public address"):
                await http.get(judged)
    assert called == [OUTSIDE]


async def test_a18_no_client_of_other_hosts_follows_a_redirect_inside(internet: Callable[[Names], None]) -> None:
    internet(Names(host=[[OUTSIDE]]))
    async with two_hosts() as (port, called):
        url = f"http://host.example:{port}/elsewhere"

        class Registered:
            async def participant(self, address: str) -> Participant:
                return Participant(inference_url=url)

        identity = Identity(account=PrivateKey(b"\1" * 32), gateway=PrivateKey(b"\2" * 32))
        client = HostClient(identity, Registered(), allow_private=False)  # type: ignore[arg-type]  # all that is asked
        try:
            with pytest.raises(NotAnswered, match="answered 307"):
                await client.ask("gonka1host", "", lambda _: b"words", most_bytes=100)
        finally:
            await client.close()
    assert called == [OUTSIDE]


@pytest.mark.parametrize("name", ["metadata.google.internal", "instance-data", "kubernetes.default.svc"])
async def test_a18_names_of_a_clouds_own_services_lead_nowhere(
    internet: Callable[[Names], None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    names = Names()
    names._answers[name] = [["169.254.169.254" if "." in name else "10.96.0.1"]]
    internet(names)
    async with session_to_hosts(allow_private=False) as http:
        with pytest.raises(aiohttp.ClientConnectorError, match="is not a public address"):
            await http.get(url_of(f"http://{name}/latest", "", allow_private=False))


NOBODYS = (
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:a9fe:a9fe", "::ffff:0:7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:a9fe:a9fe::"),
    *("3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1%1", "fec0::1", "ff02::1"),
)


@pytest.mark.parametrize("address", NOBODYS)
def test_a18_addresses_that_are_nobodys_on_the_internet_are_private(address: str) -> None:
    assert not is_public(address)
