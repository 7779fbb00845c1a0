"""The ABCI socket, without an engine."""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
from cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest
from structlog.testing import capture_logs
from tendermint.abci import types_pb2 as abci

from pivot.chain.modules.upgrade.plans import UpgradeNeeded
from pivot.chain.server.connections import Server
from pivot.chain.server.dispatch import answers
from pivot.chain.server.frames import FrameReader, encode_frame
from pivot.chain.server.state_sync import StateSync
from pivot.chain.store.database import Database
from pivot.chain.store.snapshots import SnapshotFolder
from pivot.chain.types import STORES
from tests.chain.chain import Chain, key

ALICE = key("alice")


class Client:
    """Speaks as the engine does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()

    @classmethod
    async def connect(cls, path: Path) -> "Client":
        return cls(*await asyncio.open_unix_connection(path))

    async def ask(self, *requests: abci.Request) -> list[abci.Response]:
        """Send requests and a Flush; the answers without the Flush's."""
        flush = abci.Request(flush=abci.RequestFlush())
        self._writer.write(b"".join(encode_frame(each.SerializeToString()) for each in (*requests, flush)))
        found: list[abci.Response] = []
        while not found or found[-1].WhichOneof("value") not in {"flush", "exception"}:
            data = await self._reader.read(65_536)
            if not data:
                return found
            found += [abci.Response.FromString(frame) for frame in self._frames.feed(data)]
        return found if found[-1].WhichOneof("value") == "exception" else found[:-1]

    def close(self) -> None:
        self._writer.close()


class Served:
    """A served chain."""

    def __init__(self, path: Path, database: Database, folder: SnapshotFolder) -> None:
        self.path = path
        self.chain = Chain({ALICE.address: 10}, store=database)
        self.state_sync = StateSync(self.chain.application, database, folder)
        self.stop = asyncio.Event()
        self.server = Server(self.chain.application, self.state_sync)
        self.task = asyncio.create_task(self.server.serve(path, self.stop))

    async def client(self) -> Client:
        while not self.path.is_socket():
            await asyncio.sleep(0.01)
        return await Client.connect(self.path)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    path = tmp_path / "deep" / "application.sock"
    path.parent.mkdir()
    path.write_text("left by a killed process")
    with Database.open(tmp_path / "chain", STORES) as database:
        served = Served(path, database, SnapshotFolder(tmp_path / "snapshots"))
        yield served
        served.stop.set()
        await served.task


async def test_every_kind_of_request_has_an_answer_of_its_kind(served: Served) -> None:
    kinds = [field.name for field in abci.Request.DESCRIPTOR.oneofs_by_name["value"].fields]
    assert set(answers(served.chain.application, served.state_sync)) == set(kinds)
    harmless = [kind for kind in kinds if kind not in {"flush", "init_chain", "finalize_block", "commit"}]
    requests = []
    for kind in harmless:
        request = abci.Request()
        getattr(request, kind).SetInParent()
        requests.append(request)
    client = await served.client()
    assert [each.WhichOneof("value") for each in await client.ask(*requests)] == harmless
    client.close()


async def test_answers_come_in_order_on_several_connections(served: Served) -> None:
    clients = [await served.client() for _ in range(4)]
    balance = abci.Request(
        query=abci.RequestQuery(
            path="/cosmos.bank.v1beta1.Query/Balance",
            data=QueryBalanceRequest(address=ALICE.address, denom="ngonka").SerializeToString(),
        )
    )
    row = abci.Request(query=abci.RequestQuery(path="/store/bank/key", data=b"x"))
    echo = abci.Request(echo=abci.RequestEcho(message="hello"))
    found = await asyncio.gather(*(client.ask(balance, echo, row) for client in clients))
    for told in found:
        assert [each.WhichOneof("value") for each in told] == ["query", "echo", "query"]
        assert told[0].query.code == 0
        assert told[1].echo.message == "hello"
    for client in clients:
        client.close()


@pytest.fixture
def busy(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The application works on an echo until the event is set."""
    done = threading.Event()

    def work(request: abci.RequestEcho) -> abci.ResponseEcho:
        done.wait()
        return abci.ResponseEcho(message=request.message)

    monkeypatch.setitem(served.server._answers, "echo", work)
    yield done
    done.set()


async def test_what_the_engine_writes_is_read_while_the_application_works(
    served: Served, busy: threading.Event
) -> None:
    """An engine that cannot write spins, and leaves the application less of the processor."""
    client = await served.client()
    large = abci.Request(echo=abci.RequestEcho(message="x" * 2**20))
    client._writer.transport.set_write_buffer_limits(0)
    asking = asyncio.create_task(client.ask(large, large, large))
    await asyncio.sleep(0)
    await client._writer.drain()
    busy.set()
    assert [len(each.echo.message) for each in await asking] == [2**20] * 3
    client.close()


async def test_a_query_is_answered_while_the_application_works(served: Served, busy: threading.Event) -> None:
    engine, asker = await served.client(), await served.client()
    working = asyncio.create_task(engine.ask(abci.Request(echo=abci.RequestEcho(message="x"))))
    query = abci.RequestQuery(
        path="/cosmos.bank.v1beta1.Query/Balance",
        data=QueryBalanceRequest(address=ALICE.address, denom="ngonka").SerializeToString(),
    )
    (told,) = await asker.ask(abci.Request(query=query))
    assert told.query.code == 0
    assert not working.done()
    busy.set()
    assert [each.echo.message for each in await working] == ["x"]
    for client in (engine, asker):
        client.close()


async def test_false_snapshots_and_vote_extensions_are_not_taken(served: Served) -> None:
    client = await served.client()
    told = await client.ask(
        abci.Request(list_snapshots=abci.RequestListSnapshots()),
        abci.Request(load_snapshot_chunk=abci.RequestLoadSnapshotChunk(height=1, format=1)),
        abci.Request(offer_snapshot=abci.RequestOfferSnapshot(snapshot=abci.Snapshot(format=1))),
        abci.Request(apply_snapshot_chunk=abci.RequestApplySnapshotChunk()),
        abci.Request(verify_vote_extension=abci.RequestVerifyVoteExtension(vote_extension=b"x")),
    )
    client.close()
    assert not told[0].list_snapshots.snapshots
    assert not told[1].load_snapshot_chunk.chunk
    assert told[2].offer_snapshot.result == abci.ResponseOfferSnapshot.REJECT_SENDER
    assert told[3].apply_snapshot_chunk.result == abci.ResponseApplySnapshotChunk.ABORT
    assert told[4].verify_vote_extension.status == abci.ResponseVerifyVoteExtension.REJECT


async def test_stopping_ends_open_connections_and_removes_the_socket(served: Served) -> None:
    client = await served.client()
    await client.ask()
    served.stop.set()
    assert await served.task
    assert not served.path.exists()
    client.close()


async def test_a_client_that_leaves_in_the_middle_harms_nobody(served: Served) -> None:
    (await served.client()).close()
    client = await served.client()
    assert (await client.ask(abci.Request(echo=abci.RequestEcho(message="x"))))[0].echo.message == "x"
    client.close()


@pytest.mark.parametrize(
    "wrong", [abci.Request(), abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1))], ids=["none", "height"]
)
async def test_a_failure_that_is_no_refusal_ends_the_server(served: Served, wrong: abci.Request) -> None:
    client = await served.client()
    with capture_logs() as logs:
        told = await client.ask(wrong)
        assert not await served.task
    client.close()
    assert told[-1].exception.error
    assert [entry["event"] for entry in logs] == ["the application stops"]


async def test_an_engine_that_has_come_to_an_upgrade_goes_on_talking_for_a_while(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peers need its votes to come there, too; with the answer it would end."""

    def halt(_: object) -> None:
        raise UpgradeNeeded("v2", 1, "")

    monkeypatch.setattr("pivot.chain.server.connections.FAREWELL_SECONDS", 600.0)
    monkeypatch.setitem(served.server._answers, "finalize_block", halt)
    consensus, other = await served.client(), await served.client()
    waiting = asyncio.create_task(consensus.ask(abci.Request(finalize_block=abci.RequestFinalizeBlock(height=1))))
    for _ in range(3):
        assert (await other.ask(abci.Request(echo=abci.RequestEcho(message="x"))))[0].echo.message == "x"
    assert not waiting.done()
    served.stop.set()
    assert await served.task
    assert await waiting == []
    for client in (consensus, other):
        client.close()


async def test_the_process_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    socket = tmp_path / "application.sock"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pivot.chain", "--home", str(tmp_path / "chain"), "--socket", str(socket),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    while not socket.is_socket():
        await asyncio.sleep(0.02)
    client = await Client.connect(socket)
    (info,) = await client.ask(abci.Request(info=abci.RequestInfo()))
    assert info.info.last_block_height == 0
    process.send_signal(signal.SIGTERM)
    _, log = await process.communicate()
    client.close()
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["serving", "stopped"]


async def test_a_second_process_on_the_same_state_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pivot.chain", "--home", str(tmp_path / "chain"), "--socket"]
    socket = tmp_path / "a.sock"
    first = await asyncio.create_subprocess_exec(*command, str(socket), stderr=asyncio.subprocess.DEVNULL)
    while not socket.is_socket():
        await asyncio.sleep(0.02)
    second = await asyncio.create_subprocess_exec(*command, str(tmp_path / "b.sock"), stderr=asyncio.subprocess.PIPE)
    _, log = await second.communicate()
    first.terminate()
    await first.wait()
    assert second.returncode == 1
    assert "already open for writing" in json.loads(log)["error"]


@pytest.mark.parametrize("path", ["/store/bank/key", "/cosmos.bank.v1beta1.Query/Balance"])
async def test_a_query_that_fails_stops_nobody(served: Served, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("pivot.chain.queries._row", broken)
    monkeypatch.setattr("pivot.chain.queries.params.view_of", broken)
    client = await served.client()
    with capture_logs() as logs:
        (told,) = await client.ask(abci.Request(query=abci.RequestQuery(path=path)))
    assert (told.query.code, told.query.codespace) == (1, "sdk")
    assert "log says why" in told.query.log
    assert [entry["event"] for entry in logs] == ["a query failed"]
    assert await client.ask(abci.Request(info=abci.RequestInfo()))
    client.close()
