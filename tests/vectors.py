"""Vectors made by published clients, kept in tests/conformance/vectors."""

import json
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "conformance" / "vectors"


@cache
def load_vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())
