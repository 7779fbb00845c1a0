"""JSON that two machines write alike: keys sorted, no spaces, UTF-8 unescaped."""

import json
from typing import Any


def dumps(value: Any) -> bytes:
    """`value` as canonical JSON. Raises ValueError on NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
