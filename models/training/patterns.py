"""Wordings of a question from patterns: `(a|b|)` is a choice, `{x}` a place to fill. And the ways people mistreat them."""

import random
import re
from collections.abc import Mapping, Sequence

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "do",
        "does",
        "did",
        "of",
        "to",
        "i",
        "in",
        "on",
        "for",
        "my",
        "me",
        "it",
        "its",
        "that",
        "this",
        "will",
        "can",
        "be",
        "with",
        "at",
        "please",
        "exactly",
    ]
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_INNERMOST = re.compile(r"\(([^()]*)\)")
_SPACES = re.compile(r"\s+")

SYNONYM_SHARE = 0.22
STOP_WORD_QUESTIONS, STOP_WORD_SHARE = 0.12, 0.4
LOST_WORD_QUESTIONS = 0.07
FILLER_QUESTIONS = 0.12
MOVED_WORD_QUESTIONS = 0.04
TYPO_QUESTIONS = 0.14
OPENING_QUESTIONS, CLOSING_QUESTIONS = 0.22, 0.12
ENDINGS = (("?", 60), ("", 27), (".", 6), ("??", 3), (" ?", 2), ("!", 2))
CASES = (("sentence", 50), ("lower", 44), ("upper", 3), ("title", 3))


def expand(pattern: str, rng: random.Random) -> str:
    """One wording of a pattern, every choice taken at random."""
    while found := _INNERMOST.search(pattern):
        pattern = pattern[: found.start()] + rng.choice(found[1].split("|")) + pattern[found.end() :]
    return _SPACES.sub(" ", pattern).strip()


def swap_synonyms(text: str, synonyms: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """Replace some of the words that have synonyms, each once at most, longest phrases first."""

    def swapped(found: re.Match[str]) -> str:
        return rng.choice(synonyms[found[0]]) if rng.random() < SYNONYM_SHARE else found[0]

    return synonym_expression(tuple(synonyms)).sub(swapped, text)


_expressions: dict[tuple[str, ...], re.Pattern[str]] = {}


def synonym_expression(phrases: tuple[str, ...]) -> re.Pattern[str]:
    if phrases not in _expressions:
        longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
        _expressions[phrases] = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")
    return _expressions[phrases]


def with_typo(word: str, rng: random.Random) -> str:
    """The word with one slip of the fingers."""
    if len(word) < 4:
        return word
    at = rng.randrange(len(word) - 1)
    slips = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + rng.choice(_LETTERS) + word[at + 1 :],
    )
    return rng.choice(slips)


def mistreat(text: str, fillers: Sequence[str], rng: random.Random) -> str:
    """Small words left out, a word lost, moved or too many, slips of the fingers, any case, any ending."""
    words = text.split()
    if len(words) > 3:
        if rng.random() < STOP_WORD_QUESTIONS:
            words = [w for w in words if w.lower() not in STOP_WORDS or rng.random() > STOP_WORD_SHARE] or words
        if len(words) > 4 and rng.random() < LOST_WORD_QUESTIONS:
            words.pop(rng.randrange(len(words)))
        if rng.random() < MOVED_WORD_QUESTIONS:
            words.insert(rng.randrange(len(words)), words.pop(rng.randrange(len(words))))
        if rng.random() < FILLER_QUESTIONS:
            words.insert(rng.randrange(len(words)), rng.choice(fillers))
    if rng.random() < TYPO_QUESTIONS:
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(words))
            words[at] = with_typo(words[at], rng)
    text = _cased(" ".join(words), _weighted(CASES, rng))
    return text if text.endswith(("?", ".", "!")) else text + _weighted(ENDINGS, rng)


def _weighted(choices: Sequence[tuple[str, int]], rng: random.Random) -> str:
    return rng.choices([name for name, _ in choices], [weight for _, weight in choices])[0]


def _cased(text: str, case: str) -> str:
    if case == "lower":
        return text.lower()
    if case == "upper":
        return text.upper()
    if case == "title":
        return text.title()
    text = re.sub(r"\bi\b", "I", text)
    return text[:1].upper() + text[1:]
