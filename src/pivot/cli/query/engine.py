"""What the engine knows: transactions, blocks, validators, the node itself."""

import re
from typing import Annotated, Any

import typer
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.tendermint.v1beta1 import query_pb2
from cosmos.tx.v1beta1 import service_pb2

from pivot.chain.gateway.blocks import Blocks
from pivot.chain.gateway.transactions import Transactions
from pivot.cli.chain_port import ChainPort
from pivot.cli.flags import NodeFlags, spread, whole
from pivot.cli.output import CommandFailed, Json
from pivot.cli.tx.draft import document
from pivot.cli.tx.sending import tell

DEFAULT_LIMIT = 30
_HASH = re.compile(r"(0x)?[0-9A-Fa-f]{64}")

Height = Annotated[int, typer.Argument(callback=whole, help="Height of the block; 0: the last.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("tx")(spread(show_transaction))
    app.command("wait-tx")(spread(wait_transaction))
    app.command("txs")(spread(search_transactions))
    app.command("block")(spread(show_block))
    app.command("validators")(spread(show_validators))
    app.command("status")(spread(show_status))


def show_transaction(
    name: Annotated[str, typer.Argument(metavar="HASH", help="Hash of the transaction, in hex.")],
    node: NodeFlags,
    as_json: Json = False,
) -> None:
    """Show a transaction that is in a block."""
    tell(document(ChainPort(node.node).transaction(_checked(name)).tx_response), as_json=as_json)


def wait_transaction(
    name: Annotated[str, typer.Argument(metavar="HASH", help="Hash of the transaction, in hex.")],
    node: NodeFlags,
    as_json: Json = False,
) -> None:
    """Wait until a transaction is in a block, a minute at most, and show it."""
    tell(document(ChainPort(node.node).wait(_checked(name))), as_json=as_json)


def search_transactions(
    node: NodeFlags,
    query: Annotated[
        str, typer.Option(help="Conditions joined by AND, such as message.sender='gonka1…' AND tx.height>5.")
    ],
    page: Annotated[int, typer.Option(min=1, help="Number of the page.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Transactions of a page.")] = DEFAULT_LIMIT,
    order_by: Annotated[str, typer.Option(help="asc or desc.")] = "asc",
    as_json: Json = False,
) -> None:
    """Find transactions by their events."""
    order = service_pb2.ORDER_BY_DESC if order_by == "desc" else service_pb2.ORDER_BY_ASC
    request = service_pb2.GetTxsEventRequest(query=query, page=page, limit=limit, order_by=order)
    found = ChainPort(node.node).run(lambda engine: Transactions(engine).search(request))
    shown: Any = document(found)
    tell({"total": shown["total"], "tx_responses": shown["tx_responses"]}, as_json=as_json)


def show_block(node: NodeFlags, height: Height = 0, as_json: Json = False) -> None:
    """Show a block."""
    request = query_pb2.GetBlockByHeightRequest(height=height)
    port = ChainPort(node.node)
    if height:
        told: Any = port.run(lambda engine: Blocks(engine).block_by_height(request))
    else:
        told = port.run(lambda engine: Blocks(engine).latest_block(query_pb2.GetLatestBlockRequest()))
    shown = document(told)
    shown.pop("block", None)  # the older form of the same
    tell(shown, as_json=as_json)


def show_validators(
    node: NodeFlags,
    height: Height = 0,
    page_offset: Annotated[int, typer.Option(callback=whole, help="Validators to pass over.")] = 0,
    as_json: Json = False,
) -> None:
    """Show the validators at a height, and their power."""
    pagination = PageRequest(offset=page_offset)
    port = ChainPort(node.node)
    if height:
        at = query_pb2.GetValidatorSetByHeightRequest(height=height, pagination=pagination)
        told: Any = port.run(lambda engine: Blocks(engine).validators_by_height(at))
    else:
        latest = query_pb2.GetLatestValidatorSetRequest(pagination=pagination)
        told = port.run(lambda engine: Blocks(engine).latest_validators(latest))
    tell(document(told), as_json=as_json)


def show_status(node: NodeFlags, as_json: Json = False) -> None:
    """Show what the node says of itself."""
    tell(ChainPort(node.node).call("status"), as_json=as_json)


def _checked(name: str) -> str:
    if not _HASH.fullmatch(name):
        raise CommandFailed(f"{name[:80]!r} is not the hash of a transaction: 64 hex digits")
    return name
