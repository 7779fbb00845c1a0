"""One address does not take the public port away from the others."""

import asyncio
from typing import Any

import orjson
import pytest

from pivot.api.http import quotas
from pivot.api.http.quotas import PerAddress, asker_of
from pivot.api.settings import HttpSettings

PUBLIC, OTHER = "8.8.8.8", "9.9.9.9"


def scope(peer: str = PUBLIC, path: str = "/v1/models", forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"type": "http", "method": "GET", "path": path, "client": (peer, 1), "headers": headers}


class Port:
    """An application that waits until it may answer, behind quotas."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.limits = HttpSettings()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._app = PerAddress(self._answer, self.limits, lambda: self.now_s)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def ask(self, asked: dict[str, Any]) -> tuple[int, dict[bytes, bytes], Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("nothing is read")

        await self._app(asked, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), orjson.loads(sent[1]["body"])


async def test_a4_more_requests_a_minute_than_an_address_may_send_are_refused() -> None:
    port = Port()
    port.limits.address_requests_per_minute = 3
    assert [(await port.ask(scope()))[0] for _ in range(4)] == [200, 200, 200, 429]
    _, headers, refusal = await port.ask(scope())
    assert (headers[b"retry-after"], refusal["error"]["code"]) == (b"20", "too_many_requests")
    assert headers[b"x-request-id"]
    assert (await port.ask(scope(OTHER)))[0] == 200
    assert (await port.ask(scope(path="/v1/chat/completions")))[0] == 200
    port.now_s = 20.0
    assert (await port.ask(scope()))[0] == 200


async def test_limits_that_change_count_at_once() -> None:
    port = Port()
    port.limits.address_requests_per_minute = 1
    assert [(await port.ask(scope()))[0] for _ in range(2)] == [200, 429]
    port.limits.address_requests_per_minute = 2
    assert [(await port.ask(scope()))[0] for _ in range(3)] == [200, 200, 429]
    port.limits.address_concurrency = 1
    port.go_on.clear()
    held = asyncio.create_task(port.ask(scope(OTHER)))
    await asyncio.sleep(0)
    assert (await port.ask(scope(OTHER)))[0] == 429
    port.limits.address_concurrency = 2
    port.go_on.set()
    assert (await port.ask(scope(OTHER)))[0] == (await held)[0] == 200


async def test_a4_an_address_holds_a_part_of_the_port() -> None:
    port = Port()
    port.limits.address_concurrency = 2
    port.go_on.clear()
    question = "/v1/chat/completions"
    held = [asyncio.create_task(port.ask(scope(path=question))) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await port.ask(scope(path=question)))[0] == 429
    other = asyncio.create_task(port.ask(scope(OTHER)))
    await asyncio.sleep(0)
    port.go_on.set()
    assert [(await each)[0] for each in (*held, other)] == [200, 200, 200]
    assert (await port.ask(scope(path=question)))[0] == 200


async def test_addresses_beyond_what_is_remembered_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MAX_ADDRESSES", 2)
    port = Port()
    port.go_on.clear()
    held = asyncio.create_task(port.ask(scope()))
    await asyncio.sleep(0)
    port.go_on.set()
    for last in range(1, 9):
        await port.ask(scope(f"9.9.9.{last}"))
    await held
    assert len(port._app._shares) == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "asker"),
    [
        (PUBLIC, "", PUBLIC),
        (PUBLIC, OTHER, PUBLIC),
        ("::ffff:8.8.8.8", "", PUBLIC),
        ("2606:4700::1111", "", "2606:4700::/64"),
        ("172.18.0.5", f"{PUBLIC}, {OTHER}", OTHER),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "10.0.0.1", None),
        ("127.0.0.1", "unknown", None),
    ],
)
def test_who_asks_is_the_peer_or_whom_its_own_proxy_names(peer: str, forwarded: str, asker: str | None) -> None:
    assert asker_of(scope(peer, forwarded=forwarded)) == asker


def test_a_request_without_a_peer_is_nobodys() -> None:
    assert asker_of({**scope(), "client": None}) is None
