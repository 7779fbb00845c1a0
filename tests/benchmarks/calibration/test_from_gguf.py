"""A GGUF file's parts as the embedded engine reads them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from benchmarks.calibration.from_gguf import halves, renamed, shape, tokenizer, write_safetensors
from pivot.mlnode.engines.embedded.decoder import DecoderShape
from pivot.mlnode.engines.embedded.tokenizer import Tokenizer
from pivot.mlnode.engines.embedded.weights import read_safetensors

LAYERS, HEADS, KV_HEADS, HEAD, WIDTH, FFN = 2, 3, 1, 4, 12, 20
FIELDS: dict[str, Any] = {
    "tokenizer.ggml.tokens": ["<|end|>", "a", "b", "ab", "1", "2", "12", "Ġ"],
    "tokenizer.ggml.token_type": [3, 1, 1, 1, 1, 1, 1, 1],
    "tokenizer.ggml.merges": ["a b", "1 2"],
    "llama.embedding_length": WIDTH,
    "llama.block_count": LAYERS,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.feed_forward_length": FFN,
    "llama.rope.freq_base": 100_000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def test_the_shape_is_one_that_the_engine_runs() -> None:
    found = DecoderShape.from_config(shape(FIELDS))
    assert (found.layers, found.heads, found.kv_heads, found.head_dim) == (LAYERS, HEADS, KV_HEADS, HEAD)


def test_rows_that_rotate_together_lie_half_a_head_apart() -> None:
    rows = np.arange(HEADS * HEAD, dtype=np.float32)[:, None]
    assert halves(rows, HEADS)[:HEAD, 0].tolist() == [0, 2, 1, 3]
    assert halves(rows, 0) is rows


def test_every_tensor_has_its_name_and_biases_are_0(tmp_path: Path) -> None:
    source = np.random.default_rng(1)
    sizes = {"attn_q": (WIDTH, WIDTH), "attn_k": (HEAD, WIDTH), "attn_v": (HEAD, WIDTH), "attn_output": (WIDTH, WIDTH)}
    sizes |= {"ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH), "ffn_down": (WIDTH, FFN)}
    tensors = {"token_embd.weight": source.standard_normal((8, WIDTH)), "output_norm.weight": np.ones(WIDTH)}
    for layer in range(LAYERS):
        tensors |= {f"blk.{layer}.{name}.weight": source.standard_normal(size) for name, size in sizes.items()}
        tensors |= {f"blk.{layer}.{name}.weight": np.ones(WIDTH) for name in ("attn_norm", "ffn_norm")}
    write_safetensors(tmp_path / "model.safetensors", renamed(tensors, shape(FIELDS)))
    read = read_safetensors(tmp_path / "model.safetensors")
    assert not read["model.layers.1.self_attn.k_proj.bias"].any()
    gate = read["model.layers.1.mlp.gate_proj.weight"]
    assert np.allclose(gate, tensors["blk.1.ffn_gate.weight"], rtol=2**-8)


def test_digits_are_read_one_by_one_and_special_tokens_are_no_text() -> None:
    inner = tokenizers.Tokenizer.from_str(json.dumps(tokenizer(FIELDS)))
    found = Tokenizer(inner)
    assert found.encode("ab12<|end|>") == [3, 4, 5, 0]
    assert found.is_special(0)
    assert found.decode([3, 4], skip_special=True) == "ab1"
