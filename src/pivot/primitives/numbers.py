"""Numbers with a type of their own, and the bounds of those that travel."""

from typing import NewType

Amount = NewType("Amount", int)
"""Of ngonka, never negative."""

MAX_UINT64 = 2**64 - 1
MAX_INT64 = 2**63 - 1
