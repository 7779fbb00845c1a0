"""Frames of the ABCI socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivot.chain.server.frames import MAX_FRAME_BYTES, BrokenFrame, FrameReader, encode_frame


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 200), min_size=1))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    reader = FrameReader()
    found: list[bytes] = []
    position = 0
    for i in range(len(stream)):
        end = position + cuts[i % len(cuts)]
        found += reader.feed(stream[position:end])
        position = end
        if position >= len(stream):
            break
    assert found == messages


def test_a_length_is_an_unsigned_varint() -> None:
    assert encode_frame(b"x") == b"\x01x"
    assert encode_frame(bytes(300))[:2] == b"\xac\x02"


def test_a_frame_that_is_longer_than_any_request_is_refused() -> None:
    length = MAX_FRAME_BYTES + 1
    prefix = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80, length >> 21])
    with pytest.raises(BrokenFrame, match="at most"):
        list(FrameReader().feed(prefix))


def test_a_length_without_an_end_is_refused() -> None:
    with pytest.raises(BrokenFrame, match="no end"):
        list(FrameReader().feed(b"\xff" * 5))


def test_messages_taken_one_by_one_are_not_given_twice() -> None:
    reader = FrameReader()
    messages = reader.feed(encode_frame(b"one") + encode_frame(b"two"))
    assert next(messages) == b"one"
    messages.close()  # type: ignore[attr-defined]
    assert list(reader.feed(b"")) == [b"two"]
