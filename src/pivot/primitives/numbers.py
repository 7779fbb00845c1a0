"""Numbers that must not mix, each with its own type."""

from typing import NewType

Height = NewType("Height", int)
"""Of a block; the first is 1."""

EpochIndex = NewType("EpochIndex", int)
"""Of an epoch; epoch 0 lies before the first proof of compute."""

Weight = NewType("Weight", int)
"""What proof of compute gives a host."""

Amount = NewType("Amount", int)
"""Of ngonka, never negative."""

MAX_UINT64 = 2**64 - 1
MAX_INT64 = 2**63 - 1
