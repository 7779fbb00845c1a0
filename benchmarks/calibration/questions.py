"""What is asked: questions in free wording, under every way of choosing that developers use."""

import random
from pathlib import Path
from typing import Any

import yaml

from benchmarks.calibration.engines import Question
from pivot.mlnode.engines.embedded.requests import ChatMessage
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.served import ServedModel

ROOT = Path(__file__).parents[2]
WORDINGS = (
    ROOT / "models" / "training" / "development_questions.yaml",
    ROOT / "tests" / "mlnode" / "engines" / "questions.yaml",
)
WAYS: dict[str, dict[str, Any]] = {
    "temperature 0": {"temperature": 0.0},
    "temperature 0.7, top_p 0.8": {"temperature": 0.7, "top_p": 0.8},
    "temperature 1": {"temperature": 1.0},
    "temperature 1, top_k 20": {"temperature": 1.0, "top_k": 20},
    "temperature 1.5": {"temperature": 1.5},
}
LENGTHS = (1, 4, 16, 64, 256)
LEADS = ("", "Please tell me: ", "I wonder, ", "Quick question. ", "Hi! ")


def questions(model: ServedModel, way: str, count: int, seed: int) -> list[Question]:
    """So many questions with one way of choosing; every length comes up as often."""
    source = random.Random(f"{seed} {way}")
    wordings = [entry["ask"] for path in WORDINGS for entry in yaml.safe_load(path.read_text())]
    return [
        Question(
            prompt=tuple(
                model.chat_prompt([ChatMessage(role="user", content=source.choice(LEADS) + source.choice(wordings))])
            ),
            sampling=Sampling(**WAYS[way], seed=source.getrandbits(32)),
            max_tokens=LENGTHS[number % len(LENGTHS)],
        )
        for number in range(count)
    ]
