"""One position of an answer, as its executor told it and as a replay finds it."""

from typing import NamedTuple

Told = tuple[str, float, list[tuple[str, float]]]
"""What an artifact holds of a position: the token's text, its log-probability, and the texts and log-probabilities of the top."""


class Replayed(NamedTuple):
    """What the replay says of the token that stands at a position."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...]
    """Id, text and log-probability of the most likely tokens, best first."""
