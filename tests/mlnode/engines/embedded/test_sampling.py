from collections import Counter

import numpy as np
import pytest

from pivot.mlnode.engines.embedded.sampling import Sampler, Sampling, log_normalisers, nucleus_of, scored

VOCABULARY = 50
LOGITS = (2 * np.random.default_rng(3).standard_normal(VOCABULARY)).astype(np.float32)


def probabilities(temperature: float = 1.0) -> np.ndarray:
    weights = np.exp(LOGITS.astype(np.float64) / temperature)
    return weights / weights.sum()


def draws(settings: Sampling, count: int = 4_000) -> Counter[int]:
    sampler = Sampler(settings, [], VOCABULARY)
    return Counter(sampler.choose(LOGITS) for _ in range(count))


def test_temperature_zero_takes_the_most_likely() -> None:
    assert draws(Sampling(temperature=0), 5) == {int(LOGITS.argmax()): 5}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_draws_follow_the_distribution(temperature: float) -> None:
    drawn = draws(Sampling(temperature=temperature, seed=1), 20_000)
    frequencies = np.array([drawn[i] for i in range(VOCABULARY)]) / 20_000
    assert np.abs(frequencies - probabilities(temperature)).max() < 0.015


def test_a_seed_repeats_the_draws_and_another_does_not() -> None:
    def sequence(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(seed=seed), [], VOCABULARY)
        return [sampler.choose(LOGITS) for _ in range(50)]

    assert sequence(7) == sequence(7)
    assert sequence(7) != sequence(8)
    assert sequence(-1) == sequence(-1)
    assert sequence(None) != sequence(None)


def test_top_k_leaves_the_k_most_likely() -> None:
    best = set(np.argsort(-LOGITS)[:5].tolist())
    assert set(draws(Sampling(top_k=5, temperature=2, seed=1))) == best
    assert set(draws(Sampling(top_k=1, seed=1))) == {int(LOGITS.argmax())}
    assert set(draws(Sampling(top_k=10**6, temperature=2, seed=1))) > best


@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.999])
def test_top_p_leaves_the_smallest_set_of_that_mass(top_p: float) -> None:
    shares = probabilities()
    order = np.argsort(-shares)
    expected = order[: int(np.searchsorted(np.cumsum(shares[order]), top_p)) + 1]
    assert set(nucleus_of(shares.astype(np.float32), top_p).tolist()) == set(expected.tolist())
    assert set(draws(Sampling(top_p=top_p, seed=2))) <= set(expected.tolist())


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_min_p_leaves_what_has_that_share_of_the_likeliest(temperature: float) -> None:
    shares = probabilities(temperature)
    expected = set(np.flatnonzero(shares >= 0.3 * shares.max()).tolist())
    assert set(draws(Sampling(min_p=0.3, temperature=temperature, seed=1))) == expected
    assert set(draws(Sampling(min_p=0.3, top_k=2, seed=1))) <= set(np.argsort(-LOGITS)[:2].tolist())
    assert set(draws(Sampling(min_p=1, top_p=0.9, seed=1))) == {int(LOGITS.argmax())}


def test_top_k_and_top_p_together() -> None:
    drawn = draws(Sampling(top_k=3, top_p=0.5, seed=1))
    assert set(drawn) <= set(np.argsort(-LOGITS)[:3].tolist())


def test_frequency_penalty_counts_the_answer() -> None:
    sampler = Sampler(Sampling(temperature=0, frequency_penalty=2), [], VOCABULARY)
    chosen = [sampler.choose(LOGITS) for _ in range(12)]
    assert chosen[0] == int(LOGITS.argmax())
    assert len(set(chosen)) > 1


def test_presence_penalty_counts_once() -> None:
    flat = np.zeros(4, np.float32)
    sampler = Sampler(Sampling(temperature=0, presence_penalty=1), [], 4)
    assert [sampler.choose(flat) for _ in range(6)] == [0, 1, 2, 3, 0, 0]
    assert not flat.any()


def test_repetition_penalty_counts_the_prompt_too() -> None:
    row = np.array([1.0, 0.9, -0.1, -1.0], np.float32)
    assert Sampler(Sampling(temperature=0, repetition_penalty=1.5), [0], 4).choose(row) == 1
    assert Sampler(Sampling(temperature=0, repetition_penalty=1.5), [0, 1], 4).choose(row) == 0


def test_scores_are_of_the_model_whatever_the_sampling() -> None:
    exact = np.log(probabilities())
    normaliser = log_normalisers(LOGITS[None])[0]
    token = int(np.argsort(-LOGITS)[3])
    score = scored(LOGITS, normaliser, token, 2)
    assert score.rank == 4
    assert score.logprob == pytest.approx(exact[token], abs=1e-5)
    assert [entry[0] for entry in score.top] == np.argsort(-LOGITS)[:2].tolist()
    assert score.top[0][1] == pytest.approx(exact.max(), abs=1e-5)
    assert scored(LOGITS, normaliser, token, 0).top == ()
    assert len(scored(LOGITS, normaliser, token, 10**6).top) == VOCABULARY
