import io

import pytest

from pivot.mlnode.poc.frames import (
    LENGTH_BYTES,
    MAX_FRAME_BYTES,
    Job,
    Ready,
    Sprint,
    TooLarge,
    decode_job,
    decode_ready,
    decode_sprint,
    decode_too_large,
    encode,
    frame,
    frame_length,
    read_frame,
)


def test_messages_survive_the_pipe() -> None:
    sprint, job = (
        Sprint("devnet", "ff" * 32, "torch", ("cuda:0", "cuda:1")),
        Job((("gonka1host", (1, 2**62)), ("gonka1other", (5,)))),
    )
    ready = Ready(32, "torch", ("cuda:0", "cuda:1"), 35_000_000_000)
    pipe = io.BytesIO(encode(sprint) + encode(ready) + encode(job) + frame(b""))
    assert decode_sprint(read_frame(pipe) or b"") == sprint
    assert decode_ready(read_frame(pipe) or b"") == ready
    assert decode_job(read_frame(pipe) or b"") == job
    assert read_frame(pipe) == b""
    assert read_frame(pipe) is None


def test_an_answer_is_fingerprints_or_says_why_the_job_was_too_large() -> None:
    pipe = io.BytesIO(encode(TooLarge("no memory for 64 nonces")) + frame(bytes(32)))
    assert decode_too_large(read_frame(pipe) or b"") == "no memory for 64 nonces"
    assert decode_too_large(read_frame(pipe) or b"") is None


@pytest.mark.parametrize("rest", [b"", b"\x00\x00", frame(b"abcd")[:-1]])
def test_a_pipe_that_ends_in_the_middle_is_an_end(rest: bytes) -> None:
    assert read_frame(io.BytesIO(rest)) is None


def test_an_oversized_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        frame_length((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"devices": []}', b"\xff"])
def test_anything_but_a_ready_frame_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode_ready(payload)


def test_a_worker_without_memory_for_its_model_says_so() -> None:
    with pytest.raises(ValueError, match="35 GB are more than 24 GB"):
        decode_ready(encode(TooLarge("35 GB are more than 24 GB"))[LENGTH_BYTES:])
