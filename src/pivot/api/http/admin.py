"""The admin port: the host's own hand on its fleet, in the published shapes."""

import ipaddress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from pivot.api.admin_actions import AdminActionLog
from pivot.api.fleet.client import MlNodeError
from pivot.api.fleet.declaration import InvalidNode, NodeDeclaration
from pivot.api.fleet.fleet import HostFleet
from pivot.api.fleet.registry import UnknownNode
from pivot.api.http.bearer import BearerToken
from pivot.api.http.bounded import BoundedBody
from pivot.api.http.node_list import listed_nodes
from pivot.api.http.plain_errors import answer_refusals
from pivot.api.http.recorded import RecordedActions
from pivot.api.http.wrong_tokens import ADMIN, WrongTokens
from pivot.api.identity import Identity
from pivot.api.ledger.interface import Chain, LedgerError
from pivot.api.settings import ApiSettings
from pivot.protocol.mlnode_api import CallbackTried

MAX_BODY_BYTES = 4 * 2**20
MAX_BATCH_NODES = 1_000


class OpenAdminPort(ValueError):
    """The admin port would be open to everybody."""


def admin_app(
    settings: ApiSettings, identity: Identity, chain: Chain, fleet: HostFleet, wrong: WrongTokens | None = None
) -> FastAPI:
    """The application on the admin port. Raises OpenAdminPort when it is bound to a public address without a token."""
    require_guarded(settings)
    app = FastAPI(title="Pivot API node: admin")
    credential = "token" if settings.api.admin_token else "none"
    app.add_middleware(RecordedActions, actions=AdminActionLog(settings.home), credential=credential)
    app.add_middleware(BoundedBody, limit=MAX_BODY_BYTES)
    if settings.api.admin_token:
        app.add_middleware(BearerToken, token=settings.api.admin_token, wrong=wrong or WrongTokens(ADMIN))
    answer_refusals(
        app,
        {
            InvalidNode: HTTPStatus.BAD_REQUEST,
            UnknownNode: HTTPStatus.NOT_FOUND,
            LedgerError: HTTPStatus.SERVICE_UNAVAILABLE,
            MlNodeError: HTTPStatus.BAD_GATEWAY,
        },
    )

    @app.get("/admin/v1/nodes")
    async def nodes() -> list[dict[str, Any]]:
        """All ML nodes, with what each should do and does."""
        return await listed_nodes(chain, identity.address, fleet.reports())

    @app.post("/admin/v1/nodes")
    async def add(node: NodeDeclaration) -> NodeDeclaration:
        """Add an ML node, or replace the one of the same id."""
        await fleet.put(node)
        return node

    @app.post("/admin/v1/nodes/batch")
    async def add_many(documents: list[Any]) -> JSONResponse:
        """Add several: 201 when all were taken, 206 when some were, 400 when none was."""
        if len(documents) > MAX_BATCH_NODES:
            raise InvalidNode(f"a batch holds at most {MAX_BATCH_NODES} nodes, not {len(documents)}")
        taken, errors = await _put_all(fleet, documents)
        if not errors:
            return JSONResponse(taken, HTTPStatus.CREATED)
        status = HTTPStatus.PARTIAL_CONTENT if taken else HTTPStatus.BAD_REQUEST
        return JSONResponse({"nodes": taken, "errors": errors}, status)

    @app.put("/admin/v1/nodes/{node_id:path}")
    async def update(node_id: str, document: dict[str, Any]) -> NodeDeclaration:
        """Replace an ML node that is there; the id may be left out of the body."""
        node = NodeDeclaration.parse({"id": node_id, **document})
        await fleet.update(node_id, node)
        return node

    @app.delete("/admin/v1/nodes/{node_id:path}")
    async def remove(node_id: str) -> bool:
        """Remove an ML node; false when there is none of this id."""
        return await fleet.remove(node_id)

    @app.post("/admin/v1/nodes/{node_id:path}/enable")
    async def enable(node_id: str) -> dict[str, str]:
        """Let a node work again: at once, but in a sprint that it has not begun only as of its end."""
        await fleet.set_enabled(node_id, enabled=True)
        return {"message": "node enabled successfully", "node_id": node_id}

    @app.post("/admin/v1/nodes/{node_id:path}/disable")
    async def disable(node_id: str) -> dict[str, str]:
        """Let a node rest from the next sprint on; until then it keeps its duties."""
        await fleet.set_enabled(node_id, enabled=False)
        return {"message": "node disabled successfully", "node_id": node_id}

    @app.post("/admin/v1/nodes/{node_id:path}/callback/try")
    async def try_callback(node_id: str) -> CallbackTried:
        """Have a node try the call-back URL; 502 when it cannot be asked."""
        return await fleet.try_callback(node_id)

    return app


def require_guarded(settings: ApiSettings) -> None:
    """Raises OpenAdminPort unless the port has a token, wants certificates, or is open to this machine alone."""
    api = settings.api
    name, host = (
        ("admin_published_host", api.admin_published_host)
        if api.admin_published_host
        else ("admin_server_host", api.admin_server_host)
    )
    if not api.admin_token and api.admin_client_ca is None and not _is_loopback(host):
        raise OpenAdminPort(
            f"DAPI_API__{name.upper()} (api.{name}) is {host}: set DAPI_API__ADMIN_TOKEN (api.admin_token) or "
            "DAPI_API__ADMIN_CLIENT_CA (api.admin_client_ca), or 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _put_all(fleet: HostFleet, documents: list[Any]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The nodes that were taken, and for each of the others its id (or place) and what is wrong with it."""
    parsed = [_parsed(document) for document in documents]
    nodes = [each for each in parsed if isinstance(each, NodeDeclaration)]
    refusals = iter(await fleet.put_all(nodes))
    taken: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for place, (document, node) in enumerate(zip(documents, parsed, strict=True)):
        fault = node if isinstance(node, InvalidNode) else next(refusals)
        if fault is None and isinstance(node, NodeDeclaration):
            taken.append(node.model_dump())
        else:
            named = document.get("id") if isinstance(document, dict) else None
            errors.append({"id": str(named or place), "error": str(fault)})
    return taken, errors


def _parsed(document: Any) -> NodeDeclaration | InvalidNode:
    try:
        return NodeDeclaration.parse(document)
    except InvalidNode as fault:
        return fault
