"""Ask a model questions and count the answers that name the fact.

python models/training/evaluate.py [--model DIR] [--questions FILE] [--quiet] [QUESTION …]
"""

import argparse
from pathlib import Path

import layout
import torch
import yaml
from qwen2 import Qwen2
from tokenizers import Tokenizer

MODEL = Path(__file__).parents[1] / "tiny-chat"
QUESTIONS = Path(__file__).parent / "development_questions.yaml"
MAX_TOKENS = 90


@torch.inference_mode()
def answer(model: Qwen2, tokenizer: Tokenizer, question: str) -> str:
    """The model's most likely answer to a first question."""
    ids = layout.prompt_ids(tokenizer, [("user", question)])
    end, start = tokenizer.token_to_id(layout.TURN_END), len(ids)
    while len(ids) < start + MAX_TOKENS:
        token = int(model(torch.tensor([ids]))[0, -1].argmax())
        if token == end:
            break
        ids.append(token)
    return tokenizer.decode(ids[start:])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", type=Path, default=MODEL)
    arguments.add_argument("--questions", type=Path, default=QUESTIONS)
    arguments.add_argument("--quiet", action="store_true", help="the score alone, no single answer")
    arguments.add_argument("ask", nargs="*")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = layout.load(chosen.model)
    for question in chosen.ask:
        print(f"{question}\n    {answer(model, tokenizer, question)}")
    if chosen.ask:
        return
    entries = yaml.safe_load(chosen.questions.read_text())
    right = 0
    for entry in entries:
        said = answer(model, tokenizer, entry["ask"])
        found = any(phrase.lower() in said.lower() for phrase in entry["accept"])
        right += found
        if not chosen.quiet:
            print(f"{'  ' if found else '! '}{entry['ask']}\n      {said}")
    print(f"{right} of {len(entries)} right")


if __name__ == "__main__":
    main()
