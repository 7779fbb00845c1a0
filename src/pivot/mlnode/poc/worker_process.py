"""The worker process: builds one sprint's model and computes the fingerprints that it is asked for.

Started by worker.py as `python -m pivot.mlnode.poc.worker_process`, with one BLAS thread, at low priority. It ends
when its standard input does, so it cannot outlive the ML node.
"""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

from pivot.mlnode.poc.batches import batch_size
from pivot.mlnode.poc.fingerprint import fingerprints, host_stream
from pivot.mlnode.poc.frames import Ready, TooLarge, decode_job, decode_sprint, encode, frame, read_frame
from pivot.mlnode.poc.generator import Stream
from pivot.mlnode.poc.model import SprintModel
from pivot.protocol.sprint import SPRINT_PRESETS, host_seed

NICENESS = 10


def main() -> None:
    """Serve frames from standard input until it ends."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node decides when to end
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing but frames may reach the node

    payload = read_frame(source)
    if payload is None:
        return
    sprint = decode_sprint(payload)
    seed = bytes.fromhex(sprint.seed)
    preset = SPRINT_PRESETS[sprint.preset]
    model = SprintModel.build(preset, seed)
    sink.write(encode(Ready(batch_size(preset), "numpy", (), 4 * preset.parameter_count())))
    sink.flush()

    streams: dict[str, Stream] = {}
    while (payload := read_frame(source)) is not None:
        job = decode_job(payload)
        try:
            answer = frame(b"".join(_part(model, streams, seed, *part) for part in job.parts))
        except MemoryError as error:
            answer = encode(TooLarge(f"no memory for {sum(len(part[1]) for part in job.parts)} nonces: {error}"))
        sink.write(answer)
        sink.flush()


def _part(
    model: SprintModel, streams: dict[str, Stream], seed: bytes, host_address: str, nonces: tuple[int, ...]
) -> bytes:
    stream = streams.setdefault(host_address, host_stream(host_seed(seed, host_address)))
    return fingerprints(model, stream, np.array(nonces, np.int64)).tobytes()


if __name__ == "__main__":
    main()
