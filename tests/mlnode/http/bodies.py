"""What is sent to the management port in tests."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

UP = {"model": "pivot/tiny-chat", "dtype": "float16", "additional_args": []}
Call = Callable[..., Awaitable[tuple[int, Any]]]


def leaves(count: int, batch_id: str = "b1") -> dict[str, object]:
    content = base64.b64encode(bytes(32 * count)).decode()
    return {"batch_id": batch_id, "host_address": "gonka1other", "nonces": list(range(count)), "fingerprints": content}
