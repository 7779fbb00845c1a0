"""Qwen2 as its definition reads: one sequence, one position at a time, in float64, no cache. Slow and plain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pivot.mlnode.engines.embedded.weights import load_weights


def oracle_logits(folder: Path, tokens: list[int]) -> np.ndarray:
    """Logits of every position. Returns: (T, V) float64."""
    weights = load_weights(folder)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).astype(np.float64)
    return oracle_states(folder, tokens) @ head.T


def oracle_states(folder: Path, tokens: list[int]) -> np.ndarray:
    """State of every position behind the last norm. Returns: (T, D) float64."""
    config = json.loads((folder / "config.json").read_text())
    weights = {name: tensor.astype(np.float64) for name, tensor in load_weights(folder).items()}
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads

    def norm(vector: np.ndarray, name: str) -> np.ndarray:
        return vector / np.sqrt(np.mean(vector**2) + config["rms_norm_eps"]) * weights[name]

    def turn(vector: np.ndarray, position: int) -> np.ndarray:
        turned = np.empty(head_dim)
        for j in range(head_dim // 2):
            angle = position * config["rope_theta"] ** (-2 * j / head_dim)
            a, b = vector[j], vector[j + head_dim // 2]
            turned[j] = a * np.cos(angle) - b * np.sin(angle)
            turned[j + head_dim // 2] = b * np.cos(angle) + a * np.sin(angle)
        return turned

    x = [weights["model.embed_tokens.weight"][token] for token in tokens]
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}."
        inputs = [norm(vector, at + "input_layernorm.weight") for vector in x]
        q, k, v = (
            [
                (weights[f"{at}self_attn.{p}_proj.weight"] @ u + weights[f"{at}self_attn.{p}_proj.bias"]).reshape(
                    -1, head_dim
                )
                for u in inputs
            ]
            for p in "qkv"
        )
        for t in range(len(tokens)):
            mixed = []
            for h in range(heads):
                g = h * groups // heads
                query = turn(q[t][h], t)
                scores = np.array([query @ turn(k[s][g], s) / np.sqrt(head_dim) for s in range(t + 1)])
                shares = np.exp(scores - scores.max())
                mixed.append(sum(share * v[s][g] for s, share in enumerate(shares / shares.sum())))
            x[t] = x[t] + weights[at + "self_attn.o_proj.weight"] @ np.concatenate(mixed)
        for t in range(len(tokens)):
            u = norm(x[t], at + "post_attention_layernorm.weight")
            gate = weights[at + "mlp.gate_proj.weight"] @ u
            hidden = gate / (1 + np.exp(-gate)) * (weights[at + "mlp.up_proj.weight"] @ u)
            x[t] = x[t] + weights[at + "mlp.down_proj.weight"] @ hidden
    return np.stack([norm(vector, "model.norm.weight") for vector in x])
