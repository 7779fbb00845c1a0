"""Who asks: headers that the asker signs, and how a host that is asked knows it by them (docs/protocol/signatures.md).

Headers: the asking account's address, a time stamp in nanoseconds, and in `Authorization` the base64 signature over the words of
the question (`protocol/signing.py`), by the account's key or by one that may send the matching message for it.
"""

import time
from collections.abc import Callable, Mapping

from pivot.api.http.errors import BadRequest, OutsideTimeWindow, Unauthorized
from pivot.api.ledger.interface import Chain
from pivot.primitives.keys import InvalidSignature, PrivateKey, decode_signature, verify

ADDRESS_HEADER = "X-Requester-Address"
TIMESTAMP_HEADER = "X-Timestamp"
SIGNATURE_HEADER = "Authorization"
FRESHNESS_NS = 60 * 10**9
"""How far a question's time stamp may lie from this machine's clock."""
MAX_TIMESTAMP_DIGITS = 19

Words = Callable[[int], bytes]
"""What is signed when a question is asked, by its time stamp in nanoseconds."""


def signed_headers(key: PrivateKey, words: Words, timestamp_ns: int) -> dict[str, str]:
    """Headers by which a host knows who asks."""
    return {
        ADDRESS_HEADER: key.address,
        TIMESTAMP_HEADER: str(timestamp_ns),
        SIGNATURE_HEADER: key.sign_base64(words(timestamp_ns)),
    }


class Signatures:
    """Checks questions to this host."""

    def __init__(self, chain: Chain, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._chain = chain
        self._now_ns = now_ns

    async def require(self, headers: Mapping[str, str], words: Words, message_type: str) -> str:
        """The address of who asks. message_type: whoever may send this for an account may ask in its name.

        Raises Unauthorized, BadRequest, OutsideTimeWindow, LedgerError.
        """
        address, stamp = headers.get(ADDRESS_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
        if not address:
            raise Unauthorized(f"{ADDRESS_HEADER} is required")
        if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > MAX_TIMESTAMP_DIGITS:
            raise BadRequest(f"{TIMESTAMP_HEADER} must be the time in nanoseconds since 1970", param=TIMESTAMP_HEADER)
        if abs(self._now_ns() - int(stamp)) > FRESHNESS_NS:
            raise OutsideTimeWindow(f"{TIMESTAMP_HEADER} is too far from this host's clock")
        try:
            signature = decode_signature(headers.get(SIGNATURE_HEADER, ""))
        except InvalidSignature as error:
            raise Unauthorized(str(error)) from None
        message = words(int(stamp))
        if not any(verify(key, message, signature) for key in await self._chain.public_keys(address, message_type)):
            raise Unauthorized("the signature does not cover this request")
        return address
