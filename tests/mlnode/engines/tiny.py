"""A random Qwen2 model with a small tokenizer, in the files that a real one has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from pivot.mlnode.engines.embedded.weights import load_weights
from pivot.mlnode.model_cache import WEIGHTS_SUFFIX
from pivot.mlnode.settings import REPOSITORY_MODELS

TINY_CHAT = REPOSITORY_MODELS / "tiny-chat"
VOCABULARY = 400
CONTEXT = 96
END = "<|im_end|>"
TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'tool' %}{{ raise_exception('no tools here') }}{%- endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %}"
)
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
}


def make_model(folder: Path, seed: int = 1, **changes: object) -> Path:
    """Write a model with random weights, in bf16. Its logits have a standard deviation of about 2."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | changes
    (folder / "config.json").write_text(json.dumps(config))
    end = make_tokenizer(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [end], "temperature": 0.9}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": END}}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_safetensors(folder / "model.safetensors", random_weights(config, seed))
    return folder


def make_tokenizer(folder: Path) -> int:
    """A byte-level BPE, trained on a few words. Returns the id of END."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["What is an epoch? A host proves compute, and serves. " * 9, "größer 日本 🙂"], trainer
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.token_to_id(END))


def random_weights(config: dict[str, object], seed: int) -> dict[str, np.ndarray]:
    """Tensors under Hugging Face's names, scaled so that every part matters."""
    random = np.random.default_rng(seed)
    d, f = int(str(config["hidden_size"])), int(str(config["intermediate_size"]))
    heads, kv = int(str(config["num_attention_heads"])), int(str(config["num_key_value_heads"]))
    head_dim = int(str(config.get("head_dim") or d // heads))

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)

    def vector(size: int, centre: float) -> np.ndarray:
        return (centre + 0.3 * random.standard_normal(size)).astype(np.float32)

    weights = {"model.embed_tokens.weight": matrix(VOCABULARY, d), "model.norm.weight": vector(d, 2)}
    for i in range(int(str(config["num_hidden_layers"]))):
        layer = f"model.layers.{i}."
        weights |= {
            layer + "input_layernorm.weight": vector(d, 1),
            layer + "post_attention_layernorm.weight": vector(d, 1),
            layer + "self_attn.q_proj.weight": matrix(heads * head_dim, d),
            layer + "self_attn.q_proj.bias": vector(heads * head_dim, 0),
            layer + "self_attn.k_proj.weight": matrix(kv * head_dim, d),
            layer + "self_attn.k_proj.bias": vector(kv * head_dim, 0),
            layer + "self_attn.v_proj.weight": matrix(kv * head_dim, d),
            layer + "self_attn.v_proj.bias": vector(kv * head_dim, 0),
            layer + "self_attn.o_proj.weight": matrix(d, heads * head_dim),
            layer + "mlp.gate_proj.weight": matrix(f, d),
            layer + "mlp.up_proj.weight": matrix(f, d),
            layer + "mlp.down_proj.weight": matrix(d, f),
        }
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = matrix(VOCABULARY, d)
    return weights


def write_safetensors(path: Path, weights: dict[str, np.ndarray], dtype: str = "BF16") -> None:
    """Write tensors as BF16 (cut, not rounded), F16 or F32."""
    narrow = {
        "BF16": lambda w: (w.view(np.uint32) >> 16).astype("<u2"),
        "F16": lambda w: w.astype("<f2"),
        "F32": lambda w: w.astype("<f4"),
    }[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in weights.items():
        data = narrow(tensor).tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        body += data
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)


def make_random_chat(folder: Path, seed: int = 1) -> Path:
    """A model of the shape of the tiny chat model, with its words and its template, and random weights: one that vLLM takes, too."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in TINY_CHAT.iterdir():
        if file.suffix != WEIGHTS_SUFFIX:
            shutil.copy(file, folder / file.name)
    random = np.random.default_rng(seed)

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        centre, spread = (1.0, 0.1) if "norm" in name else (0.0, shape[-1] ** -0.5)
        return (centre + spread * random.standard_normal(shape)).astype(np.float32)

    weights = load_weights(TINY_CHAT)
    write_safetensors(
        folder / "model.safetensors", {name: tensor(name, weight.shape) for name, weight in weights.items()}
    )
    return folder


def put_into_cache(folder: Path, cache: Path, repository: str, revision: str) -> None:
    """Lay a model down in a Hugging Face cache, as one revision of a repository."""
    place = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / revision)
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(revision)
