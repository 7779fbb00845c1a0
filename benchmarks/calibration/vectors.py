"""What checks of embeddings are worth: a table for docs/protocol/checking.md.

    python -m benchmarks.calibration.vectors
    python -m benchmarks.calibration.vectors --model DIR --inputs 1000

A text's vector is the state of its last token. Every answer here has one input: the hardest to judge.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from benchmarks.calibration import engines
from benchmarks.calibration.engines import Machine, states
from benchmarks.calibration.histories import CHECKED, caught
from benchmarks.calibration.measurements import Judged
from benchmarks.calibration.questions import ROOT, WORDINGS
from pivot.api.validation.vectors import distance, limit
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.protocol.engine_arguments import DTYPE

INPUTS = 300
SENTENCES = (1, 1, 2, 4, 8, 16)
"""In an input."""
SEED = 1
Texts = Sequence[Sequence[int]]


class Way(NamedTuple):
    """How vectors are made, honestly or not."""

    name: str
    made: Callable[[Texts], np.ndarray]


@dataclass(frozen=True)
class Row:
    """What was measured of one way, against a checker of the type."""

    name: str
    dtype: str
    distances: np.ndarray

    @property
    def judged(self) -> list[Judged]:
        """What a checker finds of each answer."""
        return [Judged(bool(failed), ()) for failed in self.distances > limit({DTYPE: self.dtype})]

    @property
    def failed(self) -> float:
        """Share of the answers that do not pass."""
        return float(np.mean([each.failed for each in self.judged]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "tiny-chat", help="folder of the model's files")
    parser.add_argument("--inputs", type=int, default=INPUTS)
    options = parser.parse_args()
    print(table(measured(engines.load(options.model), options.inputs)))


def measured(model: ServedModel, count: int) -> list[Row]:
    """All ways, for models that are registered with either type."""
    texts = inputs(model, count)
    rows = []
    for dtype, product in (("float16", engines.fp16), ("bfloat16", engines.bf16)):
        checked = states(Machine(model, product, 4), texts)
        for way in (*honest(model, product), *frauds(model)):
            made = way.made(texts)
            distances = [distance(told, found) for told, found in zip(made, checked, strict=True)]
            rows.append(Row(way.name, dtype, np.array(distances)))
    return rows


def inputs(model: ServedModel, count: int) -> Texts:
    """Texts of many lengths, as token ids."""
    source = random.Random(SEED)
    wordings = [entry["ask"] for path in WORDINGS for entry in yaml.safe_load(path.read_text())]
    return [
        model.encode(" ".join(source.choices(wordings, k=SENTENCES[number % len(SENTENCES)])))
        for number in range(count)
    ]


def honest(model: ServedModel, product: engines.Product) -> list[Way]:
    """Other arithmetic, other order of sums. product: of the checker."""

    def in_pieces(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        middle = rows.shape[1] // 2
        return product(rows[:, :middle], weights[:, :middle]) + product(rows[:, middle:], weights[:, middle:])

    return [
        Way("honest, fp32", lambda texts: states(Machine(model), texts)),
        Way("honest, sums in another order", lambda texts: states(Machine(model, in_pieces, 1), texts)),
    ]


def frauds(model: ServedModel) -> list[Way]:
    """Cheaper ways to make a vector."""
    eight = engines.with_weights(model, engines.integers(8))
    return [
        Way("a smaller model", lambda texts: states(Machine(engines.without_last_layer(model)), texts)),
        Way("random weights", lambda texts: states(Machine(engines.random_weights(model)), texts)),
        Way("4-bit weights", lambda texts: states(Machine(engines.with_weights(model, engines.integers(4))), texts)),
        Way("8-bit weights", lambda texts: states(Machine(eight), texts)),
        Way("8-bit weights and activations", lambda texts: states(Machine(eight, engines.int8_activations), texts)),
        Way("half the input", lambda texts: states(Machine(model), [text[len(text) // 2 :] for text in texts])),
        Way("another input's vector", lambda texts: states(Machine(model), [*texts[1:], texts[0]])),
    ]


def table(rows: Sequence[Row]) -> str:
    """The figures as markdown."""
    lines = [f"| vectors | type | distance: mean | least | most | failed | caught within {CHECKED} |"]
    lines.append("| --- |" + " --- |" * 6)
    for row in rows:
        figures = " | ".join(f"{each:.1e}" for each in (row.distances.mean(), row.distances.min(), row.distances.max()))
        is_honest = row.name.startswith("honest")
        end = "" if is_honest else f"{caught(row.judged):.3f}"
        lines.append(f"| {row.name} | {row.dtype} | {figures} | {row.failed:.2f} | {end} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
