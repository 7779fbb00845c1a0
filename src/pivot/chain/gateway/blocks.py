"""`cosmos.base.tendermint.v1beta1.Service`: blocks, validators and the node itself, as the engine knows them."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
from cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmos.base.tendermint.v1beta1 import query_pb2, types_pb2
from cosmos.crypto.ed25519.keys_pb2 import PubKey
from google.protobuf import json_format
from google.protobuf.message import Message
from grpc import StatusCode
from tendermint.crypto.proof_pb2 import ProofOp as EngineProofOp
from tendermint.p2p.types_pb2 import DefaultNodeInfo
from tendermint.types.block_pb2 import Block
from tendermint.types.types_pb2 import BlockID
from tendermint.types.validator_pb2 import BlockIDFlag

from pivot.chain.gateway.engine import Engine
from pivot.chain.gateway.methods import Method, engine_methods
from pivot.chain.gateway.refusals import Refusal
from pivot.primitives import bech32
from pivot.primitives.addresses import CONSENSUS_PREFIX
from pivot.protocol.messages import pack

SERVICE = query_pb2.DESCRIPTOR.services_by_name["Service"]
APPLICATION_NAME = "pivot"
COSMOS_SDK_VERSION = "v0.53.0"
"""Release of the Cosmos SDK whose interfaces this node offers; some clients choose their calls by it."""
VALIDATORS_PER_PAGE = 100
Made = TypeVar("Made", bound=Message)
_HEX_FIELDS = frozenset(
    {
        "app_hash",
        "consensus_hash",
        "data_hash",
        "evidence_hash",
        "hash",
        "last_commit_hash",
        "last_results_hash",
        "next_validators_hash",
        "proposer_address",
        "validator_address",
        "validators_hash",
    }
)


def block_methods(engine: Engine) -> list[Method]:
    """The methods of the service."""
    blocks = Blocks(engine)
    handlers: dict[str, Callable[[Any], Awaitable[Message]]] = {
        "GetNodeInfo": blocks.node_info,
        "GetSyncing": blocks.syncing,
        "GetLatestBlock": blocks.latest_block,
        "GetBlockByHeight": blocks.block_by_height,
        "GetLatestValidatorSet": blocks.latest_validators,
        "GetValidatorSetByHeight": blocks.validators_by_height,
        "ABCIQuery": blocks.abci_query,
    }
    return engine_methods(SERVICE, handlers)


class Blocks:
    """One method per method of the service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def node_info(self, _: query_pb2.GetNodeInfoRequest) -> query_pb2.GetNodeInfoResponse:
        told = (await self._engine.call("status"))["node_info"]
        info = DefaultNodeInfo(
            protocol_version={name: int(number) for name, number in told["protocol_version"].items()},
            default_node_id=told["id"],
            listen_addr=told["listen_addr"],
            network=told["network"],
            version=told["version"],
            channels=bytes.fromhex(told["channels"]),
            moniker=told["moniker"],
            other=told["other"],
        )
        application = query_pb2.VersionInfo(
            name=APPLICATION_NAME,
            app_name=APPLICATION_NAME,
            version=version("pivot"),
            cosmos_sdk_version=COSMOS_SDK_VERSION,
        )
        return query_pb2.GetNodeInfoResponse(default_node_info=info, application_version=application)

    async def syncing(self, _: query_pb2.GetSyncingRequest) -> query_pb2.GetSyncingResponse:
        status = await self._engine.call("status")
        return query_pb2.GetSyncingResponse(syncing=status["sync_info"]["catching_up"])

    async def latest_block(self, _: query_pb2.GetLatestBlockRequest) -> query_pb2.GetLatestBlockResponse:
        return query_pb2.GetLatestBlockResponse(**await self._block(None))

    async def block_by_height(self, request: query_pb2.GetBlockByHeightRequest) -> query_pb2.GetBlockByHeightResponse:
        return query_pb2.GetBlockByHeightResponse(**await self._block(request.height))

    async def latest_validators(
        self, request: query_pb2.GetLatestValidatorSetRequest
    ) -> query_pb2.GetLatestValidatorSetResponse:
        return query_pb2.GetLatestValidatorSetResponse(**await self._validators(None, request.pagination))

    async def validators_by_height(
        self, request: query_pb2.GetValidatorSetByHeightRequest
    ) -> query_pb2.GetValidatorSetByHeightResponse:
        fields = await self._validators(request.height, request.pagination)
        return query_pb2.GetValidatorSetByHeightResponse(**fields)

    async def abci_query(self, request: query_pb2.ABCIQueryRequest) -> query_pb2.ABCIQueryResponse:
        parameters = {
            "path": request.path,
            "data": request.data.hex(),
            "height": str(request.height),
            "prove": request.prove,
        }
        told = (await self._engine.call("abci_query", parameters))["response"]
        operations = [
            json_format.ParseDict(each, EngineProofOp()) for each in (told.get("proofOps") or {}).get("ops", [])
        ]
        return query_pb2.ABCIQueryResponse(
            code=told.get("code", 0),
            log=told.get("log", ""),
            info=told.get("info", ""),
            index=int(told.get("index", 0)),
            key=base64.b64decode(told.get("key") or ""),
            value=base64.b64decode(told.get("value") or ""),
            proof_ops=query_pb2.ProofOps(
                ops=[query_pb2.ProofOp(type=each.type, key=each.key, data=each.data) for each in operations]
            ),
            height=int(told.get("height", 0)),
            codespace=told.get("codespace", ""),
        )

    async def _block(self, height: int | None) -> dict[str, Any]:
        told = await self._engine.call("block", {} if height is None else {"height": str(height)})
        if not told.get("block"):
            raise Refusal(StatusCode.NOT_FOUND, f"this node has no block {height}")
        block = engine_message(told["block"], Block())
        sdk_block = types_pb2.Block(
            header=_sdk_header(block), data=block.data, evidence=block.evidence, last_commit=block.last_commit
        )
        return {"block_id": engine_message(told["block_id"], BlockID()), "block": block, "sdk_block": sdk_block}

    async def _validators(self, height: int | None, asked: PageRequest) -> dict[str, Any]:
        """One of the engine's pages; those of the request must begin where one of them does."""
        size = min(asked.limit or VALIDATORS_PER_PAGE, VALIDATORS_PER_PAGE)
        parameters = {"page": str(asked.offset // size + 1), "per_page": str(size)}
        told = await self._engine.call("validators", parameters | ({} if height is None else {"height": str(height)}))
        validators = [
            query_pb2.Validator(
                address=bech32.encode(CONSENSUS_PREFIX, bytes.fromhex(each["address"])),
                pub_key=pack(PubKey(key=base64.b64decode(each["pub_key"]["value"]))),
                voting_power=int(each["voting_power"]),
                proposer_priority=int(each["proposer_priority"]),
            )
            for each in told["validators"]
        ]
        return {
            "block_height": int(told["block_height"]),
            "validators": validators,
            "pagination": {"total": int(told["total"])},
        }


def engine_message(document: Mapping[str, Any], message: Made) -> Made:
    """A message from the engine's JSON, which writes hashes in hex and some names of its own."""
    return json_format.ParseDict(_as_protobuf_json(document), message, ignore_unknown_fields=True)


def _as_protobuf_json(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        fields = {("part_set_header" if key == "parts" else key): each for key, each in value.items()}
        return {key: _as_protobuf_json(each, key) for key, each in fields.items() if each is not None}
    if isinstance(value, list):
        return [_as_protobuf_json(each, name) for each in value]
    if name in _HEX_FIELDS and isinstance(value, str):
        return base64.b64encode(bytes.fromhex(value)).decode()
    if name == "block_id_flag":
        return BlockIDFlag.Name(int(value))
    return value


def _sdk_header(block: Block) -> types_pb2.Header:
    """The header with the proposer written in bech32, as the Cosmos SDK shows it."""
    header = types_pb2.Header()
    plain = json_format.MessageToDict(block.header, preserving_proto_field_name=True)
    plain["proposer_address"] = bech32.encode(CONSENSUS_PREFIX, block.header.proposer_address)
    return json_format.ParseDict(plain, header)
