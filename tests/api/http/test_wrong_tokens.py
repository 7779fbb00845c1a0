"""Whoever guesses a token is counted, told, and slowed; others are not."""

import logging
from http import HTTPStatus
from typing import Any

import pytest
from starlette.responses import JSONResponse

from pivot.api.http import wrong_tokens
from pivot.api.http.bearer import BearerToken
from pivot.api.http.wrong_tokens import ADMIN, CALLBACKS, WRONG_TOKENS_PER_MINUTE, WrongTokens
from pivot.api.metrics import figures, sources

TOKEN = "the token of this port"
GUESSER, OWNER = "203.0.113.7", "10.0.0.5"


class Port:
    """A port with a token, at a time that tests set."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.wrong = WrongTokens(ADMIN, lambda: self.now_s)
        self._app = BearerToken(JSONResponse({"let": "in"}), token=TOKEN, wrong=self.wrong)

    async def ask(self, token: str, peer: str = GUESSER) -> tuple[int, dict[bytes, bytes]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("nothing is read")

        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        await self._app({"type": "http", "headers": headers, "client": (peer, 1)}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
async def guessed(port: Port) -> Port:
    """Somebody has tried as many wrong tokens as are looked at."""
    for number in range(WRONG_TOKENS_PER_MINUTE):
        assert (await port.ask(f"guess {number}"))[0] == HTTPStatus.UNAUTHORIZED
    return port


async def test_a39_whoever_guesses_is_slowed_and_even_the_right_token_does_not_help(guessed: Port) -> None:
    for token in ("another guess", TOKEN):
        status, headers = await guessed.ask(token)
        assert (status, headers[b"retry-after"]) == (HTTPStatus.TOO_MANY_REQUESTS, b"6")
    guessed.now_s = 6.0
    assert (await guessed.ask("another guess"))[0] == HTTPStatus.UNAUTHORIZED
    assert (await guessed.ask(TOKEN))[0] == HTTPStatus.TOO_MANY_REQUESTS
    guessed.now_s = 12.0
    assert (await guessed.ask(TOKEN))[0] == HTTPStatus.OK


async def test_nobody_else_is_slowed_by_a_guesser(guessed: Port) -> None:
    assert (await guessed.ask(TOKEN, OWNER))[0] == HTTPStatus.OK


async def test_a_guesser_with_many_addresses_of_one_network_is_one(port: Port) -> None:
    statuses = [(await port.ask("guess", f"2606:4700::{last:x}"))[0] for last in range(1, WRONG_TOKENS_PER_MINUTE + 2)]
    assert statuses.count(HTTPStatus.TOO_MANY_REQUESTS) == 1


async def test_right_tokens_and_none_at_all_slow_nobody(port: Port) -> None:
    for _ in range(3 * WRONG_TOKENS_PER_MINUTE):
        assert (await port.ask(TOKEN))[0] == HTTPStatus.OK
        assert (await port.ask(""))[0] == HTTPStatus.UNAUTHORIZED
    assert port.wrong.count == 0


async def test_wrong_tokens_are_told_without_themselves(
    port: Port, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await port.ask("almost the token of this port")
    told = caplog.text + "".join(capfd.readouterr())
    assert GUESSER in told
    assert "almost" not in told
    samples = await sources.of_guarded_ports((port.wrong, WrongTokens(CALLBACKS)))()
    assert list(samples) == [(figures.WRONG_TOKENS, (ADMIN,), 1), (figures.WRONG_TOKENS, (CALLBACKS,), 0)]


async def test_addresses_are_remembered_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_tokens, "MAX_ADDRESSES", 10)
    port = Port()
    for last in range(200):
        await port.ask("guess", f"198.51.100.{last}")
    assert len(port.wrong._shares) == 10
    assert port.wrong.count == 200
