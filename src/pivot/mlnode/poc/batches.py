"""How many nonces go through the model together, where the size follows from the preset alone."""

from __future__ import annotations

from pivot.protocol.sprint import SprintPreset

CACHE_FRIENDLY_ACTIVATIONS = 2**17
"""Feed-forward activations per batch that still stay in a core's cache."""
MAX_BATCH = 64


def batch_size(preset: SprintPreset) -> int:
    """Nonces per batch of the numpy path."""
    return max(1, min(MAX_BATCH, CACHE_FRIENDLY_ACTIVATIONS // (preset.sequence * preset.ffn)))
