"""A worker process without a model that misbehaves: `ODD_WORKER` says how.

`room=N`: has memory for N leaves at a time; `dies=N`: ends when it is asked for more than N; `lies`: answers with something
else; `mute`: never says that it is ready; `closes`: closes its answers and lives on. Its fingerprints are the nonces
themselves.
"""

import os
import sys
import time

from pivot.mlnode.poc.frames import Ready, TooLarge, decode_job, encode, frame, read_frame


def main() -> None:
    fault, _, number = os.environ["ODD_WORKER"].partition("=")
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    read_frame(source)
    if fault == "mute":
        time.sleep(60)
    sink.write(encode(Ready(64, "odd", (), 0)))
    sink.flush()
    if fault == "closes":
        os.close(sink.fileno())
        time.sleep(60)
    while (payload := read_frame(source)) is not None:
        nonces = [nonce for _, part in decode_job(payload).parts for nonce in part]
        answer = frame(b"".join(nonce.to_bytes(32, "little") for nonce in nonces))
        if fault == "room" and len(nonces) > int(number):
            answer = encode(TooLarge(f"no memory for {len(nonces)} leaves"))
        if fault == "dies" and len(nonces) > int(number):
            os._exit(9)
        if fault == "lies":
            answer = frame(b"x")
        sink.write(answer)
        sink.flush()


if __name__ == "__main__":
    main()
