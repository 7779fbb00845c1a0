"""Everything about training of one API node, from `start` to `close`."""

import secrets
from contextlib import AsyncExitStack
from pathlib import Path

from pivot.api.fleet.interface import Fleet, Train
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.phases import Phases
from pivot.api.private_files import write_private
from pivot.api.settings import ApiSettings
from pivot.api.training.assigner import Assigner
from pivot.api.training.executor import TrainingExecutor
from pivot.api.training.hosts import Hosts, Locking
from pivot.api.training.promises import Promises
from pivot.api.training.store import TrainingStore

SECRET_FILE = "training.secret"  # noqa: S105  a file's name
SECRET_BYTES = 32


class TrainingService:
    """The store, the executor and the assigner, where the host trains; else nothing."""

    def __init__(
        self, settings: ApiSettings, identity: Identity, chain: Chain, outbox: Outbox, fleet: Fleet, phases: Phases
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._chain = chain
        self._outbox = outbox
        self._fleet = fleet
        self._phases = phases
        self._promises = Promises(settings.home)
        self._parts = AsyncExitStack()
        self.locking = Locking(chain, fleet, phases, self._promises) if settings.training.enabled else None
        """None where the host does not train."""
        self.store_port = 0

    def training_of(self, node_id: str) -> Train | None:
        """What a node is promised to."""
        return self._promises.training_of(node_id) if self.locking else None

    async def start(self) -> None:
        """Raises CannotListen."""
        if self.locking is None:
            return
        settings, address, secret = self._settings, self._identity.address, training_secret(self._settings.home)
        store = TrainingStore(settings.training, secret, address, self._chain, self._outbox, self._phases)
        hosts = Hosts(self._identity, self._chain, allow_private=settings.api.allow_private_urls)
        for part in (
            store,
            TrainingExecutor(
                settings, secret, address, self._chain, self._outbox, self._fleet, self._phases, self._promises
            ),
            Assigner(address, self._chain, self._outbox, self._phases, self.locking, hosts),
        ):
            self._parts.push_async_callback(part.close)
            await part.start()
        self.store_port = store.port

    async def close(self) -> None:
        await self._parts.aclose()


def training_secret(home: Path) -> str:
    """What tokens of trainings are made from; made on the first start, so that they hold through restarts."""
    path = home / SECRET_FILE
    secret = path.read_text().strip() if path.exists() else ""
    if not secret:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        write_private(path, secret)
    return secret
