"""The decoder and Hugging Face's Qwen2 agree on the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pivot.mlnode.engines.embedded.decoder import Cache, Decoder, forward, logits
from pivot.mlnode.settings import REPOSITORY_MODELS
from tests.mlnode.engines.tiny import make_model

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
transformers = pytest.importorskip("transformers", reason="needs the extra `torch`")

TOLERANCE = 1e-3
LENGTH = 60


def differences(folder: Path) -> np.ndarray:
    model = Decoder.load(folder)
    tokens = np.random.default_rng(2).integers(0, model.shape.vocabulary, LENGTH)
    ours = logits(model, forward(model, Cache(model.shape, 1), 0, tokens[None], np.array([0]))[0])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return np.abs(ours - theirs(torch.tensor(tokens[None])).logits[0].numpy())


def test_on_a_random_model(tmp_path: Path) -> None:
    folder = make_model(tmp_path, model_type="qwen2")
    assert differences(folder).max() < TOLERANCE


def test_on_the_tiny_model() -> None:
    folder = REPOSITORY_MODELS / "tiny-chat"
    if not folder.exists():
        pytest.skip("the tiny model is not in this checkout")
    assert differences(folder).max() < TOLERANCE
