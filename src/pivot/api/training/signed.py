"""Requests to a host that somebody signs: who asks, in whose name, over exactly this body (docs/protocol/signatures.md).

Headers: the asking account's address, a time stamp in nanoseconds, and in `Authorization` the base64 signature over
`protocol/signing.py: training_sign_bytes`, by the account's key or by one that may send the matching message for it.
"""

import time
from collections.abc import Callable, Mapping

from pivot.api.http.errors import BadRequest, OutsideTimeWindow, Unauthorized
from pivot.api.ledger.interface import Chain
from pivot.primitives.keys import InvalidSignature, PrivateKey, decode_signature, verify
from pivot.protocol.signing import training_sign_bytes

ADDRESS_HEADER = "X-Requester-Address"
TIMESTAMP_HEADER = "X-Timestamp"
SIGNATURE_HEADER = "Authorization"
FRESHNESS_NS = 60 * 10**9
"""How far a request's time stamp may lie from this machine's clock."""
MAX_TIMESTAMP_DIGITS = 19


def signed_headers(
    key: PrivateKey, chain_id: str, host: str, path: str, body: bytes, timestamp_ns: int
) -> dict[str, str]:
    """Headers by which a host knows who asks."""
    return {
        ADDRESS_HEADER: key.address,
        TIMESTAMP_HEADER: str(timestamp_ns),
        SIGNATURE_HEADER: key.sign_base64(training_sign_bytes(chain_id, host, path, body, timestamp_ns)),
    }


class Signatures:
    """Checks requests to this host."""

    def __init__(self, host: str, chain: Chain, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._host = host
        self._chain = chain
        self._now_ns = now_ns

    async def require(self, headers: Mapping[str, str], path: str, body: bytes, message_type: str) -> str:
        """The address of who asks. Raises Unauthorized, BadRequest, OutsideTimeWindow, LedgerError."""
        address, text = headers.get(ADDRESS_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
        if not address:
            raise Unauthorized(f"{ADDRESS_HEADER} is required")
        if not text.isascii() or not text.isdecimal() or len(text) > MAX_TIMESTAMP_DIGITS:
            raise BadRequest(f"{TIMESTAMP_HEADER} must be the time in nanoseconds since 1970", param=TIMESTAMP_HEADER)
        if abs(self._now_ns() - int(text)) > FRESHNESS_NS:
            raise OutsideTimeWindow(f"{TIMESTAMP_HEADER} is too far from this host's clock")
        try:
            signature = decode_signature(headers.get(SIGNATURE_HEADER, ""))
        except InvalidSignature as error:
            raise Unauthorized(str(error)) from None
        message = training_sign_bytes(self._chain.chain_id, self._host, path, body, int(text))
        if not any(verify(key, message, signature) for key in await self._chain.public_keys(address, message_type)):
            raise Unauthorized("the signature does not cover this request")
        return address
