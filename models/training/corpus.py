"""The hand-written corpus as dialogues: the same ones for the same seed.

`corpus/facts/*.yaml` hold the facts. A fact has a topic, answers in two wordings, and patterns of questions:
under `ask` as they stand, under the name of a frame of `corpus/frames.yaml` as what fills its `{x}`, under `more` as
follow-ups that are only asked after another question on the same topic.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from patterns import CLOSING_QUESTIONS, OPENING_QUESTIONS, expand, mistreat, swap_synonyms

CORPUS = Path(__file__).parent / "corpus"
HELD_OUT = (
    Path(__file__).parent / "development_questions.yaml",
    Path(__file__).parents[2] / "tests" / "mlnode" / "engines" / "questions.yaml",
)
NEAR_COPY = 0.7
"""Questions that have so large a part of their words in common with a held-out one are not trained on."""

SYSTEM_SHARE = 0.12
TURNS = ((1, 84), (2, 12), (3, 4))
FOLLOW_UP_SHARE = 0.6


@dataclass(frozen=True)
class Fact:
    """One thing to know: how it is asked for, and how it is answered."""

    topic: str
    questions: tuple[tuple[str, str], ...]
    """(frame, pattern); the frame is empty for a pattern that stands by itself."""

    more: tuple[str, ...]
    answers: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class Corpus:
    facts: tuple[Fact, ...]
    frames: Mapping[str, Sequence[str]]
    synonyms: Mapping[str, Sequence[str]]
    openings: Sequence[str]
    closings: Sequence[str]
    fillers: Sequence[str]
    systems: Sequence[str]
    held_out: tuple[frozenset[str], ...]


Dialogue = list[tuple[str, str]]
"""(role, text) in order; ends with the assistant's answer."""


def load() -> Corpus:
    """The corpus as written in the repository."""
    frames = _read("frames.yaml")
    manners = _read("manners.yaml")
    facts = [_fact(entry, frames) for path in sorted((CORPUS / "facts").glob("*.yaml")) for entry in _yaml(path)]
    return Corpus(
        facts=tuple(facts),
        frames=frames,
        synonyms=_read("synonyms.yaml"),
        openings=manners["openings"],
        closings=manners["closings"],
        fillers=manners["fillers"],
        systems=manners["systems"],
        held_out=tuple(words(entry["ask"]) for path in HELD_OUT for entry in _yaml(path)),
    )


def dialogues(corpus: Corpus, rng: random.Random) -> Iterator[Dialogue]:
    """Dialogues without end: every fact once, in a new order, then again with other wordings."""
    by_topic: dict[str, list[Fact]] = {}
    for fact in corpus.facts:
        by_topic.setdefault(fact.topic, []).append(fact)
    while True:
        round_ = [fact for fact in corpus.facts for _ in range(_times(fact.weight, rng))]
        rng.shuffle(round_)
        for fact in round_:
            yield _dialogue(corpus, by_topic, fact, rng)


def question(corpus: Corpus, fact: Fact, rng: random.Random, *, follow_up: bool = False) -> str:
    """One wording of the question for a fact, never a near copy of a held-out one."""
    while True:
        if follow_up and fact.more:
            pattern = rng.choice(fact.more)
        else:
            frame, pattern = rng.choice(fact.questions)
            if frame:
                pattern = rng.choice(corpus.frames[frame]).replace("{x}", pattern)
        text = plain = swap_synonyms(expand(pattern, rng), corpus.synonyms, rng)
        if rng.random() < OPENING_QUESTIONS:
            text = f"{expand(rng.choice(corpus.openings), rng)} {text}"
        if rng.random() < CLOSING_QUESTIONS:
            text = f"{text} {expand(rng.choice(corpus.closings), rng)}"
        text = mistreat(text, corpus.fillers, rng)
        if not near_copy(plain, corpus.held_out) and not near_copy(text, corpus.held_out):
            return text


def words(text: str) -> frozenset[str]:
    """The words of a text, without case and punctuation."""
    return frozenset(re.findall(r"[\w']+", text.lower()))


def near_copy(text: str, held_out: Sequence[frozenset[str]]) -> bool:
    """Whether a question has nearly the words of a held-out one."""
    own = words(text)
    return any(len(own & other) >= NEAR_COPY * len(own | other) for other in held_out)


def _dialogue(corpus: Corpus, by_topic: Mapping[str, list[Fact]], fact: Fact, rng: random.Random) -> Dialogue:
    turns = rng.choices([n for n, _ in TURNS], [weight for _, weight in TURNS])[0]
    dialogue: Dialogue = []
    if rng.random() < SYSTEM_SHARE:
        dialogue.append(("system", rng.choice(corpus.systems)))
    for turn in range(turns):
        follow_up = False
        if turn:
            if rng.random() < FOLLOW_UP_SHARE and (candidates := [f for f in by_topic[fact.topic] if f.more]):
                fact, follow_up = rng.choice(candidates), True
            else:
                fact = rng.choice(corpus.facts)
        dialogue.append(("user", question(corpus, fact, rng, follow_up=follow_up)))
        dialogue.append(("assistant", rng.choice(fact.answers)))
    return dialogue


def _fact(entry: dict[str, Any], frames: Mapping[str, Any]) -> Fact:
    known = {"topic", "ask", "more", "answer", "weight"} | frames.keys()
    if unknown := entry.keys() - known:
        raise ValueError(f"{entry['topic']}: there is no frame {sorted(unknown)}")
    framed = [(frame, pattern) for frame in frames for pattern in entry.get(frame, ())]
    free = [("", pattern) for pattern in entry.get("ask", ())]
    if not framed and not free:
        raise ValueError(f"{entry['topic']}: a fact without a question: {entry['answer'][0]!r}")
    return Fact(
        topic=entry["topic"],
        questions=tuple(framed + free),
        more=tuple(entry.get("more", ())),
        answers=tuple(" ".join(answer.split()) for answer in entry["answer"]),
        weight=float(entry.get("weight", 1)),
    )


def _times(weight: float, rng: random.Random) -> int:
    return int(weight) + (rng.random() < weight % 1)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _read(name: str) -> Any:
    return _yaml(CORPUS / name)
