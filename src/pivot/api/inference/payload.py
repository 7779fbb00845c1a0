"""Bodies for aiohttp: large ones go out piece by piece, so that other requests do not wait for them."""

import io

LARGE_BODY_BYTES = 2**20


def payload(body: bytes) -> bytes | io.BytesIO:
    """The body in the form in which it is best sent."""
    return body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body)
