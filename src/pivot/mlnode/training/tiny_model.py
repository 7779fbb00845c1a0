"""What the bundled trainer trains: a small network that guesses the next symbol of a made-up language.

The language is a rule with noise, so there is no text to ship: each symbol follows from one of the two before it, or from
none. Hosts draw from the same language, each with a seed of its own: their shards. float32 throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Symbols = NDArray[np.int64]

SYMBOLS = 32
CONTEXT = 2
EMBEDDING = 8
HIDDEN = 32
FOLLOWS_LAST, FOLLOWS_EARLIER = 0.6, 0.9
"""Cumulative shares of symbols that follow from the last one, and from the one before; the rest follow from none."""
LANGUAGE_SEED = 20_261
SHAPES = {
    "embedding": (SYMBOLS, EMBEDDING),
    "hidden": (CONTEXT * EMBEDDING, HIDDEN),
    "hidden_bias": (HIDDEN,),
    "output": (HIDDEN, SYMBOLS),
    "output_bias": (SYMBOLS,),
}
PARAMETERS = sum(int(np.prod(shape)) for shape in SHAPES.values())
"""1,856 of them: a step's difference is 7.25 KiB."""


def batches(seed: int, size: int) -> Iterator[tuple[Symbols, Symbols]]:
    """One shard of the language without an end: contexts (B, 2) and the symbols that follow (B,)."""
    rule = np.random.default_rng(LANGUAGE_SEED)
    after_last, after_earlier = rule.permutation(SYMBOLS), rule.permutation(SYMBOLS)
    draw = np.random.default_rng(seed)
    while True:
        context = draw.integers(SYMBOLS, size=(size, CONTEXT))
        choice = draw.random(size)
        following = np.where(
            choice < FOLLOWS_LAST,
            after_last[context[:, 1]],
            np.where(choice < FOLLOWS_EARLIER, after_earlier[context[:, 0]], draw.integers(SYMBOLS, size=size)),
        )
        yield context, following


def initial_parameters(seed: int) -> Floats:
    """(P,) The same for every host."""
    draw = np.random.default_rng(seed)
    parts = [draw.normal(0.0, shape[0] ** -0.5 if len(shape) == 2 else 0.0, shape).ravel() for shape in SHAPES.values()]
    return np.concatenate(parts).astype(np.float32)


def loss_and_gradient(parameters: Floats, context: Symbols, following: Symbols) -> tuple[float, Floats]:
    """Mean cross-entropy in nats, and its gradient (P,)."""
    weights = _split(parameters)
    size = len(following)
    embedded = weights["embedding"][context].reshape(size, -1)  # (B, C·E)
    hidden = np.tanh(embedded @ weights["hidden"] + weights["hidden_bias"])  # (B, H)
    logits = hidden @ weights["output"] + weights["output_bias"]  # (B, S)
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -float(log_probabilities[np.arange(size), following].mean())

    d_logits = np.exp(log_probabilities)
    d_logits[np.arange(size), following] -= 1.0
    d_logits /= np.float32(size)
    d_hidden = (d_logits @ weights["output"].T) * (1.0 - hidden**2)
    d_embedding = np.zeros(SHAPES["embedding"], np.float32)
    np.add.at(d_embedding, context, (d_hidden @ weights["hidden"].T).reshape(size, CONTEXT, EMBEDDING))
    gradients = {
        "embedding": d_embedding,
        "hidden": embedded.T @ d_hidden,
        "hidden_bias": d_hidden.sum(axis=0),
        "output": hidden.T @ d_logits,
        "output_bias": d_logits.sum(axis=0),
    }
    return loss, np.concatenate([gradients[name].ravel() for name in SHAPES]).astype(np.float32)


@dataclass
class Adam:
    """The inner optimiser; its state stays with its host."""

    learning_rate: float
    first_decay: float = 0.9
    second_decay: float = 0.95
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        self._step = 0
        self._mean = np.zeros(PARAMETERS, np.float32)
        self._square = np.zeros(PARAMETERS, np.float32)

    def step(self, parameters: Floats, gradient: Floats) -> Floats:
        """The parameters after one step."""
        self._step += 1
        self._mean = self.first_decay * self._mean + (1 - self.first_decay) * gradient
        self._square = self.second_decay * self._square + (1 - self.second_decay) * gradient**2
        mean = self._mean / (1 - self.first_decay**self._step)
        square = self._square / (1 - self.second_decay**self._step)
        return np.asarray(parameters - self.learning_rate * mean / (np.sqrt(square) + self.epsilon), np.float32)


def _split(parameters: Floats) -> dict[str, Floats]:
    """Views of the flat parameters, by name."""
    views, begin = {}, 0
    for name, shape in SHAPES.items():
        end = begin + int(np.prod(shape))
        views[name] = parameters[begin:end].reshape(shape)
        begin = end
    return views
