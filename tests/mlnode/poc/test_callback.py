from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pivot.mlnode.poc import callback as callback_module
from pivot.mlnode.poc.callback import Callbacks, NotTaken, SprintOver
from pivot.protocol.mlnode_api import ValidatedBatch

PAYLOAD = ValidatedBatch(batch_id="a", distances=[1])


async def attempts(session: aiohttp.ClientSession, *answers: web.Response) -> list[str]:
    """Post to a server that answers so, one after the other. Returns the reasons for which attempts failed."""
    left = list(answers)

    async def answer(_: web.Request) -> web.Response:
        return left.pop(0)

    app = web.Application()
    app.router.add_post("/validated", answer)
    failures: list[str] = []
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        await Callbacks(session, url, "", first_pause_s=0.001).post("/validated", PAYLOAD, failed=failures.append)
    assert not left
    return [failure.removeprefix(url) for failure in failures]


async def test_any_success_is_enough(session: aiohttp.ClientSession) -> None:
    assert await attempts(session, web.Response(status=204)) == []


async def test_redirects_are_not_followed(session: aiohttp.ClientSession) -> None:
    elsewhere = web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})
    assert await attempts(session, elsewhere, web.Response()) == ["/validated answered 307"]


async def test_failures_are_repeated_until_it_is_taken(session: aiohttp.ClientSession) -> None:
    refusals = [web.Response(status=status) for status in (500, 404, 429, 408)]
    assert len(await attempts(session, *refusals, web.Response())) == 4


async def test_gone_means_that_the_sprint_is_over(session: aiohttp.ClientSession) -> None:
    with pytest.raises(SprintOver):
        await attempts(session, web.Response(status=410))


async def test_a_refusal_that_cannot_heal_is_told_and_not_repeated(session: aiohttp.ClientSession) -> None:
    for status, text in ((401, "no token"), (409, "leaf 7 is the next"), (422, "")):
        with pytest.raises(NotTaken, match=f"/validated answered {status}{': ' + text if text else ''}$"):
            await attempts(session, web.Response(status=status, text=text))


async def test_m_item23_a_server_that_hangs_is_given_up_and_tried_again(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_module, "REQUEST_TIMEOUT_S", 0.05)
    calls = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0.5)
        return web.Response()

    app = web.Application()
    app.router.add_post("/validated", answer)
    failures: list[str] = []
    async with TestServer(app) as server:
        callbacks = Callbacks(session, str(server.make_url("")).rstrip("/"), "", first_pause_s=0.001)
        await callbacks.post("/validated", PAYLOAD, failed=failures.append)
    assert len(failures) == 1
    assert "TimeoutError" in failures[0]


async def test_a_url_that_is_none_does_not_stop_the_node(session: aiohttp.ClientSession) -> None:
    callbacks = Callbacks(session, "http://", "")
    assert "cannot be reached" in str(await callbacks._try("/validated", b"{}"))
