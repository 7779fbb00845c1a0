"""The worker process: builds one sprint's model and computes the fingerprints that it is asked for.

Started by worker.py as `python -m pivot.mlnode.poc.worker_process`, with one BLAS thread, at low priority. It ends
when its standard input does, so it cannot outlive the ML node.

One thread reads jobs and begins them, another waits for their results and answers: the next job is on its device before
the last is done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from queue import Queue
from typing import BinaryIO

import numpy as np

from pivot.mlnode.poc.allocator import keep_freed_memory
from pivot.mlnode.poc.backends import Answer, Backend, OutOfMemory, load
from pivot.mlnode.poc.batches import Part
from pivot.mlnode.poc.fingerprint import host_stream
from pivot.mlnode.poc.frames import Job, TooLarge, decode_job, decode_sprint, encode, frame, read_frame
from pivot.mlnode.poc.generator import Stream
from pivot.protocol.sprint import host_seed

NICENESS = 10
MAX_BEGUN = 4
"""Jobs that are begun and not answered."""

_Reply = Answer | TooLarge


def main() -> None:
    """Serve frames from standard input until it ends."""
    os.nice(NICENESS)
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node decides when to end
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing but frames may reach the node

    payload = read_frame(source)
    if payload is None:
        return
    sprint = decode_sprint(payload)
    try:
        backend = load(sprint)
    except OutOfMemory as error:
        _send(sink, encode(TooLarge(str(error))))
        raise
    _send(sink, encode(backend.ready))

    begun: Queue[_Reply] = Queue(MAX_BEGUN)
    threading.Thread(target=_answer, args=(begun, sink), daemon=True).start()
    seed = bytes.fromhex(sprint.seed)
    streams: dict[str, Stream] = {}
    while (payload := read_frame(source)) is not None:
        begun.put(_begin(backend, streams, seed, decode_job(payload)))


def _begin(backend: Backend, streams: dict[str, Stream], seed: bytes, job: Job) -> _Reply:
    parts = [
        Part(streams.setdefault(host, host_stream(host_seed(seed, host))), np.array(nonces, np.int64))
        for host, nonces in job.parts
    ]
    try:
        return backend.start(parts)
    except OutOfMemory as error:
        return TooLarge(str(error))


def _answer(begun: Queue[_Reply], sink: BinaryIO) -> None:
    """Send the results of jobs in their order. A device that fails ends the process; so does a node that is gone."""
    try:
        while True:
            reply = begun.get()
            _send(sink, encode(reply) if isinstance(reply, TooLarge) else frame(reply()))
    except Exception:  # noqa: BLE001  nothing can be answered any more
        traceback.print_exc()
        os._exit(1)


def _send(sink: BinaryIO, data: bytes) -> None:
    sink.write(data)
    sink.flush()


if __name__ == "__main__":
    main()
