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

log = logging.getLogger(__name__)


class SprintOver(Exception):
    """The API node answered 410: it takes nothing more for this sprint."""


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
        """POST the payload until the API node takes it (any 2xx). Raises SprintOver on 410.

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
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _try(self, path: str, body: bytes) -> str | None:
        """One attempt: None when taken, else why not."""
        headers = {"Content-Type": "application/json", **self._headers}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        try:
            async with self._session.post(
                self._url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.ok and response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return None
                if response.status == HTTPStatus.GONE:
                    raise SprintOver
                return f"{self._url}{path} answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return f"{self._url}{path} cannot be reached: {type(error).__name__} {error}".rstrip()
