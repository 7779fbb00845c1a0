"""Refusals of websockets before they begin: in HTTP, as other refusals are."""

from pivot.api.http.body import Send
from pivot.api.http.errors import ApiError, error_headers


async def deny(send: Send, refusal: ApiError) -> None:
    """Answer a client that wants a websocket with an error object."""
    headers = [*error_headers(refusal), (b"connection", b"close")]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.body(), "more_body": False})
