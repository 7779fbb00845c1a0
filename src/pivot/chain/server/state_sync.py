"""What the engine asks about snapshots: which there are, and to begin a state with one (docs/protocol/state.md, section 5).

The engine's light client vouches for the app hash of an offered snapshot, and for nothing else: every byte from a peer is
checked. A peer whose chunk is damaged is not asked again; one that made a false snapshot has all its others refused, too.
"""

import structlog
from tendermint.abci import types_pb2 as abci

from pivot.chain.application import Application
from pivot.chain.store.database import Database
from pivot.chain.store.errors import RefusedChunk, RefusedSnapshot
from pivot.chain.store.restoration import Restoration
from pivot.chain.store.snapshots import CHUNK_BYTES, FORMAT, Manifest, SnapshotFolder

_log = structlog.get_logger("snapshots")

Offer = abci.ResponseOfferSnapshot
Applied = abci.ResponseApplySnapshotChunk


class StateSync:
    """Serves the snapshots in a folder, and restores one into the database behind an application."""

    def __init__(self, application: Application, database: Database, folder: SnapshotFolder) -> None:
        self._application = application
        self._database = database
        self._folder = folder
        self._restoration: Restoration | None = None
        self._senders: set[str] = set()

    def list_snapshots(self, _: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        """All snapshots, newest first."""
        found = []
        for height in self._folder.heights():
            try:
                manifest = self._folder.manifest(height)
            except RefusedSnapshot as error:
                _log.warning("a snapshot on disk is damaged", height=height, error=str(error))
                continue
            if manifest is not None:
                found.append(describe(manifest))
        return abci.ResponseListSnapshots(snapshots=found)

    def load_snapshot_chunk(self, request: abci.RequestLoadSnapshotChunk) -> abci.ResponseLoadSnapshotChunk:
        """A chunk; empty if it is not there (any more)."""
        chunk = self._folder.chunk(request.height, request.chunk) if request.format == FORMAT else None
        return abci.ResponseLoadSnapshotChunk(chunk=chunk or b"")

    def offer_snapshot(self, request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """Begin with this snapshot, if its manifest fits what the light client has verified.

        The engine offers one only when it has no block itself. A state that is here all the same was restored just before
        the engine was killed; it is replaced.
        """
        self._restoration = None
        offered = request.snapshot
        if offered.format != FORMAT:
            return abci.ResponseOfferSnapshot(result=Offer.REJECT_FORMAT)
        try:
            manifest = Manifest.decode(offered.metadata)
            if describe(manifest) != offered or manifest.app_hash != request.app_hash:
                raise RefusedSnapshot(f"The manifest is not that of the snapshot of height {offered.height}.")  # noqa: TRY301
        except RefusedSnapshot as error:
            _log.warning("an offered snapshot is false", height=offered.height, error=str(error))
            return abci.ResponseOfferSnapshot(result=Offer.REJECT_SENDER)
        try:
            self._require_space(manifest)
            self._restoration = self._database.restore(manifest)
        except RefusedSnapshot as error:
            _log.warning("an offered snapshot is refused", height=offered.height, error=str(error))
            return abci.ResponseOfferSnapshot(result=Offer.REJECT)
        self._senders = set()
        return abci.ResponseOfferSnapshot(result=Offer.ACCEPT)

    def apply_snapshot_chunk(self, request: abci.RequestApplySnapshotChunk) -> abci.ResponseApplySnapshotChunk:
        """Take the next chunk; with the last one the state becomes the committed one, or the snapshot is rejected."""
        restoration = self._restoration
        if restoration is None or request.index != restoration.next_chunk:
            return abci.ResponseApplySnapshotChunk(result=Applied.RETRY_SNAPSHOT if restoration else Applied.ABORT)
        self._senders.add(request.sender)
        try:
            restoration.write(request.chunk)
            if restoration.complete:
                self._finish(restoration)
        except RefusedChunk as error:
            _log.warning("a chunk is refused", sender=request.sender, error=str(error))
            return abci.ResponseApplySnapshotChunk(
                result=Applied.RETRY, refetch_chunks=[request.index], reject_senders=[request.sender]
            )
        except RefusedSnapshot as error:
            _log.warning("a snapshot is refused", height=restoration.manifest.height, error=str(error))
            restoration.abort()
            self._restoration = None
            return abci.ResponseApplySnapshotChunk(result=Applied.REJECT_SNAPSHOT, reject_senders=sorted(self._senders))
        return abci.ResponseApplySnapshotChunk(result=Applied.ACCEPT)

    def _require_space(self, manifest: Manifest) -> None:
        needed, free = (len(manifest.chunks) - 1) * CHUNK_BYTES, self._folder.free_bytes()
        if needed > free:
            raise RefusedSnapshot(f"The snapshot needs {needed} bytes of disk or more; {free} are free.")

    def _finish(self, restoration: Restoration) -> None:
        restoration.finish()
        self._restoration = None
        self._application.follow_committed_state()
        _log.info("a snapshot is restored", height=self._database.height, app_hash=self._database.app_hash.hex())


def describe(manifest: Manifest) -> abci.Snapshot:
    """A snapshot as engines tell each other of it."""
    return abci.Snapshot(
        height=manifest.height,
        format=FORMAT,
        chunks=len(manifest.chunks),
        hash=manifest.hash,
        metadata=manifest.encode(),
    )
