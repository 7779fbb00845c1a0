"""The tokenizer, the chat template and the files of a model folder, as Hugging Face lays them out."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from corpus import Dialogue
from qwen2 import Qwen2, Shape
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, TURN_START, TURN_END)

# Qwen2's own: letters, single digits, punctuation, line ends, spaces.
_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE over the texts, with Qwen2's way of cutting them into pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def turn_ids(tokenizer: Tokenizer, role: str, text: str) -> tuple[list[int], list[int]]:
    """One turn as the chat template writes it: its head, and what comes after the head."""
    start, end = tokenizer.token_to_id(TURN_START), tokenizer.token_to_id(TURN_END)
    head = [start, *tokenizer.encode(f"{role}\n").ids]
    return head, [*tokenizer.encode(text).ids, end]


def prompt_ids(tokenizer: Tokenizer, dialogue: Dialogue) -> list[int]:
    """The template's token ids for turns that wait for the assistant's answer."""
    line_end = tokenizer.encode("\n").ids
    ids: list[int] = []
    for role, text in dialogue:
        head, rest = turn_ids(tokenizer, role, text)
        ids += head + rest + line_end
    return ids + turn_ids(tokenizer, "assistant", "")[0]


def save(folder: Path, model: Qwen2, tokenizer: Tokenizer) -> None:
    """Write the six files of the model: weights in bf16, everything else as JSON or text."""
    folder.mkdir(parents=True, exist_ok=True)
    end_of_text, turn_end = tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(TURN_END)
    ids = {"bos_token_id": end_of_text, "eos_token_id": turn_end, "pad_token_id": end_of_text}
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    _write(folder / "config.json", model.shape.config() | ids)
    _write(folder / "generation_config.json", ids | {"eos_token_id": [turn_end, end_of_text]})
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.shape.max_position_embeddings,
            "eos_token": TURN_END,
            "pad_token": END_OF_TEXT,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    weights = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load(folder: Path) -> tuple[Qwen2, Tokenizer]:
    """The model of a folder, in fp32, and its tokenizer."""
    config = json.loads((folder / "config.json").read_text())
    model = Qwen2(Shape(**{name: config[name] for name in Shape.__dataclass_fields__}))
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")
