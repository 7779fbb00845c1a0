"""A Qwen2 decoder in plain torch: what the trainer needs and no more (no cache, no padding mask, no sliding window).

Parameter names are those of Hugging Face's `Qwen2ForCausalLM`, so that its files are this module's `state_dict`.
Sequences are padded on the right: a causal model never sees the padding of what it predicts.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Hyper-parameters, under the names of Hugging Face's `config.json`."""

    vocab_size: int
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    intermediate_size: int = 704
    max_position_embeddings: int = 1024
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def config(self) -> dict[str, Any]:
        """The whole `config.json`, without the ids of special tokens."""
        return asdict(self) | {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "use_cache": True,
            "use_sliding_window": False,
            "torch_dtype": "bfloat16",
        }


class Dropout(nn.Module):
    """Dropout with one mask for all positions of a sequence: cheap, and a lost feature is lost everywhere."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        kept = torch.rand(x.shape[0], 1, x.shape[2]) >= self.share
        return x * (kept / (1 - self.share)).type_as(x)


class Norm(nn.Module):
    """Root-mean-square normalisation, computed in fp32."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)).type_as(x) * self.weight


def rotation(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (T, head_size)."""
    frequencies = shape.rope_theta ** (-torch.arange(0, shape.head_size, 2).float() / shape.head_size)
    angles = torch.outer(torch.arange(length).float(), frequencies)  # (T, head_size / 2)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn (B, H, T, head_size) by its position, halves against halves."""
    first, second = x.chunk(2, dim=-1)
    return (x * cosine + torch.cat((-second, first), dim=-1) * sine).type_as(x)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        narrow = shape.num_key_value_heads * shape.head_size
        self.q_proj = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.k_proj = nn.Linear(shape.hidden_size, narrow)
        self.v_proj = nn.Linear(shape.hidden_size, narrow)
        self.o_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, _ = x.shape

        def heads(y: Tensor) -> Tensor:
            return y.view(batch, length, -1, self.shape.head_size).transpose(1, 2)  # (B, H, T, head_size)

        query = rotate(heads(self.q_proj(x)), cosine, sine)
        key = rotate(heads(self.k_proj(x)), cosine, sine)
        value = heads(self.v_proj(x))
        groups = self.shape.num_attention_heads // self.shape.num_key_value_heads
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        # Written out: on short sequences this is twice as fast on a CPU as torch's own attention.
        scores = (query @ key.transpose(-2, -1)) * self.shape.head_size**-0.5  # (B, H, T, T)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, float("-inf")).softmax(-1).type_as(value)
        return self.o_proj((weights @ value).transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = FeedForward(shape)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cosine, sine))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Decoder(nn.Module):
    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.num_hidden_layers))
        self.norm = Norm(shape.hidden_size, shape.rms_norm_eps)
        self.dropout = Dropout(dropout)


class Qwen2(nn.Module):
    """The model. `dropout` acts on embeddings and on what each block adds, in training only."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape, dropout)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                ends_block = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * shape.num_hidden_layers) ** 0.5 if ends_block else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def hidden(self, ids: Tensor) -> Tensor:
        """Normalised final states of token ids (B, T): (B, T, hidden_size)."""
        cosine, sine = rotation(self.shape, ids.shape[1])
        x = self.model.dropout(self.model.embed_tokens(ids))
        for layer in self.model.layers:
            x = layer(x, cosine, sine)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (…, vocab_size) of final states, through the tied embedding."""
        return hidden @ self.model.embed_tokens.weight.T

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits(self.hidden(ids))
