"""Rows that are hard for a tree: nested prefixes, first and last bytes, few letters, so that keys often meet again."""

import random

from hypothesis import strategies as st

LETTERS = b"\x00\x01\x7f\x80\xfea\xff"
Changes = dict[bytes, bytes | None]

keys = st.lists(st.sampled_from(list(LETTERS)), min_size=1, max_size=5).map(bytes)
values = st.binary(min_size=1, max_size=3)
changes = st.dictionaries(keys, st.none() | values, max_size=30)


def random_key(source: random.Random) -> bytes:
    return bytes(source.choice(LETTERS) for _ in range(source.randint(1, 6)))


def random_changes(source: random.Random, count: int, deletions: float = 0.3) -> Changes:
    """Changes of one block; `deletions` of them delete a key, which need not be there."""
    return {
        random_key(source): None if source.random() < deletions else source.randbytes(source.randint(1, 40))
        for _ in range(count)
    }


def apply(rows: dict[bytes, bytes], changed: Changes) -> None:
    """The changes on a plain dictionary."""
    for key, value in changed.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
