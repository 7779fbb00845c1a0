"""Machines that answer and replay: the embedded engine with other arithmetic, other weights, other prompts, other choices."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pivot.api.validation.positions import Replayed, Told
from pivot.mlnode.engines.embedded import decoder
from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.batch import Sequence as BatchSequence
from pivot.mlnode.engines.embedded.sampling import Sampling, Scored
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.protocol.engine_arguments import LEAST_LOGPROBS

TOP = 20
"""Tokens of each position that a replay asks for."""
Product = Callable[[np.ndarray, np.ndarray], np.ndarray]
fp32: Product = decoder.product


@dataclass(frozen=True)
class Question:
    """What is asked, and how the answer is to be chosen."""

    prompt: tuple[int, ...]
    sampling: Sampling
    max_tokens: int


@dataclass(frozen=True)
class Answer:
    """What an executor says that it has answered."""

    question: Question
    tokens: tuple[int, ...]
    told: list[Told]


@dataclass(frozen=True)
class Machine:
    """One engine."""

    model: ServedModel
    product: Product = fp32
    together: int = 32
    """Sequences that are decoded in one batch."""


def load(folder: Path) -> ServedModel:
    return ServedModel.load(folder, folder.name)


def fp16(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A product as 16-bit machines do it: operands and result rounded, the sum in fp32."""
    return _half(fp32(_half(rows), weights))


def bf16_in_pieces(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As `bf16`, the sum taken in another order."""
    return _brain(in_pieces(_brain(rows), weights))


def int8_activations(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A product whose operands are rounded to 8 bits, with a step for each row."""
    return _half(fp32(integers(8)(rows), weights))


def bf16(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As `fp16`, with bfloat16."""
    return _brain(fp32(_brain(rows), weights))


def in_pieces(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A product whose sum is taken in another order, as another kernel does it."""
    middle = rows.shape[1] // 2
    return fp32(rows[:, :middle], weights[:, :middle]) + fp32(rows[:, middle:], weights[:, middle:])


def answer(machine: Machine, questions: Sequence[Question]) -> list[Answer]:
    """What a machine answers."""
    sequences = [
        BatchSequence(
            question.prompt,
            question.max_tokens,
            question.sampling,
            machine.model.stop_ids,
            top=LEAST_LOGPROBS,
        )
        for question in questions
    ]
    found: dict[int, list[Scored]] = {id(sequence): [] for sequence in sequences}
    for sequence, scored in _run(machine, sequences):
        found[id(sequence)].append(scored)
    return [
        Answer(question, tuple(sequence.tokens), told(machine.model, found[id(sequence)]))
        for question, sequence in zip(questions, sequences, strict=True)
    ]


def told(model: ServedModel, scores: Sequence[Scored]) -> list[Told]:
    """As an artifact has it."""
    text = model.tokenizer.text_of
    return [
        (text(score.id), score.logprob, [(text(token), logprob) for token, logprob in score.top[:LEAST_LOGPROBS]])
        for score in scores
    ]


def replay(machine: Machine, answers: Sequence[Answer]) -> list[list[Replayed]]:
    """What a checker's machine finds of each answer."""
    sequences = [BatchSequence([*each.question.prompt, *each.tokens], 0, prompt_top=TOP) for each in answers]
    for _ in _run(machine, sequences):
        pass
    text = machine.model.tokenizer.text_of
    return [
        [
            Replayed(
                score.id,
                text(score.id),
                score.logprob,
                tuple((token, text(token), logprob) for token, logprob in score.top),
            )
            for score in sequence.prompt_scores[len(each.question.prompt) - 1 :]
        ]
        for each, sequence in zip(answers, sequences, strict=True)
    ]


def retold(machine: Machine, answers: Sequence[Answer]) -> list[Answer]:
    """The same texts, with the log-probabilities that this machine finds for them: what a pre-fill attack tells."""
    return [
        replace(
            each,
            told=[
                (found.text, found.logprob, [(text, x) for _, text, x in found.top[:LEAST_LOGPROBS]]) for found in one
            ],
        )
        for each, one in zip(answers, replay(machine, answers), strict=True)
    ]


def with_weights(model: ServedModel, change: Callable[[np.ndarray], np.ndarray]) -> ServedModel:
    """The model with its matrices changed."""
    layers = tuple(
        replace(each, qkv=change(each.qkv), out=change(each.out), gate_up=change(each.gate_up), down=change(each.down))
        for each in model.decoder.layers
    )
    return replace(model, decoder=replace(model.decoder, layers=layers))


def integers(bits: int) -> Callable[[np.ndarray], np.ndarray]:
    """Weights rounded to so many bits, with a step for each row."""

    def rounded(matrix: np.ndarray) -> np.ndarray:
        most = 2 ** (bits - 1) - 1
        step = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / most
        return (np.round(matrix / step) * step).astype(np.float32)

    return rounded


def flattened(model: ServedModel, factor: float = 0.4) -> ServedModel:
    """A model that is less sure of itself, so that there is something to choose: its logits shrunk."""
    return replace(model, decoder=replace(model.decoder, head=model.decoder.head * np.float32(factor)))


def without_last_layer(model: ServedModel) -> ServedModel:
    """A smaller model of the same family."""
    return replace(model, decoder=replace(model.decoder, layers=model.decoder.layers[:-1]))


def random_weights(model: ServedModel, seed: int = 1) -> ServedModel:
    """Another model of the same size that knows nothing."""
    source = np.random.default_rng(seed)
    return with_weights(
        model, lambda matrix: source.standard_normal(matrix.shape).astype(np.float32) * np.float32(matrix.std())
    )


def states(machine: Machine, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """What a machine makes of texts whose vectors are asked for: the state of each one's last token. Returns: (N, D)."""
    sequences = [BatchSequence(text, 0) for text in texts]
    for _ in _run(machine, sequences):
        pass
    return np.stack([sequence.state for sequence in sequences if sequence.state is not None])


def _run(machine: Machine, sequences: Sequence[BatchSequence]) -> Iterator[tuple[BatchSequence, Scored]]:
    batch = Batch(machine.model.decoder, machine.together)
    for sequence in sequences:
        batch.add(sequence)
    with _arithmetic(machine.product), np.errstate(over="ignore"):
        while not batch.idle:
            for sequence, step in batch.step():
                if step.token:
                    yield sequence, step.token


@contextlib.contextmanager
def _arithmetic(product: Product) -> Iterator[None]:
    decoder.product, kept = product, decoder.product
    try:
        yield
    finally:
        decoder.product = kept


def _half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


def _brain(values: np.ndarray) -> np.ndarray:
    """Rounded to the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
