"""The devnet's chat model: what it knows, that its files are small, and that every decoder reads them alike."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.batch import Sequence as BatchSequence
from pivot.mlnode.engines.embedded.decoder import Cache, forward, logits
from pivot.mlnode.engines.embedded.requests import ChatMessage
from pivot.mlnode.engines.embedded.sampling import Sampling
from pivot.mlnode.engines.embedded.served import ServedModel

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "models" / "tiny-chat"
TRAINING = REPOSITORY / "models" / "training"
QUESTIONS = Path(__file__).parent / "questions.yaml"

RIGHT_AT_LEAST = 20
MAX_BYTES = 12_000_000
LONGEST_ANSWER = 90  # tokens
SLOTS = 10
LOGIT_TOLERANCE = 1e-3
TRAINING_QUESTIONS = 3_000

Turn = tuple[str, str]


@dataclass(frozen=True)
class Question:
    ask: str
    accept: tuple[str, ...]

    def is_right(self, answer: str) -> bool:
        return is_readable(answer) and any(phrase.lower() in answer.lower() for phrase in self.accept)


def is_readable(text: str) -> bool:
    """Whether a text looks like one or more finished English sentences: no loop, no debris, words of letters."""
    words = re.findall(r"[A-Za-z]+", text)
    if not text.isascii() or len(words) < 3 or not text.rstrip().endswith((".", "!", "?")):
        return False
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    return all(triples.count(triple) < 3 for triple in triples) and max(map(len, words)) < 25


def answers(model: ServedModel, chats: Sequence[Sequence[Turn]]) -> list[str]:
    """The most likely answer to each chat, all decoded together."""
    batch = Batch(model.decoder, SLOTS)
    sequences = [
        BatchSequence(
            model.chat_prompt([ChatMessage(role=role, content=text) for role, text in chat]),
            max_tokens=LONGEST_ANSWER,
            sampling=Sampling(temperature=0),
            stop_ids=model.stop_ids,
        )
        for chat in chats
    ]
    for sequence in sequences:
        batch.add(sequence)
    while not batch.idle:
        batch.step()
    return [model.tokenizer.decode(sequence.tokens, skip_special=True) for sequence in sequences]


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return ServedModel.load(FOLDER, "pivot/tiny-chat")


@pytest.fixture(scope="module")
def held_out() -> list[Question]:
    return [Question(entry["ask"], tuple(entry["accept"])) for entry in yaml.safe_load(QUESTIONS.read_text())]


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The training scripts, which stand outside the package, can be imported."""
    monkeypatch.syspath_prepend(str(TRAINING))
    return TRAINING


def test_it_answers_most_held_out_questions_rightly(model: ServedModel, held_out: list[Question]) -> None:
    given = answers(model, [[("user", question.ask)] for question in held_out])
    right = [question.is_right(answer) for question, answer in zip(held_out, given, strict=True)]
    assert len(right) == 30
    assert sum(right) >= RIGHT_AT_LEAST


def test_every_answer_is_readable_and_ends_by_itself(model: ServedModel, held_out: list[Question]) -> None:
    chats = [[("user", question.ask)] for question in held_out]
    chats += [[("user", text)] for text in ("hi", "What is an epoch?", "zzz", "WHAT PORTS ARE THERE", "1+1", "?")]
    assert [answer for answer in answers(model, chats) if not is_readable(answer)] == []


def test_a_system_message_and_earlier_turns_do_not_confuse_it(model: ServedModel) -> None:
    with_system, with_history = answers(
        model,
        [
            [("system", "You are a helpful assistant."), ("user", "What is an epoch?")],
            [("user", "hello"), ("assistant", "Hello! Ask me about Pivot."), ("user", "What is an epoch?")],
        ],
    )
    assert "blocks" in with_system
    assert "blocks" in with_history


@pytest.mark.parametrize("text", ["", "an epoch is", "Yes.", "An epoch an epoch is an epoch is an epoch is.", "Ü o u."])
def test_debris_is_not_readable(text: str) -> None:
    assert not is_readable(text)


def test_its_files_are_small_and_complete() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sorted(sizes) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sum(sizes.values()) <= MAX_BYTES
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["max_position_embeddings"] == 1024


def test_no_training_question_is_a_near_copy_of_a_held_out_one(training: Path, held_out: list[Question]) -> None:
    import corpus  # noqa: PLC0415

    texts = corpus.load()
    asked = [corpus.words(question.ask) for question in held_out]
    assert set(asked) <= set(texts.held_out)
    dialogues = corpus.dialogues(texts, random.Random(7))
    for _ in range(TRAINING_QUESTIONS):
        for role, text in next(dialogues):
            assert role != "user" or not corpus.near_copy(text, asked), text


def test_the_same_seed_gives_the_same_dialogues(training: Path) -> None:
    import corpus  # noqa: PLC0415

    texts = corpus.load()
    first, second = (corpus.dialogues(texts, random.Random(3)) for _ in range(2))
    assert [next(first) for _ in range(500)] == [next(second) for _ in range(500)]


def test_every_pattern_of_the_corpus_can_be_expanded(training: Path) -> None:
    import corpus  # noqa: PLC0415
    import patterns  # noqa: PLC0415

    texts = corpus.load()
    rng = random.Random(5)
    for fact in texts.facts:
        for _, pattern in (*fact.questions, *(("", more) for more in fact.more)):
            wording = patterns.expand(pattern, rng)
            assert wording, pattern
            assert not set("|{}()") & set(wording.replace("fibonacci()", "")), pattern
        assert all(is_readable(answer) for answer in fact.answers), fact.answers


def our_logits(model: ServedModel, ids: list[int]) -> np.ndarray:
    states = forward(model.decoder, Cache(model.decoder.shape, 1), 0, np.array([ids]), np.array([0]))[0]
    return logits(model.decoder, states)


def some_ids(model: ServedModel) -> list[int]:
    return model.chat_prompt([ChatMessage(role="user", content="What is an epoch, and how long does it last?")])


def test_transformers_computes_the_same_logits(model: ServedModel) -> None:
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    transformers = pytest.importorskip("transformers", reason="transformers is an optional dependency")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    ids = some_ids(model)
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(our_logits(model, ids), expected, atol=LOGIT_TOLERANCE, rtol=0)


def test_transformers_writes_the_same_prompt(model: ServedModel) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an optional dependency")
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(FOLDER)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 9200 for?"}]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert model.chat_prompt([ChatMessage(**message) for message in chat]) == expected


def test_the_trainer_s_model_computes_the_same_logits_and_the_same_prompt(training: Path, model: ServedModel) -> None:
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    import layout  # noqa: PLC0415

    theirs, tokenizer = layout.load(FOLDER)
    ids = some_ids(model)
    assert layout.prompt_ids(tokenizer, [("user", "What is an epoch, and how long does it last?")]) == ids
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids]))[0].numpy()
    np.testing.assert_allclose(our_logits(model, ids), expected, atol=LOGIT_TOLERANCE, rtol=0)
