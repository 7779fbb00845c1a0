"""The API node: its parts, in the order in which they need each other, from `start` to `close`."""

import asyncio
import logging
import socket
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar

import aiohttp

from pivot.api.database import Database, connect, database_url, migrate
from pivot.api.fleet.fleet import HostFleet
from pivot.api.http.admin import admin_app, require_guarded
from pivot.api.http.api_keys import serve_api_keys
from pivot.api.http.callbacks import callbacks_app
from pivot.api.http.chain_events import EVENTS_PATH
from pivot.api.http.claims import serve_claims
from pivot.api.http.figures import serve_figures
from pivot.api.http.front import Front
from pivot.api.http.public import PublicApp
from pivot.api.http.quotas import PerAddress
from pivot.api.http.wrong_tokens import ADMIN, CALLBACKS, WrongTokens
from pivot.api.identity import Identity
from pivot.api.inference.request import PATHS
from pivot.api.inference.service import InferenceService
from pivot.api.ledger.chain import GrpcChain
from pivot.api.ledger.follower import Follower
from pivot.api.ledger.interface import LedgerError
from pivot.api.ledger.outbox import DurableOutbox
from pivot.api.ledger.rpc import Rpc
from pivot.api.listening import Listener, bind
from pivot.api.metrics import sources
from pivot.api.metrics.page import Metrics
from pivot.api.metrics.traffic import Traffic
from pivot.api.occupancy.hold import Hold
from pivot.api.phases import PhaseKeeper
from pivot.api.poc.checker import Checker
from pivot.api.poc.leaves_service import LeavesService
from pivot.api.poc.prover import Prover
from pivot.api.proofs.archive import ProofArchive, ProofKeeper
from pivot.api.readiness.checks import ChainFollowed, DatabaseWritten, Readiness, Registered
from pivot.api.registration import Registration
from pivot.api.rewards.claimer import Claimer
from pivot.api.rewards.revealer import Revealer
from pivot.api.settings import ApiSettings
from pivot.api.tls import server_context, session_to_ml_nodes
from pivot.api.training.service import TrainingService
from pivot.api.validation.service import AnswerChecking

FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Part(Protocol):
    """Something that runs while the node does."""

    def start(self) -> Awaitable[None]: ...

    def close(self) -> Awaitable[None]: ...


Started = TypeVar("Started", bound=Part)


class ApiNode:
    """All parts of one API node. What `start` has begun, `close` ends in reverse order, also when `start` was cut short."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._parts = AsyncExitStack()
        self._traffic = Traffic()
        self._readiness = Readiness()
        self._front = Front(self._traffic, self._readiness)
        self._public: Listener | None = None
        self.unfit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises DatabaseTaken once the node may not go on."""
        self.public_port = 0
        self.callback_port = 0
        self.admin_port = 0

    async def start(self) -> None:
        """Bind the ports, wait for the chain node, start everything.

        Raises CannotListen, OpenAdminPort, UnusableCertificate, DamagedKey, DatabaseUnusable, InvalidNode: then the node
        cannot run as it is configured.
        """
        settings, parts = self._settings, self._parts
        require_guarded(settings)
        callbacks_tls = server_context(settings.api, settings.api.ml_client_ca)
        admin_tls = server_context(settings.api, settings.api.admin_client_ca)
        public, callbacks, admin = self._bound()
        self._public = await self._started(
            Listener(PerAddress(self._front, settings.api), public, websocket_path=EVENTS_PATH)
        )
        identity = Identity.load(settings.home, settings.key_name)
        database = await self._database_of(identity)
        http = await parts.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # requests under way are bounded where they begin
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        )
        ml_nodes = await parts.enter_async_context(session_to_ml_nodes(settings.api))

        rpc = Rpc(http, settings.chain_node.url)
        chain = GrpcChain(settings.chain_node.grpc_url, await chain_id(rpc))
        parts.push_async_callback(chain.close)
        _log.info(
            "host %s, gateway account %s, on chain %s", identity.address, identity.gateway.address, chain.chain_id
        )
        follower = await self._started(Follower(http, rpc))
        phases = await self._started(PhaseKeeper(follower, chain))
        outbox = await self._started(DurableOutbox(database, identity.account, chain, rpc, phases))

        fleet = await self._started(HostFleet(database, ml_nodes, settings, identity, chain, outbox))
        training = await self._started(TrainingService(settings, identity, chain, outbox, fleet, phases))
        prover = await self._started(
            Prover(database, settings, identity, chain, outbox, fleet, phases, training.training_of)
        )
        leaves = LeavesService(database, identity, chain, prover.leaves)
        checker = await self._started(Checker(database, settings, identity, chain, outbox, fleet, phases, leaves))
        await self._started(Revealer(database, identity, chain, outbox, phases))
        answers = await self._started(
            AnswerChecking(database, settings, identity, chain, outbox, fleet, phases, ml_nodes)
        )
        claimer = await self._started(Claimer(identity, chain, outbox, phases, answers))
        inference = await self._started(
            InferenceService(settings, identity, database, chain, outbox, fleet, phases, ml_nodes)
        )

        public_app = PublicApp(
            settings,
            identity,
            chain,
            rpc,
            outbox,
            phases,
            inference,
            leaves.endpoint,
            answers.artifacts.endpoint,
            http,
            training.locking,
            archive=ProofArchive(database),
        )
        parts.push_async_callback(public_app.close)
        await self._started(ProofKeeper(public_app.members_of, phases))
        at_admin, at_callbacks = WrongTokens(ADMIN), WrongTokens(CALLBACKS)
        await self._started(Listener(callbacks_app(settings, fleet, prover, at_callbacks), callbacks, callbacks_tls))
        registration = await self._started(Registration(settings, identity, chain, rpc, outbox, phases, http))
        for check in (ChainFollowed(phases), DatabaseWritten(database), Registered(registration)):
            self._readiness.require(check)
        metrics = Metrics(self._traffic)
        for source in (
            sources.of_host(identity, self._readiness),
            sources.of_fleet(fleet, public_app),
            sources.of_guarded_ports((at_admin, at_callbacks)),
            sources.of_outbox(outbox),
            sources.of_poc_checks(checker),
            sources.of_checks(database),
            sources.of_chain(follower, phases),
            sources.of_accounts(identity, chain, phases),
        ):
            metrics.add(source)
        admin_application = admin_app(settings, identity, chain, fleet, at_admin)
        serve_figures(admin_application, metrics)
        serve_api_keys(admin_application, inference.api_keys)
        serve_claims(admin_application, claimer)
        await self._started(Listener(admin_application, admin, admin_tls))
        self._front.open(public_app, PATHS | {EVENTS_PATH})
        self._readiness.begun = True
        _log.info(
            "ports: public %d, call-backs of ML nodes %d, admin %d",
            self.public_port,
            self.callback_port,
            self.admin_port,
        )

    def hasten(self) -> None:
        """Wait no longer for answers under way, also when `close` waits for them already."""
        if self._public is not None:
            self._public.cut_off()

    async def close(self) -> None:
        """End everything, in reverse order: first no new requests, then those under way, last the database."""
        await self._front.drain(self._settings.api.drain_seconds)
        if self._public is not None:
            await self._public.close()
        await self._parts.aclose()

    def _bound(self) -> tuple[socket.socket, socket.socket, socket.socket]:
        """The ports: public, of ML nodes' call-backs, of the admin. Raises CannotListen."""
        api = self._settings.api
        public, callbacks, admin = (
            self._parts.enter_context(bind(host, port, f"DAPI_API__{name}_SERVER_PORT"))
            for name, host, port in (
                ("PUBLIC", api.public_server_host, api.public_server_port),
                ("ML", api.ml_server_host, api.ml_server_port),
                ("ADMIN", api.admin_server_host, api.admin_server_port),
            )
        )
        self.public_port, self.callback_port, self.admin_port = (
            each.getsockname()[1] for each in (public, callbacks, admin)
        )
        return public, callbacks, admin

    async def _database_of(self, identity: Identity) -> Database:
        """The node's database, in its hands alone and of this version. Raises DatabaseUnusable, DatabaseTaken."""
        settings = self._settings
        database = connect(database_url(settings.database_url, settings.home))
        self._parts.push_async_callback(database.close)
        hold = await self._started(Hold(database, settings.home, self.unfit.set_exception))
        await migrate(database)
        await hold.own(identity.address)
        return database

    async def _started(self, part: Started) -> Started:
        self._parts.push_async_callback(part.close)
        await part.start()
        return part


async def chain_id(rpc: Rpc) -> str:
    """The name of the chain that the chain node follows, as soon as it answers."""
    pause = FIRST_RETRY_SECONDS
    while True:
        try:
            return (await rpc.status()).chain_id
        except LedgerError as error:
            _log.warning("waiting for the chain node: %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_RETRY_SECONDS)
