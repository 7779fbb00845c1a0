"""One call-back to the API node, repeated until it is taken."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from pydantic import BaseModel

REQUEST_TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
JITTER = 0.25
"""Pauses differ by up to this share, so that many nodes do not come back at the same time."""
SHOWN_ANSWER_BYTES = 300
MAY_HEAL = frozenset(
    {
        HTTPStatus.NOT_FOUND,  # a proxy before an API node that is just starting
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Refusals of the kind 4xx after which the same request may be taken later."""

log = logging.getLogger(__name__)


class NotTaken(Exception):
    """The API node will not take this, however often it is sent."""


class SprintOver(NotTaken):
    """The API node answered 410: it takes nothing more for this sprint."""

    def __init__(self) -> None:
        super().__init__("the API node takes nothing more for this sprint")


class Callbacks:
    """Posts payloads below one URL, with one bearer token."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str, *, first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._first_pause_s = first_pause_s

    async def post(self, path: str, payload: BaseModel, *, failed: Callable[[str], None]) -> None:
        """POST the payload until the API node takes it (any 2xx). Raises SprintOver on 410, NotTaken on a final refusal.

        Any other answer may be a node that is just starting or being repaired, so it is tried again with
        growing pauses; `failed` is told each time why.
        """
        body = payload.model_dump_json().encode()
        pause = self._first_pause_s
        while True:
            reason = await self._try(path, body)
            if reason is None:
                return
            log.warning("call-back %s%s failed: %s", self._url, path, reason)
            failed(reason)
            await asyncio.sleep(pause * random.uniform(1 - JITTER, 1 + JITTER))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _try(self, path: str, body: bytes) -> str | None:
        """One attempt: None when taken, else why not. Raises NotTaken."""
        headers = {"Content-Type": "application/json", **self._headers}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        try:
            async with self._session.post(
                self._url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return None
                reason = f"{self._url}{path} answered {response.status}"
                if _is_final(response.status):
                    raise _refusal(response.status, reason, await response.content.read(SHOWN_ANSWER_BYTES))
                return reason
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{self._url}{path} cannot be reached: {type(error).__name__} {error}".rstrip()


def _is_final(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in MAY_HEAL


def _refusal(status: int, reason: str, answer: bytes) -> NotTaken:
    if status == HTTPStatus.GONE:
        return SprintOver()
    shown = answer.decode(errors="replace").strip()
    return NotTaken(f"{reason}: {shown}" if shown else reason)
