"""Permissions in a genesis file."""

from typing import Any

from cosmos.authz.v1beta1.authz_pb2 import Grant, GrantAuthorization
from cosmos.authz.v1beta1.genesis_pb2 import GenesisState
from google.protobuf import json_format

from pivot.chain.modules.auth.state import ensure_account
from pivot.chain.modules.authz.authorizations import check_grant, permission_in
from pivot.chain.modules.authz.state import grant, permissions, published_grant
from pivot.chain.types import Block, Reader


def load(block: Block, document: dict[str, Any]) -> None:
    """Write the permissions. Raises what a message that gives one would be refused for."""
    for each in json_format.ParseDict(document, GenesisState()).authorization:
        expiration = each.expiration if each.HasField("expiration") else None
        published = Grant(authorization=each.authorization, expiration=expiration)
        check_grant(published)
        ensure_account(block.state, each.grantee)
        grant(block.state, permission_in(each.granter, each.grantee, published))


def export(state: Reader) -> dict[str, Any]:
    """All permissions, as `load` takes them."""
    published = GenesisState()
    for each in permissions(state):
        given = published_grant(each)
        published.authorization.append(
            GrantAuthorization(
                granter=each.granter,
                grantee=each.grantee,
                authorization=given.authorization,
                expiration=given.expiration if given.HasField("expiration") else None,
            )
        )
    return json_format.MessageToDict(published, preserving_proto_field_name=True)
