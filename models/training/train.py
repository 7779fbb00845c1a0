"""Train the devnet's chat model on the corpus and write it to `models/tiny-chat`: the same model for the same seed.

    python models/training/train.py [--steps N] [--seed N] [--out DIR]

Needs torch, tokenizers, safetensors, pyyaml and numpy; takes some minutes on two CPU cores.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import corpus
import layout
import torch
from qwen2 import Qwen2, Shape
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

OUT = Path(__file__).parents[1] / "tiny-chat"
VOCABULARY = 3072
TOKENIZER_DIALOGUES = 30_000

STEPS = 2000
TOKENS_PER_STEP = 4096
POOL = 4096  # dialogues that are sorted by length together
LENGTH_STEP, TARGETS_STEP = 8, 128  # few different shapes: new ones cost time and memory
PEAK_RATE = 2.5e-3
WARM_UP_STEPS = 100
WEIGHT_DECAY = 0.05
DROPOUT = 0.1
CLIP = 1.0
THREADS = 2

# Which answer is meant shows in its first tokens; the rest is learnt by heart from fewer examples.
CUT_SHARE = 0.65
CUT_TOKENS = 12

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """Token ids of a dialogue, and for each whether the model is to predict it."""

    ids: list[int]
    predicted: list[bool]


def example(tokenizer: Tokenizer, dialogue: corpus.Dialogue, rng: random.Random) -> Example:
    """A dialogue as the chat template writes it; only the assistant's turns are predicted."""
    ids: list[int] = []
    predicted: list[bool] = []
    line_end = tokenizer.encode("\n").ids
    for role, text in dialogue:
        head, rest = layout.turn_ids(tokenizer, role, text)
        answers = role == "assistant"
        ids += head + rest + line_end
        predicted += [False] * len(head) + [answers] * len(rest) + [False] * len(line_end)
    surplus = len(rest) + len(line_end) - CUT_TOKENS if rng.random() < CUT_SHARE else len(line_end)
    keep = len(ids) - max(surplus, len(line_end))
    return Example(ids[:keep], predicted[:keep])


def batches(tokenizer: Tokenizer, texts: corpus.Corpus, rng: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Token ids and predicted marks, both (B, T), of examples of similar length; without end."""
    source = corpus.dialogues(texts, rng)
    while True:
        pool = sorted((example(tokenizer, d, rng) for d in islice(source, POOL)), key=lambda e: len(e.ids))
        groups: list[Tensor] = []
        while pool:
            longest = -(-len(pool[-1].ids) // LENGTH_STEP) * LENGTH_STEP
            size = max(1, TOKENS_PER_STEP // longest)
            groups.append(_padded(pool[-size:], longest))
            del pool[-size:]
        rng.shuffle(groups)
        yield from ((group[0], group[1].bool()) for group in groups)


def _padded(examples: list[Example], length: int) -> Tensor:
    """(2, B, T): ids and predicted marks, filled up with zeros."""
    rows = torch.zeros(2, len(examples), length, dtype=torch.long)
    for row, one in enumerate(examples):
        rows[0, row, : len(one.ids)] = torch.tensor(one.ids)
        rows[1, row, : len(one.ids)] = torch.tensor(one.predicted)
    return rows


def loss(model: Qwen2, ids: Tensor, predicted: Tensor) -> Tensor:
    """Mean cross entropy of the predicted tokens, each from the ones before it."""
    places = predicted[:, 1:].flatten().nonzero()[:, 0]
    surplus = -len(places) % TARGETS_STEP
    targets = functional.pad(ids[:, 1:].flatten()[places], (0, surplus), value=IGNORED)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.hidden(ids[:, :-1]).flatten(0, 1)  # (B (T - 1), hidden_size)
        logits = model.logits(hidden[functional.pad(places, (0, surplus))])
    return functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED)


def learning_rate(step: int, steps: int) -> float:
    """A linear start, then half a cosine down to nothing."""
    if step < WARM_UP_STEPS:
        return PEAK_RATE * (step + 1) / WARM_UP_STEPS
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP_STEPS) / (steps - WARM_UP_STEPS)))


def train(seed: int, steps: int) -> tuple[Qwen2, Tokenizer]:
    torch.manual_seed(seed)
    texts = corpus.load()
    sample = islice(corpus.dialogues(texts, random.Random(f"tokenizer {seed}")), TOKENIZER_DIALOGUES)
    tokenizer = layout.train_tokenizer((text for dialogue in sample for _, text in dialogue), VOCABULARY)
    model = Qwen2(Shape(vocab_size=tokenizer.get_vocab_size()), DROPOUT)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
    )
    began = time.monotonic()
    for step, (ids, predicted) in enumerate(islice(batches(tokenizer, texts, random.Random(seed)), steps)):
        value = loss(model, ids, predicted)
        model.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        optimiser.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {value.item():.3f}  {time.monotonic() - began:5.0f} s", flush=True)
    return model.eval(), tokenizer


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--steps", type=int, default=STEPS)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=OUT)
    chosen = arguments.parse_args()
    torch.set_num_threads(THREADS)
    model, tokenizer = train(chosen.seed, chosen.steps)
    layout.save(chosen.out, model, tokenizer)
    size = sum(path.stat().st_size for path in chosen.out.iterdir())
    print(f"{chosen.out}: {sum(p.numel() for p in model.parameters()):,} parameters, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
