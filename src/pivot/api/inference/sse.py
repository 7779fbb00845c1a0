"""Server-sent events, as engines send them: `data: …` and an empty line."""

DONE = b"[DONE]"
MAX_EVENT_BYTES = 16 * 2**20


class Events:
    """Cuts a stream of bytes into the data of its events, wherever the pieces were cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that are whole now. Raises ValueError for an event without an end."""
        *whole, self._rest = (self._rest + piece).split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        return [event[5:].strip() for event in whole if event.startswith(b"data:")]


def event(data: bytes) -> bytes:
    """One event as it travels."""
    return b"data: " + data + b"\n\n"
