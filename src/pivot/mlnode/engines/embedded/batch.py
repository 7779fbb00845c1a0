"""Many sequences decoded together.

A step reads one piece of the entering sequence's prompt and adds one token to each running one. Running sequences hold
the first slots of the cache, the entering one the slot behind them; a new one may enter between any two steps. Plain
and synchronous: scheduler.py gives it time and callers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pivot.mlnode.engines.embedded.decoder import Cache, Decoder, forward, logits
from pivot.mlnode.engines.embedded.sampling import Sampler, Sampling, Scored, log_normalisers, scored

PROMPT_PIECE = 256
"""Prompt tokens read in one step, so that running sequences never wait long."""

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step brought a sequence: a token (none when it was to generate none), and why it ended if it did."""

    token: Scored | None
    finish: Finish | None


@dataclass(eq=False)
class Sequence:
    """One prompt and what follows it. `prompt` has at least one token, and with `max_tokens` fits the context."""

    prompt: Many[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    top: int = 0
    """How many of the most likely tokens to tell beside each generated one."""
    prompt_top: int | None = None
    """The same for each token of the prompt; None to tell nothing of the prompt."""
    prompt_scores: list[Scored] = field(default_factory=list)
    """Of the prompt's second token on, when asked for; complete with the first step's result."""
    cancelled: bool = False
    """Set to have it leave before the next step."""
    tokens: list[int] = field(default_factory=list)
    """Generated so far."""
    state: np.ndarray | None = None
    """(D,) of the prompt's last token, with the only step of a sequence that is to generate nothing."""
    read: int = 0
    """Prompt tokens that are in the cache."""


class Batch:
    """The sequences that share a model and its cache."""

    def __init__(self, model: Decoder, slots: int) -> None:
        self.model = model
        self._cache = Cache(model.shape, slots)
        self._slots = slots
        self._samplers: dict[Sequence, Sampler] = {}
        self._running: list[Sequence] = []
        self._entering: Sequence | None = None
        self._waiting: deque[Sequence] = deque()

    @property
    def waiting(self) -> int:
        """Sequences that have not begun."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing."""
        return not (self._running or self._entering or self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait for its turn."""
        self._waiting.append(sequence)

    def step(self) -> list[tuple[Sequence, Step]]:
        """One piece of a prompt, and one token for each running sequence."""
        self._drop_cancelled()
        results = self._decode() if self._running else []
        if self._entering is None and self._waiting and len(self._running) < self._slots:
            self._entering = self._waiting.popleft()
        if self._entering is not None:
            results += self._read_piece(self._entering)
        for sequence, step in results:
            if step.finish:
                self._leave(sequence)
        return results

    def _decode(self) -> list[tuple[Sequence, Step]]:
        ids = np.array([[sequence.tokens[-1]] for sequence in self._running])
        starts = np.array([len(s.prompt) + len(s.tokens) - 1 for s in self._running])
        rows = logits(self.model, forward(self.model, self._cache, 0, ids, starts)[:, 0])
        normalisers = log_normalisers(rows)
        return [(s, self._next(s, rows[i], normalisers[i])) for i, s in enumerate(self._running)]

    def _read_piece(self, sequence: Sequence) -> list[tuple[Sequence, Step]]:
        """Read on in a prompt; with its end comes the first token."""
        begin, end = sequence.read, min(sequence.read + PROMPT_PIECE, len(sequence.prompt))
        ids = np.array([sequence.prompt[begin:end]])
        states = forward(self.model, self._cache, len(self._running), ids, np.array([begin]))[0]  # (T, D)
        sequence.read = end
        if sequence.prompt_top is not None:
            self._score_prompt(sequence, states, sequence.prompt[begin + 1 : end + 1])
        if end < len(sequence.prompt):
            return []
        self._entering = None
        self._running.append(sequence)
        if sequence.max_tokens == 0:
            sequence.state = states[-1]
            return [(sequence, Step(None, "length"))]
        self._samplers[sequence] = Sampler(sequence.sampling, sequence.prompt, self.model.shape.vocabulary)
        row = logits(self.model, states[-1:])
        return [(sequence, self._next(sequence, row[0], log_normalisers(row)[0]))]

    def _score_prompt(self, sequence: Sequence, states: np.ndarray, following: Many[int]) -> None:
        rows = logits(self.model, states[: len(following)])
        normalisers = log_normalisers(rows)
        top = sequence.prompt_top or 0
        sequence.prompt_scores += [scored(rows[i], normalisers[i], token, top) for i, token in enumerate(following)]

    def _next(self, sequence: Sequence, row: np.ndarray, normaliser: np.float32) -> Step:
        token = scored(row, normaliser, self._samplers[sequence].choose(row), sequence.top)
        sequence.tokens.append(token.id)
        if token.id in sequence.stop_ids:
            return Step(token, "stop")
        return Step(token, "length" if len(sequence.tokens) == sequence.max_tokens else None)

    def _drop_cancelled(self) -> None:
        self._waiting = deque(sequence for sequence in self._waiting if not sequence.cancelled)
        for sequence in [*self._running, self._entering]:
            if sequence and sequence.cancelled:
                self._leave(sequence)

    def _leave(self, sequence: Sequence) -> None:
        """Free a sequence's slot: the last running one moves into it, the entering one behind that."""
        if sequence is self._entering:
            self._entering = None
            return
        self._samplers.pop(sequence, None)
        slot, last = self._running.index(sequence), len(self._running) - 1
        mover = self._running.pop()
        if mover is not sequence:
            self._cache.move(last, slot, len(mover.prompt) + len(mover.tokens))
            self._running[slot] = mover
        if self._entering:
            self._cache.move(last + 1, last, self._entering.read)
