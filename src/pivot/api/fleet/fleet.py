"""The host's fleet: registry, one reconciler per node, leases, checks, and the report to the chain, put together."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import aiohttp

from pivot.api.database import Database
from pivot.api.fleet.checking import Checking
from pivot.api.fleet.client import MlNodeClient, MlNodeError
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.hardware import HardwareReport
from pivot.api.fleet.interface import Duty, FleetNode, Lease
from pivot.api.fleet.lending import Lending
from pivot.api.fleet.load import Load
from pivot.api.fleet.models import RegisteredModels, registered_models, require_servable
from pivot.api.fleet.observation import Observation
from pivot.api.fleet.reach import require_reachable
from pivot.api.fleet.reconciler import NodeReconciler
from pivot.api.fleet.registry import RegisteredNode, Registry, UnknownNode
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, Outbox
from pivot.api.settings import ApiSettings
from pivot.protocol.mlnode_api import CallbackTried, InferenceStatus, ValidateRequest

DRAIN_TIMEOUT_S = 600.0
"""How long a removed node may finish its answers before it is stopped: the longest generation."""
DRAIN_POLL_S = 0.5
MAX_LOOKED_FOR = 100
"""New nodes that are looked for at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeReport:
    """Everything about one node, for its host."""

    registered: RegisteredNode
    view: FleetNode
    seen: Observation | None
    seen_at_ns: int
    leases: int
    failure_reason: str
    warnings: tuple[str, ...]
    starting: InferenceStatus | None


class HostFleet:
    """Implements `fleet/interface.py: Fleet`, and what the Admin API needs."""

    def __init__(
        self,
        database: Database,
        http: aiohttp.ClientSession,
        settings: ApiSettings,
        identity: Identity,
        chain: Chain,
        outbox: Outbox,
    ) -> None:
        self._http = http
        self._settings = settings
        self._chain = chain
        self._registry = Registry(database)
        self._nodes: dict[str, NodeReconciler] = {}
        self._loads: WeakValueDictionary[str, Load] = WeakValueDictionary()
        """By inference port: requests that go on when their node is declared anew still take its places."""
        self._lending = Lending(self._nodes.values)
        self._checking = Checking(self._nodes.values)
        self._hardware = HardwareReport(self._registry, identity.address, chain, outbox)
        self._duties: Callable[[FleetNode], Duty] | None = None
        self._changing = asyncio.Lock()
        """Held while the registry and the reconcilers change together; never while anything is asked over the network."""
        self._draining: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up the nodes that are kept; on the first start those of `node_config_path`. Raises InvalidNode."""
        if await self._registry.is_new():
            await self._load_node_config()
        for node in await self._registry.nodes():
            self._employ(node)
        self._hardware.start()

    async def close(self) -> None:
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes.values()))
        await self._hardware.close()

    @property
    def waiting(self) -> int:
        """Requests that wait for a free node."""
        return self._lending.waiting

    def nodes(self) -> Sequence[FleetNode]:
        return [node.view() for node in self._nodes.values()]

    def assign(self, duties: Callable[[FleetNode], Duty]) -> None:
        """As `Fleet.assign`. `duties` is asked again at every look at a node."""
        self._duties = duties
        self.reconsider()

    def reconsider(self) -> None:
        for node in self._nodes.values():
            node.wake()

    def lend(self, model: str, *, wait_s: float, spare: bool = False) -> AbstractAsyncContextManager[Lease]:
        return self._lending.lend(model, wait_s=wait_s, spare=spare)

    async def distances(self, request: ValidateRequest, *, timeout_s: float) -> list[int]:
        return await self._checking.distances(request, timeout_s=timeout_s)

    def accept_distances(self, batch_id: str, distances: list[int]) -> None:
        self._checking.accept(batch_id, distances)

    def reports(self) -> list[NodeReport]:
        """All nodes in the order of their numbers."""
        nodes = sorted(self._nodes.values(), key=lambda node: node.node.node_number)
        return [
            NodeReport(
                registered=node.node,
                view=node.view(),
                seen=node.seen,
                seen_at_ns=node.seen_at_ns,
                leases=node.load.leases,
                failure_reason=node.failure_reason or _why_it_is_spared(node),
                warnings=node.warnings,
                starting=node.starting,
            )
            for node in nodes
        ]

    async def put(self, declaration: NodeDeclaration) -> None:
        """Add a node, or replace the one of the same id. Raises InvalidNode, LedgerError."""
        [refusal] = await self.put_all([declaration])
        if refusal is not None:
            raise refusal

    async def put_all(self, declarations: Sequence[NodeDeclaration]) -> list[InvalidNode | None]:
        """Add or replace nodes, one after the other; for each what is wrong with it, or None. Raises LedgerError.

        All are looked for at once, so that many that do not answer take no longer than one.
        """
        models = await registered_models(self._chain)
        patience = asyncio.Semaphore(MAX_LOOKED_FOR)
        found = await asyncio.gather(*(self._fault_of(each, models, patience) for each in declarations))
        return [
            fault or await self._register(declaration) for declaration, fault in zip(declarations, found, strict=True)
        ]

    async def update(self, node_id: str, declaration: NodeDeclaration) -> None:
        """Replace a node that is there. Raises UnknownNode, InvalidNode, LedgerError."""
        if node_id not in self._nodes:
            raise UnknownNode(node_id)
        if declaration.id != node_id:
            raise InvalidNode(f"id: the node is {node_id!r}, not {declaration.id!r}; to rename it, add it anew")
        await self.put(declaration)

    async def _fault_of(
        self, declaration: NodeDeclaration, models: RegisteredModels, patience: asyncio.Semaphore
    ) -> InvalidNode | None:
        """What speaks against a declaration before others are looked at. A known address is not asked: it may be down."""
        known = self._nodes.get(declaration.id)
        try:
            require_servable(declaration, models)
            if known is None or known.client.management_url != declaration.management_url:
                async with patience:
                    await require_reachable(self._client_of(declaration))
        except InvalidNode as fault:
            return fault
        return None

    async def _register(self, declaration: NodeDeclaration) -> InvalidNode | None:
        """Keep a declaration and look after its node. Returns what speaks against it."""
        async with self._changing:
            try:
                registered = await self._registry.put(declaration)
            except InvalidNode as fault:
                return fault
            before = self._nodes.pop(declaration.id, None)
            if before:
                await before.close()
            self._employ(registered, must_be_told=before is not None and _serves_otherwise(before, registered))
        if before and before.client.management_url != registered.declaration.management_url:
            self._let_go(before)
        self._lending.changed()
        self._hardware.changed()
        return None

    async def remove(self, node_id: str) -> bool:
        """Take a node away: it gets no more requests, ends those it has, and is stopped. False for an unknown id."""
        async with self._changing:
            if not await self._registry.remove(node_id):
                return False
            node = self._nodes.pop(node_id)
            await node.close()
        self._let_go(node)
        self._lending.changed()
        self._hardware.changed()
        return True

    async def set_enabled(self, node_id: str, *, enabled: bool) -> None:
        """Enable a node (in the midst of a sprint: as of its end), or disable it as of the next sprint.

        Raises UnknownNode, LedgerError.
        """
        epoch = await self._latest_epoch()
        async with self._changing:
            node = self._nodes.get(node_id)
            if node is None:
                raise UnknownNode(node_id)
            node.node = await self._registry.set_enabled(node_id, epoch, enabled=enabled)
            node.wake()
        self._hardware.changed()

    async def try_callback(self, node_id: str) -> CallbackTried:
        """What a node finds at this host's call-back URL. Raises UnknownNode, MlNodeError."""
        node = self._nodes.get(node_id)
        if node is None:
            raise UnknownNode(node_id)
        return await node.client.try_callback(self._settings.api.poc_callback_url)

    def _employ(self, registered: RegisteredNode, *, must_be_told: bool = False) -> None:
        declaration = registered.declaration
        node = NodeReconciler(
            registered,
            self._client_of(declaration),
            duty_of=self._duty_of,
            changed=self._lending.changed,
            load=self._loads.setdefault(declaration.inference_url, Load()),
            must_be_told=must_be_told,
        )
        self._nodes[declaration.id] = node
        node.start()

    def _client_of(self, declaration: NodeDeclaration) -> MlNodeClient:
        return MlNodeClient(self._http, declaration.management_url, declaration.inference_url, declaration.auth_token)

    def _duty_of(self, node: FleetNode) -> Duty | None:
        return self._duties(node) if self._duties else None

    async def _latest_epoch(self) -> int:
        return (await self._chain.epoch_info()).latest_epoch.index

    async def _load_node_config(self) -> None:
        path = self._settings.node_config_path
        if path is None:
            return
        try:
            raw = path.read_bytes()
        except OSError as error:
            # A container's engine mounts an empty folder in place of a file that is missing.
            raise InvalidNode(
                f"NODE_CONFIG_PATH (NODE_CONFIG in config.env): {path} cannot be read: {error.strerror}"
            ) from error
        for declaration in parse_node_config(raw):
            await self._registry.put(declaration)

    def _let_go(self, node: NodeReconciler) -> None:
        """A machine has left the fleet: it ends its answers and is stopped, which nobody waits for."""
        task = asyncio.create_task(self._drain(node), name=f"drain-{node.node.declaration.id}")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _drain(self, node: NodeReconciler) -> None:
        """Stop a node's machine when its answers have ended, unless it is in the fleet again by then."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while node.load.leases:
                    await asyncio.sleep(DRAIN_POLL_S)
        except TimeoutError:
            log.warning("ML node %s is stopped with %d requests under way", node.node.declaration.id, node.load.leases)
        if any(other.client.management_url == node.client.management_url for other in self._nodes.values()):
            return
        try:
            await node.client.stop()
        except MlNodeError as error:
            log.info("the removed ML node %s was not stopped: %s", node.node.declaration.id, error)


def _serves_otherwise(before: NodeReconciler, registered: RegisteredNode) -> bool:
    """Whether what a node serves may be out of date now that it is declared anew: an engine's arguments cannot be seen."""
    old, new = before.node.declaration, registered.declaration
    return before.must_be_told or (old.models, old.management_url, old.inference_url) != (
        new.models,
        new.management_url,
        new.inference_url,
    )


def _why_it_is_spared(node: NodeReconciler) -> str:
    """Why a node that is seen serving is lent to nobody; empty for one that is lent."""
    return f"its requests fail: {node.load.last_failure}" if node.view().failing else ""


def parse_node_config(raw: bytes) -> list[NodeDeclaration]:
    """The nodes of a `node-config.json`. Raises InvalidNode with the place of the fault."""
    try:
        documents: Any = json.loads(raw)
    except ValueError as error:
        raise InvalidNode(f"node-config.json is no JSON: {error}") from None
    if not isinstance(documents, list):
        raise InvalidNode("node-config.json must hold a list of nodes")
    declarations = []
    for place, document in enumerate(documents):
        try:
            declarations.append(NodeDeclaration.parse(document))
        except InvalidNode as error:
            raise InvalidNode(f"node-config.json, node {place}: {error}") from None
    return declarations
