"""The decoder equals a slow, plain oracle, however its tokens are put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.engines.embedded.decoder import Cache, Decoder, DecoderShape, forward, logits
from pivot.mlnode.engines.embedded.weights import UnsupportedModel
from tests.mlnode.engines.embedded.oracle import oracle_logits
from tests.mlnode.engines.tiny import CONFIG, VOCABULARY, make_model

TOKENS = np.random.default_rng(5).integers(0, VOCABULARY, 20).tolist()
VARIANTS: dict[str, dict[str, object]] = {
    "as it is": {},
    "tied head": {"tie_word_embeddings": True},
    "one key for all": {"num_key_value_heads": 1, "rope_theta": 1_000_000.0},
    "wide heads": {"head_dim": 16, "num_key_value_heads": 4},
}


def read(model: Decoder, tokens: list[int], *cuts: int) -> np.ndarray:
    """Logits of every position, with the tokens put in piece by piece."""
    cache = Cache(model.shape, 3)
    pieces = np.split(np.array([tokens]), cuts, axis=1)
    starts = [0, *cuts]
    states = [forward(model, cache, 1, part, np.array([at])) for part, at in zip(pieces, starts, strict=True)]
    return logits(model, np.concatenate(states, axis=1)[0])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_it_equals_the_oracle(tmp_path: Path, changes: dict[str, object]) -> None:
    folder = make_model(tmp_path, **changes)
    np.testing.assert_allclose(read(Decoder.load(folder), TOKENS), oracle_logits(folder, TOKENS), atol=2e-4)


def test_pieces_of_any_size_give_the_same(tmp_path: Path) -> None:
    model = Decoder.load(make_model(tmp_path))
    whole = read(model, TOKENS)
    for cuts in ([1], [7, 8, 15], list(range(1, 20))):
        np.testing.assert_allclose(read(model, TOKENS, *cuts), whole, atol=2e-5)


@pytest.mark.parametrize("batch", [1, 2, 4, 7])
def test_a_batch_gives_what_each_sequence_gives_alone(tmp_path: Path, batch: int) -> None:
    model = Decoder.load(make_model(tmp_path))
    cache = Cache(model.shape, batch)
    prompts = [TOKENS[i : 2 * i + 3] for i in range(batch)]  # of different lengths
    for slot, prompt in enumerate(prompts):
        forward(model, cache, slot, np.array([prompt]), np.array([0]))
    lengths = np.array([len(prompt) for prompt in prompts])
    together = logits(model, forward(model, cache, 0, np.full((batch, 1), 9), lengths)[:, 0])
    for row, prompt in zip(together, prompts, strict=True):
        np.testing.assert_allclose(row, read(model, [*prompt, 9])[-1], atol=2e-5)


def test_a_moved_slot_goes_on_as_before(tmp_path: Path) -> None:
    model = Decoder.load(make_model(tmp_path))
    cache = Cache(model.shape, 3)
    forward(model, cache, 2, np.array([TOKENS]), np.array([0]))
    cache.move(2, 0, len(TOKENS))
    moved = logits(model, forward(model, cache, 0, np.array([[9]]), np.array([len(TOKENS)]))[:, 0])
    np.testing.assert_allclose(moved[0], read(model, [*TOKENS, 9])[-1], atol=2e-5)


def test_the_context_may_be_cut_but_not_stretched(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    assert Decoder.load(folder, 32).shape.context == 32
    assert Decoder.load(folder, 10**6).shape.context == CONFIG["max_position_embeddings"]


def test_newer_configurations_say_the_rotary_base_elsewhere() -> None:
    config = {key: value for key, value in CONFIG.items() if key != "rope_theta"}
    parameters = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    assert DecoderShape.from_config(config | parameters).rotary_base == 1e6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "runs Qwen2ForCausalLM, not"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "plain rotary positions only"),
        ({"use_sliding_window": True}, "sliding windows"),
        ({"hidden_act": "gelu"}, "other than silu"),
    ],
)
def test_other_models_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UnsupportedModel, match=sentence):
        DecoderShape.from_config(CONFIG | change)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    folder = make_model(tmp_path, tie_word_embeddings=True)
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
    )
    with pytest.raises(UnsupportedModel, match=r"no tensor 'lm_head.weight'"):
        Decoder.load(folder)
