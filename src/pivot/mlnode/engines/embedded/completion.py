"""From tokens to the text of one answer: whole characters, and stop strings that never show."""

from __future__ import annotations

from collections.abc import Sequence

from pivot.mlnode.engines.embedded.tokenizer import Detokeniser, Tokenizer


class Completion:
    """The text of one choice, as it grows."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], *, skip_special: bool) -> None:
        self._detokeniser = Detokeniser(tokenizer, skip_special=skip_special)
        self._stop = stop
        self._held = ""
        self.text = ""
        """All text given out so far."""
        self.stopped_by: str | None = None
        """The stop string that ended it."""

    def push(self, token: int) -> str:
        """The text that may be shown now; what could be the beginning of a stop string is held back."""
        return self._give(self._detokeniser.push(token), last=False)

    def flush(self) -> str:
        """What was held back, once no more tokens come."""
        return "" if self.stopped_by else self._give(self._detokeniser.flush(), last=True)

    def _give(self, piece: str, *, last: bool) -> str:
        text = self._held + piece
        found = [(text.index(stop), stop) for stop in self._stop if stop in text]
        if found:
            place, self.stopped_by = min(found)
            given, self._held = text[:place], ""
        else:
            kept = 0 if last else max((_overlap(text, stop) for stop in self._stop), default=0)
            given, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self.text += given
        return given


def _overlap(text: str, stop: str) -> int:
    """Length of the longest beginning of `stop`, short of all of it, with which `text` ends."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
