"""The name of a request, from the client to the logs of every host that it passes."""

import itertools
import re
import secrets

from pivot.api.inference.access import Headers

HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HERE = f"req-{secrets.token_hex(8)}"
"""No other process has the same."""
_numbers = itertools.count(1)


def of(headers: Headers) -> str:
    """The client's own name for its request if it is short and plain, else a new one."""
    given = headers.get(HEADER, b"")
    return given.decode() if _SANE.fullmatch(given) else f"{_HERE}-{next(_numbers)}"
