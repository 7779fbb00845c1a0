"""Text to token ids and back: byte-level BPE.

Every token stands for a run of bytes, so text is put together from bytes and a character that spans tokens is never cut.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from pathlib import Path

import tokenizers

from pivot.mlnode.engines.embedded.weights import UnsupportedModel


class Tokenizer:
    """The tokenizer of a model folder (`tokenizer.json`)."""

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        decoder = json.loads(inner.to_str())["decoder"] or {}
        if decoder.get("type") != "ByteLevel":
            raise UnsupportedModel(f"the embedded engine knows byte-level tokenizers only, not {decoder.get('type')}")
        added = inner.get_added_tokens_decoder()
        self._inner = inner
        self._special = {index for index, token in added.items() if token.special}
        self._bytes: dict[int, bytes] = {
            index: bytes(_BYTE_OF[character] for character in token) if index not in added else token.encode()
            for token, index in inner.get_vocab(with_added_tokens=True).items()
        }
        self.longest = max(map(len, self._bytes.values()))
        """Bytes of the longest token."""

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """The tokenizer of a model folder. Raises UnsupportedModel."""
        try:
            return cls(tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
        except UnsupportedModel:
            raise
        except Exception as error:  # the tokenizers library raises plain Exception
            raise UnsupportedModel(f"{folder / 'tokenizer.json'} cannot be read: {error}") from error

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """The ids of a text; names of special tokens in it become those tokens."""
        ids: list[int] = self._inner.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def id_of(self, token: str) -> int | None:
        """The id of a token by its name."""
        index: int | None = self._inner.token_to_id(token)
        return index

    def is_special(self, token: int) -> bool:
        """Whether a token is left out of text."""
        return token in self._special

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for; nothing for ids that only pad the model's vocabulary."""
        return self._bytes.get(token, b"")

    def text_of(self, token: int) -> str:
        """One token as text by itself; bytes that are no whole character show as U+FFFD."""
        return self.bytes_of(token).decode(errors="replace")

    def decode(self, tokens: Iterable[int], *, skip_special: bool = False) -> str:
        """The text of a sequence."""
        kept = (token for token in tokens if not (skip_special and self.is_special(token)))
        return b"".join(map(self.bytes_of, kept)).decode(errors="replace")


class Detokeniser:
    """Text from tokens as they come, never half a character."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that is certain with this token; empty while a character is incomplete."""
        if self._skip_special and self._tokenizer.is_special(token):
            return ""
        return self._decoder.decode(self._tokenizer.bytes_of(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was never completed."""
        return self._decoder.decode(b"", final=True)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: a printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
