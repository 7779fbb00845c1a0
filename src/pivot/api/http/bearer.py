"""The bearer token of the ports that are not for the public."""

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pivot.api.http.wrong_tokens import WRONG_TOKENS_PER_MINUTE, WrongTokens


class BearerToken:
    """Answers 401 to a request that does not carry the token, 429 to who has tried too many, before a body is read."""

    def __init__(self, app: ASGIApp, *, token: str, wrong: WrongTokens) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._wrong = wrong

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        given = Headers(scope=scope).get("authorization", "").encode()
        peer = scope["client"][0] if scope.get("client") else ""
        if given and (wait_s := self._wrong.wait_s(peer)):
            return JSONResponse(
                {
                    "error": f"more than {WRONG_TOKENS_PER_MINUTE} wrong tokens a minute: none is looked at for {wait_s} s"
                },
                HTTPStatus.TOO_MANY_REQUESTS,
                {"Retry-After": str(wait_s)},
            )
        if hmac.compare_digest(given, self._expected):
            return None
        if given:
            self._wrong.note(peer)
        return JSONResponse(
            {"error": "this port wants its bearer token in the Authorization header"},
            HTTPStatus.UNAUTHORIZED,
            {"WWW-Authenticate": "Bearer"},
        )
