"""Choosing the next token from logits, and saying how likely it was.

Log-probabilities are of the model's own distribution, before temperature, penalties and cuts, as vLLM reports them
by default: so a prefill of the same tokens finds them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from pivot.mlnode.engines.embedded.decoder import Ids
from pivot.mlnode.engines.embedded.weights import Floats

GREEDY_BELOW = 1e-5
"""Temperatures below this mean: always the most likely token."""
SEED_MASK = 2**64 - 1


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; the defaults change nothing. top_k: 0 for all."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Scored:
    """A token, its log-probability, its rank (1 is the most likely), and the most likely ones, best first."""

    id: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


class Sampler:
    """The choices of one sequence. The same settings, seed and logits give the same tokens."""

    def __init__(self, settings: Sampling, prompt: Sequence[int], vocabulary: int) -> None:
        self._settings = settings
        self._random = np.random.default_rng(None if settings.seed is None else settings.seed & SEED_MASK)
        self._penalised = (settings.presence_penalty, settings.frequency_penalty, settings.repetition_penalty) != (
            0,
            0,
            1,
        )
        self._counts = np.zeros(vocabulary if self._penalised else 0, np.float32)
        self._prompt = np.unique(np.array(prompt if self._penalised else [], np.int64))

    def choose(self, row: Floats) -> int:
        """The next token. row: (V,) logits, left as they are."""
        settings = self._settings
        if self._penalised:
            row = self._penalise(row)
        chosen = int(row.argmax()) if settings.temperature < GREEDY_BELOW else self._draw(row)
        if self._penalised:
            self._counts[chosen] += 1
        return chosen

    def _draw(self, row: Floats) -> int:
        """By one uniform number along the cumulative distribution, in the order of ids."""
        settings = self._settings
        ids = top_ids(row, settings.top_k) if 0 < settings.top_k < len(row) else None
        kept = row if ids is None else row[ids]
        weights = np.exp((kept - kept.max()) / np.float32(settings.temperature))
        if settings.min_p > 0:
            likely = np.flatnonzero(weights >= np.float32(settings.min_p))
            weights = weights[likely]
            ids = likely if ids is None else ids[likely]
        if settings.top_p < 1:
            nucleus = nucleus_of(weights, settings.top_p)
            weights = weights[nucleus]
            ids = nucleus if ids is None else ids[nucleus]
        cumulative = np.cumsum(weights, dtype=np.float64)
        place = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        place = min(place, len(weights) - 1)
        return place if ids is None else int(ids[place])

    def _penalise(self, row: Floats) -> Floats:
        """Presence and frequency count the answer, repetition the prompt too (as vLLM and Hugging Face have it)."""
        settings, row = self._settings, row.copy()
        seen = np.union1d(self._prompt, np.flatnonzero(self._counts))
        factor = np.float32(settings.repetition_penalty)
        row[seen] = np.where(row[seen] > 0, row[seen] / factor, row[seen] * factor)
        row -= np.float32(settings.frequency_penalty) * self._counts
        row -= np.float32(settings.presence_penalty) * (self._counts > 0)
        return row


def top_ids(row: Floats, count: int) -> Ids:
    """The ids of the `count` largest values, in the order of ids."""
    return cast("Ids", np.sort(np.argpartition(row, -count)[-count:]))


def nucleus_of(weights: Floats, top_p: float) -> Ids:
    """Where the most likely values stand that together have at least `top_p` of the whole, in order.

    Those below the mean of what may be left out cannot be in it, so only few need sorting.
    """
    total = weights.sum(dtype=np.float64)
    likely = np.flatnonzero(weights >= (1 - top_p) * total / len(weights))
    order = likely[np.argsort(-weights[likely], kind="stable")]
    before = np.cumsum(weights[order], dtype=np.float64) - weights[order]
    return np.sort(order[before < top_p * total])


def log_normalisers(rows: Floats) -> Floats:
    """The logarithm of each row's sum of exponentials. rows: (N, V). Returns: (N,)."""
    largest: Floats = rows.max(axis=1)
    largest += np.log(np.exp(rows - largest[:, None]).sum(axis=1))
    return largest


def scored(row: Floats, normaliser: np.float32, token: int, top: int) -> Scored:
    """A token's score under its row of logits, with the `top` most likely ones beside it."""
    best: tuple[tuple[int, float], ...] = ()
    if top:
        ids = np.argpartition(row, -top)[-top:] if top < len(row) else np.arange(len(row))
        ids = ids[np.argsort(-row[ids], kind="stable")]
        best = tuple(zip(ids.tolist(), (row[ids] - normaliser).tolist(), strict=True))
    rank = int(np.count_nonzero(row > row[token])) + 1
    return Scored(token, float(row[token] - normaliser), rank, best)
