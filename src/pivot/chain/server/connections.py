"""The ABCI socket: the engine's four connections on one event loop, the application in one thread beside it.

A connection's requests are answered one after the other, in order. The loop goes on reading while the application works:
an engine that cannot write does not wait, it spins, and takes the processor away from the very application that it waits
for. Queries, and peers' requests for snapshots, only read; they run in a thread of their own, so that a long one does not
keep the next block waiting.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import structlog
from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.modules.upgrade.plans import UpgradeHalt, UpgradeNeeded
from pivot.chain.server.dispatch import answers, exception, wrap
from pivot.chain.server.frames import FrameReader, encode_frame
from pivot.chain.server.state_sync import StateSync
from pivot.chain.store.errors import DiskFull

READ_BYTES = 2**16
"""Taken up at once; some 200 transactions' checks, for which the next block's steps may have to wait."""
BUFFERED_BYTES = 2**22
"""What a connection may hold that is not taken up yet; the loop stops reading at twice as much."""
ROWS = "store/"
READS_OF_FILES = {"list_snapshots", "load_snapshot_chunk"}
FAREWELL_SECONDS = 5
"""How long an engine that has come to an upgrade is left without an answer. The engine ends with the answer, and meanwhile gives
its peers the votes by which they come to the upgrade, too: with two hosts of equal power neither gets there without the other's."""
INTERNAL = 1
"""The published code of a fault of the node's own."""

_log = structlog.get_logger("chain")


class Server:
    """Serves one application. The first failure that is no refusal ends it: a state machine that errs must stop."""

    def __init__(self, application: Application, state_sync: StateSync) -> None:
        self._application = application
        self._answers = answers(application, state_sync)
        self._work = ThreadPoolExecutor(1, thread_name_prefix="application")
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="query")
        self._failed: asyncio.Future[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path, stop: asyncio.Event) -> bool:
        """Serve on this socket until `stop` is set. False when a failure ended it before; it stands in the log.

        Raises DiskFull and UpgradeHalt, which are no bugs: the block was not committed, and will be when there is room again,
        or by the version that the halt names.
        """
        _remove_socket(path)
        self._failed = asyncio.get_running_loop().create_future()
        listener = await asyncio.start_unix_server(self._connected, path, limit=BUFFERED_BYTES)
        stopped = asyncio.create_task(stop.wait())
        ends: list[asyncio.Future[Any]] = [stopped, self._failed]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            listener.close()
            for connection in list(self._connections):
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            self._work.shutdown(cancel_futures=True)  # what is under way comes to its end
            self._queries.shutdown(cancel_futures=True)
            _remove_socket(path)
        if self._failed.done():
            self._failed.result()
            return False
        return True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except (DiskFull, UpgradeHalt) as error:
            if isinstance(error, UpgradeNeeded):
                await asyncio.sleep(FAREWELL_SECONDS)
            writer.write(encode_frame(exception(str(error))))
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a bug, and ends the process
            _log.exception("the application stops", error=str(error))
            writer.write(encode_frame(exception(f"{type(error).__name__}: {error}")))
            if self._failed is not None and not self._failed.done():
                self._failed.set_result(None)
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, thread_of = FrameReader(), self._threads()
        while data := await reader.read(READ_BYTES):
            requests = [abci.Request.FromString(frame) for frame in frames.feed(data)]
            for thread, together in groupby(requests, thread_of):
                run = asyncio.get_running_loop().run_in_executor(thread, self._answer_all, list(together))
                writer.write(await run)
            await writer.drain()

    def _threads(self) -> Callable[[abci.Request], ThreadPoolExecutor]:
        """Where the requests of one connection, told in their order, are answered: a Flush where what it follows was."""
        last = self._work

        def thread(request: abci.Request) -> ThreadPoolExecutor:
            nonlocal last
            kind = request.WhichOneof("value")
            if kind == "query":
                of_rows = request.query.path.strip("/").startswith(ROWS)
                last = self._work if of_rows else self._queries
            elif kind != "flush":
                last = self._queries if kind in READS_OF_FILES else self._work
            return last

        return thread

    def _answer_all(self, requests: Iterable[abci.Request]) -> bytes:
        """The answers to requests that came together, as they go out."""
        return b"".join(encode_frame(self._answer(request)) for request in requests)

    def _answer(self, request: abci.Request) -> bytes:
        kind = request.WhichOneof("value")
        if kind is None:
            raise ValueError("the engine asks something that this version of ABCI does not know")
        if kind == "query":
            return wrap(kind, self._answer_query(request.query))
        return wrap(kind, self._answers[kind](getattr(request, kind)))

    def _answer_query(self, question: abci.RequestQuery) -> abci.ResponseQuery:
        """A query only reads: if answering it fails, the asker is told so and the chain goes on."""
        try:
            return self._application.query(question)
        except Exception:  # noqa: BLE001  a fault in an answer is not one of the state
            _log.exception("a query failed", path=question.path)
            return abci.ResponseQuery(code=INTERNAL, codespace="sdk", log="the query failed; the node's log says why")


def _remove_socket(path: Path) -> None:
    """Make room for a socket, or take away what a killed process has left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
