"""A new node is given a snapshot by its engine, which fetches the chunks from peers that may lie."""

from collections.abc import Iterator
from pathlib import Path

import cosmpy.protos  # noqa: F401
import pytest
import zstandard
from structlog.testing import capture_logs
from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.modules.params import state as params
from pivot.chain.server.state_sync import Applied, Offer, StateSync, describe
from pivot.chain.store import snapshots
from pivot.chain.store.database import Database
from pivot.chain.store.snapshots import Manifest, SnapshotFolder
from pivot.chain.types import STORES
from tests.chain.chain import CHAIN_ID, Chain, key

ALICE = key("alice")
HONEST, LIAR = "honest", "liar"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 512)


class Source:
    """A chain some blocks old with a snapshot of its last block."""

    def __init__(self, home: Path) -> None:
        self.database = Database.open(home, STORES)
        self.chain = Chain({ALICE.address: 7}, store=self.database)
        self.chain.advance(3)
        self.folder = SnapshotFolder(home / "snapshots")
        self.state_sync = StateSync(self.chain.application, self.database, self.folder)
        with self.database.view() as view:
            self.manifest = self.folder.take(view)

    def offer(self) -> abci.RequestOfferSnapshot:
        [snapshot] = self.state_sync.list_snapshots(abci.RequestListSnapshots()).snapshots
        return abci.RequestOfferSnapshot(snapshot=snapshot, app_hash=self.database.app_hash)

    def chunk(self, index: int) -> bytes:
        request = abci.RequestLoadSnapshotChunk(height=self.manifest.height, format=snapshots.FORMAT, chunk=index)
        return self.state_sync.load_snapshot_chunk(request).chunk


class Newcomer:
    """An application with an empty state, and what its engine does with it."""

    def __init__(self, home: Path) -> None:
        self.database = Database.open(home, STORES)
        self.application = Application(self.database)
        self.state_sync = StateSync(self.application, self.database, SnapshotFolder(home / "snapshots"))

    def offered(self, request: abci.RequestOfferSnapshot) -> int:
        return self.state_sync.offer_snapshot(request).result

    def apply(self, index: int, chunk: bytes, sender: str = HONEST) -> abci.ResponseApplySnapshotChunk:
        return self.state_sync.apply_snapshot_chunk(
            abci.RequestApplySnapshotChunk(index=index, chunk=chunk, sender=sender)
        )

    def is_empty(self) -> bool:
        with self.database.view() as view:
            rows = [row for name in STORES for row in view.iterate(name)]
        return not rows and self.application.info(abci.RequestInfo()).last_block_height == 0


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    source = Source(tmp_path / "source")
    yield source
    source.database.close()


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path / "newcomer")
    yield newcomer
    newcomer.database.close()


def test_a_restored_node_knows_its_chain_and_makes_the_same_blocks(source: Source, newcomer: Newcomer) -> None:
    assert newcomer.offered(source.offer()) == Offer.ACCEPT
    for index in range(len(source.manifest.chunks)):
        assert newcomer.apply(index, source.chunk(index)).result == Applied.ACCEPT
    info = newcomer.application.info(abci.RequestInfo())
    assert (info.last_block_height, info.last_block_app_hash) == (3, source.database.app_hash)
    with newcomer.database.view() as view:
        assert params.chain_id(view) == CHAIN_ID
        assert params.block_time(view) == source.chain.time
    raw = source.chain.sign(ALICE, *[])
    assert newcomer.application.check_tx(abci.RequestCheckTx(tx=raw)) == source.chain.check(raw)
    source.chain.time += 10**9
    request = source.chain.block_request(4)
    made = [each.finalize_block(request) for each in (newcomer.application, source.chain.application)]
    assert made[0] == made[1]
    newcomer.application.commit(abci.RequestCommit())
    assert newcomer.database.app_hash == made[1].app_hash


def test_a_damaged_chunk_is_fetched_from_another_peer(source: Source, newcomer: Newcomer) -> None:
    assert len(source.manifest.chunks) > 2
    newcomer.offered(source.offer())
    peers = {HONEST, LIAR}
    with capture_logs() as logs:
        for index in range(len(source.manifest.chunks)):
            chunk = source.chunk(index)
            sender = max(peers)
            answer = newcomer.apply(index, chunk[:-1] + b"?" if sender == LIAR else chunk, sender)
            if answer.result == Applied.RETRY:
                assert answer.refetch_chunks == [index]
                peers -= set(answer.reject_senders)
                answer = newcomer.apply(index, chunk, max(peers))
            assert answer.result == Applied.ACCEPT
    assert peers == {HONEST}
    assert [entry["event"] for entry in logs] == ["a chunk is refused", "a snapshot is restored"]
    assert newcomer.database.app_hash == source.database.app_hash


def test_a_false_snapshot_is_rejected_with_all_who_sent_it_and_a_true_one_taken(
    source: Source, newcomer: Newcomer
) -> None:
    pieces = [
        snapshots.open_chunk(source.manifest, index, source.chunk(index))
        for index in range(len(source.manifest.chunks))
    ]
    pieces[-1] = pieces[-1][:-1] + bytes([pieces[-1][-1] ^ 1])
    hashes = tuple(snapshots.sha256(piece).digest() for piece in pieces)
    false = source.manifest._replace(chunks=hashes)
    offer = abci.RequestOfferSnapshot(snapshot=describe(false), app_hash=source.database.app_hash)
    assert newcomer.offered(offer) == Offer.ACCEPT
    answers = [
        newcomer.apply(index, zstandard.compress(piece), f"{LIAR}{index % 2}") for index, piece in enumerate(pieces)
    ]
    assert answers[-1].result == Applied.REJECT_SNAPSHOT
    assert list(answers[-1].reject_senders) == ["liar0", "liar1"]
    assert newcomer.is_empty()
    test_a_restored_node_knows_its_chain_and_makes_the_same_blocks(source, newcomer)


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"format": 2}, Offer.REJECT_FORMAT),
        ({"height": 4}, Offer.REJECT_SENDER),
        ({"chunks": 1}, Offer.REJECT_SENDER),
        ({"hash": bytes(32)}, Offer.REJECT_SENDER),
        ({"metadata": b"nonsense"}, Offer.REJECT_SENDER),
    ],
)
def test_an_offer_that_does_not_fit_its_manifest_is_refused(
    source: Source, newcomer: Newcomer, change: dict[str, object], result: int
) -> None:
    offer = source.offer()
    for name, value in change.items():
        setattr(offer.snapshot, name, value)
    assert newcomer.offered(offer) == result
    assert newcomer.apply(0, source.chunk(0)).result == Applied.ABORT


def test_an_offer_with_another_app_hash_than_the_verified_one_is_refused(source: Source, newcomer: Newcomer) -> None:
    offer = source.offer()
    offer.app_hash = bytes(32)
    assert newcomer.offered(offer) == Offer.REJECT_SENDER


def test_an_offer_of_unknown_stores_is_refused(source: Source, newcomer: Newcomer) -> None:
    stores = (*source.manifest.stores, snapshots.StoreRows("zebra", 0))
    manifest = source.manifest._replace(stores=stores)
    assert (
        newcomer.offered(abci.RequestOfferSnapshot(snapshot=describe(manifest), app_hash=manifest.app_hash))
        == Offer.REJECT
    )


def test_an_offer_that_the_disk_cannot_hold_is_refused(
    source: Source, newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SnapshotFolder, "free_bytes", lambda _: 100)
    assert newcomer.offered(source.offer()) == Offer.REJECT


def test_another_chunk_than_the_next_begins_the_snapshot_anew(source: Source, newcomer: Newcomer) -> None:
    newcomer.offered(source.offer())
    assert newcomer.apply(1, source.chunk(1)).result == Applied.RETRY_SNAPSHOT


def test_a_state_that_the_engine_has_lost_is_replaced(source: Source, newcomer: Newcomer) -> None:
    """The engine was killed between the last chunk and its own first write."""
    for _ in range(2):
        assert newcomer.offered(source.offer()) == Offer.ACCEPT
        for index in range(len(source.manifest.chunks)):
            newcomer.apply(index, source.chunk(index))
        assert newcomer.database.app_hash == source.database.app_hash


def test_an_engine_that_begins_with_blocks_after_all_finds_the_empty_state(source: Source, newcomer: Newcomer) -> None:
    newcomer.offered(source.offer())
    newcomer.apply(0, source.chunk(0))
    newcomer.application.init_chain(source.chain.genesis)
    newcomer.application.finalize_block(abci.RequestFinalizeBlock(height=1, time=source.chain.genesis.time))
    newcomer.application.commit(abci.RequestCommit())
    assert newcomer.database.height == 1


def test_what_is_not_there_is_not_served(source: Source, newcomer: Newcomer) -> None:
    assert not newcomer.state_sync.list_snapshots(abci.RequestListSnapshots()).snapshots
    for height, format_, chunk in ((3, 1, 10**6), (4, 1, 0), (3, 2, 0)):
        request = abci.RequestLoadSnapshotChunk(height=height, format=format_, chunk=chunk)
        assert source.state_sync.load_snapshot_chunk(request).chunk == b""


def test_a_snapshot_that_is_damaged_on_disk_is_not_listed(source: Source) -> None:
    (source.folder.path / "3" / snapshots.MANIFEST).write_bytes(b"damaged")
    with capture_logs() as logs:
        assert not source.state_sync.list_snapshots(abci.RequestListSnapshots()).snapshots
    assert [entry["event"] for entry in logs] == ["a snapshot on disk is damaged"]


def test_a_manifest_names_what_engines_tell_each_other(source: Source) -> None:
    offered = source.offer().snapshot
    assert Manifest.decode(offered.metadata) == source.manifest
    assert (offered.height, offered.format, offered.chunks) == (3, 1, len(source.manifest.chunks))
