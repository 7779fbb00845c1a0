"""Sequences decoded together get what each would get alone."""

from __future__ import annotations

import random

import pytest

from pivot.mlnode.engines.embedded.batch import PROMPT_PIECE, Batch, Sequence
from pivot.mlnode.engines.embedded.sampling import Sampling, Scored
from pivot.mlnode.engines.embedded.served import ServedModel
from tests.mlnode.engines.tiny import VOCABULARY

TOLERANCE = 1e-4


def prompt(length: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(VOCABULARY), k=length)


def run(batch: Batch) -> dict[Sequence, list[Scored]]:
    """Step until idle. Returns what each sequence got."""
    got: dict[Sequence, list[Scored]] = {}
    while not batch.idle:
        for sequence, step in batch.step():
            got.setdefault(sequence, []).extend([step.token] if step.token else [])
    return got


def alone(served: ServedModel, **fields: object) -> list[Scored]:
    batch = Batch(served.decoder, 1)
    batch.add(sequence := Sequence(**fields))  # type: ignore[arg-type]
    return run(batch)[sequence]


def test_many_sequences_of_all_lengths_get_what_they_would_get_alone(served: ServedModel) -> None:
    source = random.Random(4)
    fields = [
        {
            "prompt": prompt(source.randint(1, 60), seed),
            "max_tokens": source.randint(1, 30),
            "sampling": Sampling(temperature=source.choice([0, 0.7, 1.2]), top_p=0.95, seed=seed),
            "top": 3,
        }
        for seed in range(25)
    ]
    batch = Batch(served.decoder, 6)
    sequences = [Sequence(**each) for each in fields]  # type: ignore[arg-type]
    for sequence in sequences:
        batch.add(sequence)
    got = run(batch)
    for sequence, each in zip(sequences, fields, strict=True):
        expected = alone(served, **each)
        assert [token.id for token in got[sequence]] == [token.id for token in expected] == sequence.tokens
        assert [t.logprob for t in got[sequence]] == pytest.approx([t.logprob for t in expected], abs=TOLERANCE)
        assert [t.top[0][0] for t in got[sequence]] == [t.top[0][0] for t in expected]


def test_a_prefill_finds_the_log_probabilities_of_the_generation_again(served: ServedModel) -> None:
    question = prompt(12)
    generated = alone(
        served, prompt=question, max_tokens=40, sampling=Sampling(temperature=1.3, top_p=0.9, seed=5), top=5
    )
    batch = Batch(served.decoder, 1)
    check = Sequence([*question, *(token.id for token in generated)], max_tokens=1, prompt_top=5)
    batch.add(check)
    run(batch)
    found = check.prompt_scores[len(question) - 1 :]
    assert [score.id for score in found] == [token.id for token in generated]
    assert [score.logprob for score in found] == pytest.approx([token.logprob for token in generated], abs=TOLERANCE)
    assert [score.rank for score in found] == [token.rank for token in generated]
    for score, token in zip(found, generated, strict=True):
        assert dict(score.top) == pytest.approx(dict(token.top), abs=TOLERANCE)


def test_long_prompts_are_read_in_pieces_while_others_go_on(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PROMPT_PIECE > 1
    monkeypatch.setattr("pivot.mlnode.engines.embedded.batch.PROMPT_PIECE", 10)
    batch = Batch(served.decoder, 3)
    running = Sequence(prompt(3), max_tokens=60, sampling=Sampling(temperature=0))
    entering = Sequence(prompt(45, 1), max_tokens=20, sampling=Sampling(temperature=0), prompt_top=0)
    batch.add(running)
    batch.step()
    batch.add(entering)
    for piece in range(1, 5):
        assert [sequence for sequence, _ in batch.step()] == [running]
        assert entering.read == 10 * piece
    assert {sequence for sequence, _ in batch.step()} == {running, entering}
    run(batch)
    assert entering.tokens == [
        t.id for t in alone(served, prompt=prompt(45, 1), max_tokens=20, sampling=Sampling(temperature=0))
    ]
    assert [score.id for score in entering.prompt_scores] == prompt(45, 1)[1:]


def test_leaving_and_cancelled_sequences_do_not_disturb_the_others(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pivot.mlnode.engines.embedded.batch.PROMPT_PIECE", 4)
    batch = Batch(served.decoder, 4)
    greedy = Sampling(temperature=0)
    first, short, last = (Sequence(prompt(4, i), max_tokens=m, sampling=greedy) for i, m in enumerate((50, 3, 50)))
    for sequence in (first, short, last):
        batch.add(sequence)
    for _ in range(3):
        batch.step()
    entering, waiting = (Sequence(prompt(30, i), max_tokens=10, sampling=greedy) for i in (3, 4))
    batch.add(entering)
    batch.add(waiting)
    for _ in range(3):  # `short` leaves meanwhile; `entering` moves on half read
        batch.step()
    first.cancelled = waiting.cancelled = True
    run(batch)
    assert waiting.tokens == []
    assert last.tokens == [t.id for t in alone(served, prompt=prompt(4, 2), max_tokens=50, sampling=greedy)]
    assert entering.tokens == [t.id for t in alone(served, prompt=prompt(30, 3), max_tokens=10, sampling=greedy)]


def test_an_entering_sequence_can_be_cancelled(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivot.mlnode.engines.embedded.batch.PROMPT_PIECE", 4)
    batch = Batch(served.decoder, 1)
    sequence = Sequence(prompt(30), max_tokens=10)
    batch.add(sequence)
    batch.step()
    sequence.cancelled = True
    batch.step()
    assert batch.idle


def test_no_more_run_than_there_are_slots(served: ServedModel) -> None:
    batch = Batch(served.decoder, 2)
    for seed in range(4):
        batch.add(Sequence(prompt(3, seed), max_tokens=5))
    batch.step()
    assert batch.waiting == 3
    batch.step()
    batch.step()
    assert batch.waiting == 2


def test_a_stop_token_ends_and_is_told(served: ServedModel) -> None:
    tokens = [t.id for t in alone(served, prompt=prompt(5), max_tokens=9, sampling=Sampling(temperature=0))]
    stop = next(token for token in tokens[1:] if token != tokens[0])
    batch = Batch(served.decoder, 1)
    batch.add(Sequence(prompt(5), max_tokens=9, sampling=Sampling(temperature=0), stop_ids=frozenset([stop])))
    steps = []
    while not batch.idle:
        steps += [step for _, step in batch.step()]
    assert [step.token.id for step in steps if step.token] == tokens[: tokens.index(stop) + 1]
    assert [step.finish for step in steps if step.finish] == ["stop"]


def test_a_prompt_can_be_scored_without_generating(served: ServedModel) -> None:
    batch = Batch(served.decoder, 1)
    sequence = Sequence(prompt(5), max_tokens=0, prompt_top=1)
    batch.add(sequence)
    assert [(step.token, step.finish) for _, step in batch.step()] == [(None, "length")]
    assert batch.idle
    assert [score.id for score in sequence.prompt_scores] == prompt(5)[1:]
