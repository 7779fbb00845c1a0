"""`tx inference grant-ml-ops-permissions`: a host lets its operational key, which stays on the server, do its duties."""

import time
from typing import Annotated

import typer
from cosmos.authz.v1beta1.authz_pb2 import GenericAuthorization
from cosmos.authz.v1beta1.tx_pb2 import MsgGrant

from pivot.chain.registry import MESSAGES
from pivot.cli.flags import KeyFlags, NodeFlags, spread
from pivot.cli.keyrings import keyring
from pivot.cli.tx.draft import DraftFlags
from pivot.cli.tx.sending import SendFlags, SignerFlags, TxFlags, carry_out
from pivot.protocol.messages import pack
from pivot.protocol.transactions import NANOSECONDS, timestamp

MODULE = "inference"
PACKAGE = "inference.inference"
SIGNER = "creator"
DEFAULT_DAYS = 365
SECONDS_PER_DAY = 86_400


def register(app: typer.Typer) -> None:
    """Add the command to the module's group."""
    app.command("grant-ml-ops-permissions")(spread(grant_permissions))


def permitted() -> list[str]:
    """What a host sends in its own name: all of the network's messages but those of governance."""
    return [
        url
        for url, handler in MESSAGES.all().items()
        if handler.type.DESCRIPTOR.file.package == PACKAGE and SIGNER in handler.type.DESCRIPTOR.fields_by_name
    ]


def grant_permissions(
    operational_key: Annotated[str, typer.Argument(metavar="ADDRESS", help="The operational key: address or name.")],
    sender: Annotated[str, typer.Option("--from", help="The host's account key: name or address.")],
    draft: DraftFlags,
    signer: SignerFlags,
    send: SendFlags,
    keys: KeyFlags,
    node: NodeFlags,
    days: Annotated[int, typer.Option(min=1, help="Days until the permissions end.")] = DEFAULT_DAYS,
) -> None:
    """Permit an operational key all that a host sends in its own name, but neither its coins nor its votes."""
    with keyring(keys) as ring:
        granter, grantee = ring.address(sender), ring.address(operational_key)
    ends = timestamp((time.time_ns() // NANOSECONDS + days * SECONDS_PER_DAY) * NANOSECONDS)
    grants = []
    for url in permitted():
        grant = MsgGrant(granter=granter, grantee=grantee)
        grant.grant.authorization.CopyFrom(pack(GenericAuthorization(msg=url)))
        grant.grant.expiration.CopyFrom(ends)
        grants.append(grant)
    carry_out(grants, sender, TxFlags(draft, signer, send, keys, node))
