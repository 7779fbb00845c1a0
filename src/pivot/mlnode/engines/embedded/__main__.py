"""The engine as a process: `python -m pivot.mlnode.engines.embedded --model DIR --served-name ID --host … --port …`."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import threading
from pathlib import Path

import uvicorn
import uvloop

from pivot.mlnode.engines.embedded.batch import Batch
from pivot.mlnode.engines.embedded.scheduler import Scheduler
from pivot.mlnode.engines.embedded.served import ServedModel
from pivot.mlnode.engines.embedded.server import engine_app
from pivot.mlnode.engines.embedded.weights import UnsupportedModel
from pivot.mlnode.listening import CannotListen, listen
from pivot.mlnode.logs import configure_logs

DEFAULT_SLOTS = 16
MAX_WAITING_PER_SLOT = 16
GRACE_S = 1
READ_BYTES = 4_096
KEEP_ALIVE_S = 75
EXIT_FAILED = 1


def main() -> None:
    """Load the model, then serve until SIGINT or SIGTERM. Exits with 1 and a sentence when that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m pivot.mlnode.engines.embedded", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model's files")
    parser.add_argument("--served-name", required=True, help="the model's name in requests")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--max-model-len", type=int, help="cut the model's context to so many tokens")
    parser.add_argument("--max-num-seqs", type=int, default=DEFAULT_SLOTS, help="sequences decoded together")
    parser.add_argument("--vectors", action="store_true", help="offer embeddings, and no chats and completions")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    options = parser.parse_args()
    if options.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    configure_logs("info")
    try:
        model = ServedModel.load(options.model, options.served_name, options.max_model_len)
        batch = Batch(model.decoder, options.max_num_seqs)
        scheduler = Scheduler(batch, MAX_WAITING_PER_SLOT * options.max_num_seqs)
        with listen(options.host, options.port) as listening:
            config = uvicorn.Config(
                engine_app(model, scheduler, vectors=options.vectors),
                loop="none",
                http="httptools",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
            uvloop.run(serve(uvicorn.Server(config), scheduler, listening))
    except (UnsupportedModel, CannotListen, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_FAILED)


async def serve(server: uvicorn.Server, scheduler: Scheduler, listening: socket.socket) -> None:
    """Serve until told to end, or until the scheduler breaks: then its exception ends the process."""
    stepping = asyncio.create_task(scheduler.run())
    serving = asyncio.create_task(server.serve([listening]))
    await asyncio.wait({stepping, serving}, return_when=asyncio.FIRST_COMPLETED)
    if stepping.done():
        server.should_exit = True
        await serving
        stepping.result()
    stepping.cancel()
    await asyncio.gather(serving, stepping, return_exceptions=True)


def _end_with_stdin() -> None:
    """Whoever started this holds the other end: when it is gone, so is this process."""
    while os.read(sys.stdin.fileno(), READ_BYTES):
        pass
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
