"""The ML nodes that the host has declared, as they are kept: numbers are stable and never given to another node."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pivot.api.database import Database
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.tables import MlNodeRow
from pivot.protocol.poc import MAX_NODES_PER_HOST

FIRST_NODE_NUMBER = 1


class UnknownNode(LookupError):
    """The host has declared no node of this id."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"node not found: {node_id}")


@dataclass(frozen=True)
class RegisteredNode:
    """A declared node with its number and its administrative state."""

    declaration: NodeDeclaration
    node_number: int
    enabled: bool
    changed_in_epoch: int
    """The latest epoch's index when the host last enabled or disabled it; 0 while nothing depends on that."""


class Registry:
    """Nodes in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_new(self) -> bool:
        """Whether no node was ever declared."""
        async with self._database.session() as session:
            return await session.scalar(select(func.count()).select_from(MlNodeRow)) == 0

    async def nodes(self) -> list[RegisteredNode]:
        """The declared nodes in the order of their numbers."""
        async with self._database.session() as session:
            return [_registered(row) for row in await _present(session)]

    async def put(self, declaration: NodeDeclaration) -> RegisteredNode:
        """Add a node, or replace the one of the same id, which keeps its number and whether it is enabled.

        Its token too, unless another is given or it would go to another address: what a list shows is taken back as it is.
        Raises InvalidNode when another node has one of its addresses, or there are too many.
        """
        async with self._database.session() as session:
            present = [_registered(row) for row in await _present(session)]
            _require_own_addresses(declaration, present)
            row = await session.get(MlNodeRow, declaration.id)
            if len(present) >= MAX_NODES_PER_HOST and (row is None or row.removed):
                raise InvalidNode(f"id: a host has {MAX_NODES_PER_HOST} ML nodes at most")
            if row is None:
                highest = await session.scalar(select(func.max(MlNodeRow.node_number)))
                number = FIRST_NODE_NUMBER if highest is None else highest + 1
                row = MlNodeRow(id=declaration.id, node_number=number, enabled=True, changed_in_epoch=0)
                session.add(row)
            elif row.removed:
                row.enabled, row.changed_in_epoch = True, 0
            else:
                declaration = declaration.with_token_of(_registered(row).declaration)
            row.declared, row.removed = declaration.document(), False
            await session.flush()
            return _registered(row)

    async def remove(self, node_id: str) -> bool:
        """Take a node away. False for an unknown one."""
        async with self._database.session() as session:
            row = await session.get(MlNodeRow, node_id)
            if row is None or row.removed:
                return False
            row.removed = True
            return True

    async def set_enabled(self, node_id: str, epoch: int, *, enabled: bool) -> RegisteredNode:
        """Enable or disable a node as of `epoch`. Raises UnknownNode.

        To enable what was disabled in the same epoch takes the disabling back: the node has not rested, so it has not to wait.
        """
        async with self._database.session() as session:
            row = await session.get(MlNodeRow, node_id)
            if row is None or row.removed:
                raise UnknownNode(node_id)
            if row.enabled != enabled:
                taken_back = enabled and row.changed_in_epoch >= epoch
                row.enabled, row.changed_in_epoch = enabled, 0 if taken_back else epoch
            return _registered(row)


async def _present(session: AsyncSession) -> list[MlNodeRow]:
    rows = await session.scalars(select(MlNodeRow).where(~MlNodeRow.removed).order_by(MlNodeRow.node_number))
    return list(rows)


def _registered(row: MlNodeRow) -> RegisteredNode:
    declaration = NodeDeclaration.model_validate(row.declared)
    return RegisteredNode(declaration, row.node_number, row.enabled, row.changed_in_epoch)


def _require_own_addresses(declaration: NodeDeclaration, nodes: list[RegisteredNode]) -> None:
    for other in (node.declaration for node in nodes if node.declaration.id != declaration.id):
        for field, url, taken in (
            ("poc_port", declaration.management_url, other.management_url),
            ("inference_port", declaration.inference_url, other.inference_url),
        ):
            if url == taken:
                raise InvalidNode(f"{field}: {url} belongs to node {other.id!r} already")
