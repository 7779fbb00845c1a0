"""Who has an answer already gets no second copy of it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from pivot.api.http import tagged
from pivot.api.http.tagged import Tagged
from tests.api.serving import serving

state = {"height": 1}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = FastAPI()

    @app.api_route("/height", methods=["GET", "POST"])
    async def height() -> dict[str, int]:
        return state

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    async with serving(Tagged(app)) as url:
        yield url


async def get(url: str, path: str, tag: str = "") -> tuple[int, bytes, str]:
    headers = {"If-None-Match": tag} if tag else {}
    async with aiohttp.ClientSession() as http, http.get(url + path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("ETag", "")


async def test_an_answer_that_has_not_changed_is_not_sent_again(url: str) -> None:
    status, body, tag = await get(url, "/height")
    assert (status, body) == (200, b'{"height":1}')
    for asked in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        assert await get(url, "/height", asked) == (304, b"", tag)
    state["height"] += 1
    status, body, other = await get(url, "/height", tag)
    assert (status, body) == (200, b'{"height":2}')
    assert other != tag


async def test_streams_long_answers_errors_and_other_methods_go_out_as_they_come(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await get(url, "/stream", "*") == (200, b"ab", "")
    assert (await get(url, "/nothing", "*"))[0] == 404
    async with aiohttp.ClientSession() as http, http.post(url + "/height", headers={"If-None-Match": "*"}) as answer:
        assert answer.status == 200
        assert "ETag" not in answer.headers
    monkeypatch.setattr(tagged, "MAX_TAGGED_BYTES", 3)
    assert (await get(url, "/height", "*"))[0] == 200
