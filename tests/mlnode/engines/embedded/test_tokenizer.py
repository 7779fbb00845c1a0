from pathlib import Path

import pytest
import tokenizers
from tokenizers import models

from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.tokenizer import Detokeniser, Tokenizer
from pivot.mlnode.engines.embedded.weights import UnsupportedModel

TEXTS = ["What is an epoch?", "größer — 日本語 🙂🙃", " two  spaces\n", "<|im_start|>user\nhi<|im_end|>"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_both_ways(served: ServedModel, text: str) -> None:
    assert served.tokenizer.decode(served.tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_characters_and_add_up(served: ServedModel, text: str) -> None:
    detokeniser = Detokeniser(served.tokenizer, skip_special=False)
    pieces = [detokeniser.push(token) for token in served.tokenizer.encode(text)] + [detokeniser.flush()]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert text.isascii() or "" in pieces[:-1]  # a character that spans tokens was waited for


def test_a_character_that_is_never_completed_shows_as_replacement(served: ServedModel) -> None:
    detokeniser = Detokeniser(served.tokenizer, skip_special=True)
    first, *_ = served.tokenizer.encode("🙃")
    assert detokeniser.push(first) == ""
    assert detokeniser.flush() == "\ufffd"


def test_special_tokens_are_tokens_and_can_be_left_out(served: ServedModel) -> None:
    tokens = served.tokenizer.encode("<|im_start|>user<|im_end|>")
    end = served.tokenizer.id_of("<|im_end|>")
    assert tokens[-1] == end
    assert end is not None
    assert served.tokenizer.is_special(end)
    assert served.tokenizer.decode(tokens, skip_special=True) == "user"
    detokeniser = Detokeniser(served.tokenizer, skip_special=True)
    assert "".join(map(detokeniser.push, tokens)) == "user"


def test_ids_that_only_pad_the_vocabulary_are_no_text(served: ServedModel) -> None:
    assert served.tokenizer.text_of(served.decoder.shape.vocabulary - 1) == ""


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UnsupportedModel, match="byte-level tokenizers only"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UnsupportedModel, match="cannot be read"):
        Tokenizer.load(tmp_path)
