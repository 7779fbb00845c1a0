"""What an engine told about each position of an answer, kept small until the artifact is made.

Where the developer did not ask for log-probabilities they are cut out of an event as bytes, so that only the rest is parsed on
its way, and are read some 28 events at a time. Of an event of 770 bytes (one token, five alternatives) that is 2.8 µs before it
goes on and 3.2 µs later; parsed whole it is 4.9 µs, all of them before: the developer has it sooner, for 1 µs more in all.
Read positions are compressed: 65 bytes each instead of some 900 as objects.
"""

import threading
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import orjson
import zstandard

from pivot.api.inference.request import MAX_TOP_LOGPROBS

Position = tuple[str, float, list[tuple[str, float]]]
"""A token of the answer, its log-probability, and what else stood high at its place. A plain tuple: there is one per token."""

READ_AT_BYTES = 16 * 2**10
"""Of log-probabilities that were cut out and not read yet."""
PACK_AT = 32
"""Read positions that are compressed together, at least."""
COMPRESSION_LEVEL = 1
_KEY = b',"logprobs":{'
_MARK = b',"logprobs":true'


class Positions:
    """The positions of one answer, in order."""

    def __init__(self, *, is_chat: bool, most: int) -> None:
        self._most = most
        self._rows_of = rows_of_chat if is_chat else rows_of_completion
        self._cut: list[bytes] = []
        self._cut_bytes = 0
        self._cut_count = 0
        self._rows: list[Position] = []
        self._packed: list[bytes] = []
        self._packed_count = 0

    def __len__(self) -> int:
        """How many; those not read yet count as many as their events had tokens."""
        return self._packed_count + len(self._rows) + self._cut_count

    def add(self, rows: list[Position]) -> None:
        """Those of an event that was parsed whole. Raises ValueError for too many, or if earlier ones cannot be read."""
        self.read()
        self._keep(rows)

    def add_cut(self, logprobs: bytes, count: int) -> None:
        """Those of `count` tokens, as JSON. Raises ValueError if these or earlier ones cannot be read."""
        self._cut.append(logprobs)
        self._cut_bytes += len(logprobs)
        self._cut_count += count
        if self._cut_bytes > READ_AT_BYTES:
            self.read()

    def read(self) -> None:
        """Read what was cut out. Raises ValueError if it is no such thing, or too much: it is then forgotten, what was read is kept."""
        if not self._cut:
            return
        cut, self._cut, self._cut_bytes, self._cut_count = self._cut, [], 0, 0
        try:
            rows = [row for logprobs in orjson.loads(b"[%b]" % b",".join(cut)) for row in self._rows_of(logprobs)]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"log-probabilities that cannot be read: {error!r}") from error
        self._keep(rows)

    def json(self) -> bytes:
        """All of them as a JSON list. What was cut out must have been read."""
        parts = []
        if self._packed:
            decompress = zstandard.ZstdDecompressor().decompress  # which takes longer to make than a short answer
            parts = [decompress(each) for each in self._packed]
        if self._rows:
            parts.append(orjson.dumps(self._rows)[1:-1])
        return b"[%b]" % b",".join(parts)

    def _keep(self, rows: list[Position]) -> None:
        if len(self) + len(rows) > self._most:
            raise ValueError(f"more than {self._most} tokens")
        self._rows += rows
        if len(self._rows) >= PACK_AT:
            packed = _compressor().compress(orjson.dumps(self._rows)[1:-1])
            self._packed.append(bytes(memoryview(packed)))  # the compressor leaves it as large as it could have become
            self._packed_count += len(self._rows)
            self._rows = []


def cut_logprobs(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """An event of a stream without the log-probabilities of its only choice, and these as JSON; None if they cannot be cut out.

    That the cut is right follows from the rules of JSON, whatever stands in the texts. A quote behind a comma is never escaped,
    and none that ends a string is followed by a letter; so `,"logprobs":{` is a key with its object, wherever it stands. `},"`
    ends an object that another key follows, or stands around the end of a string. In the second case all that follows is read
    with strings and structure exchanged, and no key is JSON as structure; an object further in leaves too many brackets behind:
    both make the rest unreadable. Beyond the object the cut is no JSON, which shows when it is read. And the mark shows that
    it is the choice's own key.
    """
    begin = data.find(_KEY)
    if begin < 0:
        return None
    end = data.find(b'},"', begin) + 1
    try:
        document: dict[str, Any] = orjson.loads(b"".join((data[:begin], _MARK, data[end:])))
        (choice,) = document["choices"]
        if end == 0 or choice["logprobs"] is not True:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    choice["logprobs"] = None
    return document, data[begin + len(_KEY) - 1 : end]


def rows_of_chat(logprobs: dict[str, Any]) -> list[Position]:
    """The positions in a chat's `logprobs`."""
    return [(*_scored(entry), list(map(_scored, entry["top_logprobs"]))) for entry in logprobs.get("content") or []]


def rows_of_completion(logprobs: dict[str, Any]) -> list[Position]:
    """Those in a completion's; here engines write the alternatives as an object, to which the token itself is added."""
    each = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
    return [
        (token, logprob, sorted(top.items(), key=lambda item: -item[1])[:MAX_TOP_LOGPROBS])
        for token, logprob, top in each
    ]


def _compressor() -> zstandard.ZstdCompressor:
    """That of the thread: making one takes longer than using it."""
    if not hasattr(_threads, "compressor"):
        _threads.compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
    compressor: zstandard.ZstdCompressor = _threads.compressor
    return compressor


_threads = threading.local()
_scored: Callable[[dict[str, Any]], tuple[str, float]] = itemgetter("token", "logprob")
