"""Frames of the ABCI socket: each message behind its length, an unsigned varint."""

from collections.abc import Iterator

MAX_FRAME_BYTES = 104_857_600
"""As the engine's own limit."""
MAX_VARINT_BYTES = 5


class BrokenFrame(ValueError):
    """What arrives is not a frame, or a longer one than the engine sends."""


def encode_frame(message: bytes) -> bytes:
    """A message behind its length."""
    length = len(message)
    prefix = bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + message


class FrameReader:
    """Takes bytes as they come and gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now. Raises BrokenFrame."""
        self._buffer += data
        position = 0
        try:
            while (frame := self._next(position)) is not None:
                start, end = frame
                if end > len(self._buffer):
                    break
                position = end
                yield bytes(self._buffer[start:end])
        finally:
            del self._buffer[:position]

    def _next(self, position: int) -> tuple[int, int] | None:
        """Where the message at `position` begins and ends; None if its length is not complete."""
        length = 0
        for i, byte in enumerate(self._buffer[position : position + MAX_VARINT_BYTES]):
            length |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if length > MAX_FRAME_BYTES:
                    raise BrokenFrame(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are taken")
                return position + i + 1, position + i + 1 + length
        if len(self._buffer) - position >= MAX_VARINT_BYTES:
            raise BrokenFrame("a frame whose length has no end")
        return None
