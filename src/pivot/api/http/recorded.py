"""Calls to the admin port that may change something are recorded (`admin_actions.py`), once it is known how they ended."""

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pivot.api.admin_actions import MAX_SHOWN_LENGTH, AdminAction, AdminActionLog, shown
from pivot.api.listening import CERTIFICATE

READING = frozenset({"GET", "HEAD", "OPTIONS"})
FAILED = 500
"""What a call is recorded with that ended without an answer."""


class RecordedActions:
    """ASGI middleware behind the bearer token: whoever is refused there has done nothing."""

    def __init__(self, app: ASGIApp, *, actions: AdminActionLog, credential: str) -> None:
        self._app = app
        self._actions = actions
        self._credential = credential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        pieces: list[bytes] = []
        status = FAILED

        async def read() -> Message:
            message = await receive()
            pieces.append(message.get("body", b""))
            return message

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, read, watched)
        finally:
            await self._actions.write(
                AdminAction(
                    peer=scope["client"][0] if scope.get("client") else "",
                    credential=self._credential_of(scope),
                    method=scope["method"],
                    path=scope["path"][:MAX_SHOWN_LENGTH],
                    status=status,
                    about=_about(b"".join(pieces)),
                )
            )

    def _credential_of(self, scope: Scope) -> str:
        certificate = scope.get("state", {}).get(CERTIFICATE)
        return self._credential if certificate is None else f"certificate {certificate[:MAX_SHOWN_LENGTH]}"


def _about(body: bytes) -> list[dict[str, object]]:
    try:
        return shown(orjson.loads(body))
    except orjson.JSONDecodeError:
        return []
