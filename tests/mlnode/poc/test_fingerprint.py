"""Proof of compute at the devnet preset: honest variety is below the tolerance, every shortcut far above it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pivot.mlnode.poc.fingerprint import (
    Fingerprints,
    embeddings,
    fingerprints,
    host_stream,
    project,
    signed_sum,
    unit,
)
from pivot.mlnode.poc.generator import Floats
from pivot.mlnode.poc.model import Layer, SprintModel, block, causal_softmax, exact, forward, half, rms_norm
from pivot.protocol.sprint import SPRINT_PRESETS, distance, host_seed, judge

PRESET = SPRINT_PRESETS["devnet"]
SEED = hashlib.sha256(b"a sprint").digest()
MODEL = SprintModel.build(PRESET, SEED)
INPUTS = host_stream(host_seed(SEED, "gonka1host"))
NONCES = np.arange(96, dtype=np.int64)
HONEST = fingerprints(MODEL, INPUTS, NONCES)

FAR = 2
"""A shortcut is far above the tolerance when its middle distance is at least this multiple of it."""


def distances(others: Fingerprints, honest: Fingerprints = HONEST) -> list[int]:
    return [distance(a.tobytes(), b.tobytes()) for a, b in zip(honest, others, strict=True)]


def altered(change: Callable[[Layer], Layer]) -> SprintModel:
    return replace(MODEL, layers=tuple(change(layer) for layer in MODEL.layers))


def quantised(bits: int) -> SprintModel:
    """Weights rounded to a symmetric integer grid with its own step for every column."""

    def grid(weights: Floats) -> Floats:
        step = np.abs(weights).max(axis=0, keepdims=True) / (2 ** (bits - 1) - 1)
        rounded: Floats = (np.rint(weights / step) * step).astype(np.float32)
        return rounded

    return altered(lambda x: Layer(grid(x.qkv), grid(x.out), grid(x.gate_up), grid(x.down)))


def feed_forward_cut(keep: float) -> SprintModel:
    def cut(layer: Layer) -> Layer:
        down = layer.down.copy()
        down[int(keep * len(down)) :] = 0
        return replace(layer, down=down)

    return altered(cut)


def to_bf16(x: Floats) -> Floats:
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def to_tf32(x: Floats) -> Floats:
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + 0xFFF + (bits >> 13 & 1)) & np.uint32(0xFFFFE000)).view(np.float32)


# What must not matter


def test_fingerprints_are_pinned() -> None:
    """A change of the model that moved them would split the network."""
    pinned = [-910, -349, -4013, 594, -3248, -5912, 4777, -2947, 452, -8599, 1262, 2844, 8667, 3208, -2931, -1751]
    assert np.abs(HONEST[0] - np.array(pinned)).max() <= 1


@pytest.mark.parametrize("size", [1, 5, 32])
def test_batch_sizes_do_not_matter(size: int) -> None:
    parts = [fingerprints(MODEL, INPUTS, NONCES[i : i + size]) for i in range(0, len(NONCES), size)]
    assert max(distances(np.concatenate(parts))) <= 1


@pytest.mark.parametrize("rounding", [half, to_tf32], ids=["fp16", "tf32"])
def test_half_precision_products_are_within_the_tolerance(rounding: Callable[[Floats], Floats]) -> None:
    others = distances(fingerprints(MODEL, INPUTS, NONCES, rounding))
    assert max(others) < PRESET.tolerance
    assert judge(PRESET, others).valid


def test_the_order_of_additions_is_within_the_tolerance() -> None:
    order = np.random.default_rng(3).permutation(PRESET.ffn)

    def shuffled(layer: Layer) -> Layer:
        gate, up = np.split(layer.gate_up, 2, axis=1)
        return replace(layer, gate_up=np.concatenate((gate[:, order], up[:, order]), axis=1), down=layer.down[order])

    assert max(distances(fingerprints(altered(shuffled), INPUTS, NONCES))) <= 2


def test_coordinates_are_spread_like_unit_normals() -> None:
    spread = HONEST.astype(np.float64) / 4096
    assert 0.9 < np.sqrt((spread**2).mean()) < 1.1
    assert np.abs(HONEST).max() < 2**15 - 1


# What must matter: each way to do less work


def without_layers(count: int) -> SprintModel:
    return replace(MODEL, layers=MODEL.layers[: len(MODEL.layers) - count])


def one_layer_dropped(place: int) -> SprintModel:
    return replace(MODEL, layers=MODEL.layers[:place] + MODEL.layers[place + 1 :])


SHORTCUTS = {
    "no layers": without_layers(8),
    "half the layers": without_layers(4),
    **{f"without layer {i}": one_layer_dropped(i) for i in range(8)},
    "no attention": altered(lambda layer: replace(layer, out=0 * layer.out)),
    "no feed-forward": feed_forward_cut(0),
    "half the feed-forward": feed_forward_cut(0.5),
    "99 % of the feed-forward": feed_forward_cut(0.99),
    "int8 weights": quantised(8),
    "int6 weights": quantised(6),
    "int4 weights": quantised(4),
}


@pytest.mark.parametrize("model", SHORTCUTS.values(), ids=SHORTCUTS.keys())
def test_m26_a_shortcut_is_far_above_the_tolerance(model: SprintModel) -> None:
    others = distances(fingerprints(model, INPUTS, NONCES))
    assert min(others) > PRESET.tolerance
    assert sorted(others)[len(others) // 2] > FAR * PRESET.tolerance
    assert not judge(PRESET, others).valid


def test_bf16_products_are_refused() -> None:
    assert not judge(PRESET, distances(fingerprints(MODEL, INPUTS, NONCES, to_bf16))).valid


def test_the_last_layer_at_the_last_position_only_is_far_above_the_tolerance() -> None:
    x = embeddings(PRESET, INPUTS, NONCES)
    for layer in MODEL.layers[:-1]:
        x = block(MODEL, layer, x)
    x[:, -1] = block(MODEL, MODEL.layers[-1], x)[:, -1]
    lazy = project(unit(signed_sum(rms_norm(x), INPUTS, NONCES)), INPUTS, NONCES)
    assert min(distances(lazy)) > FAR * PRESET.tolerance


def test_one_position_left_out_of_the_last_layer_is_above_the_tolerance() -> None:
    x = embeddings(PRESET, INPUTS, NONCES)
    for layer in MODEL.layers[:-1]:
        x = block(MODEL, layer, x)
    skipped = x[:, 3].copy()
    x = block(MODEL, MODEL.layers[-1], x)
    x[:, 3] = skipped
    lazy = project(unit(signed_sum(rms_norm(x), INPUTS, NONCES)), INPUTS, NONCES)
    assert sorted(distances(lazy))[len(NONCES) // 2] > FAR * PRESET.tolerance


def test_reading_the_last_position_alone_is_far_above_the_tolerance() -> None:
    states = forward(MODEL, embeddings(PRESET, INPUTS, NONCES), exact)
    alone = project(unit(states[:, -1]), INPUTS, NONCES)
    assert min(distances(alone)) > FAR * PRESET.tolerance


def test_another_hosts_work_is_worthless() -> None:
    other = host_stream(host_seed(SEED, "gonka1other"))
    assert min(distances(fingerprints(MODEL, other, NONCES))) > FAR * PRESET.tolerance


def test_another_nonces_work_is_worthless() -> None:
    assert min(distances(np.roll(HONEST, 1, axis=0))) > FAR * PRESET.tolerance


def test_another_sprints_work_is_worthless() -> None:
    model = SprintModel.build(PRESET, bytes(32))
    assert min(distances(fingerprints(model, INPUTS, NONCES))) > FAR * PRESET.tolerance


def test_m27_guessed_fingerprints_are_refused() -> None:
    guesses = np.random.default_rng(7).normal(0, 4096, HONEST.shape).clip(-32_767, 32_767).astype("<i2")
    assert min(distances(guesses)) > FAR * PRESET.tolerance


def test_one_wrong_leaf_in_ten_is_refused() -> None:
    padded = HONEST.copy()
    padded[::10] = np.roll(HONEST, 1, axis=0)[::10]
    assert not judge(PRESET, distances(padded)).valid


def test_softmax_is_causal_and_exact_for_any_score() -> None:
    scores = np.random.default_rng(5).normal(0, 1.44, (2, 3, 9, 9)).astype(np.float32)
    scores[0, 0, 4, 2] = 1e4  # far above any that can be
    plain = np.exp(np.where(np.tri(9) == 1, np.minimum(scores, 60.0), -np.inf).astype(np.float64))
    shares = causal_softmax(scores.copy())
    assert np.allclose(shares, plain / plain.sum(-1, keepdims=True), rtol=1e-6, atol=0)


def test_m4_only_a_row_a_nonce_is_projected_yet_every_position_counts() -> None:
    states = forward(MODEL, embeddings(PRESET, INPUTS, NONCES[:2]))
    total = signed_sum(states, INPUTS, NONCES[:2])
    assert total.shape == (2, PRESET.dim)
    for position in range(PRESET.sequence):
        changed = states.copy()
        changed[:, position] *= -1
        others = project(unit(signed_sum(changed, INPUTS, NONCES[:2])), INPUTS, NONCES[:2])
        assert min(distances(others, HONEST[:2])) > FAR * PRESET.tolerance
