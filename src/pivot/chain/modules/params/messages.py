"""MsgUpdateParams of the network's parameters and of the engine's. Both need a passed proposal."""

from cosmos.consensus.v1 import tx_pb2 as engine_pb2

from pivot.chain.errors import NetworkCode, NetworkError
from pivot.chain.handlers import MessageHandler
from pivot.chain.modules.gov.authority import check_authority
from pivot.chain.modules.params.engine import changed, check_engine_params
from pivot.chain.modules.params.state import consensus_params, set_consensus_params, set_params
from pivot.chain.types import Block
from pivot.protocol.generated.inference.inference.params_pb2 import Params
from pivot.protocol.generated.inference.inference.tx_pb2 import MsgUpdateParams, MsgUpdateParamsResponse
from pivot.protocol.parameters import InvalidParameters, check_params

GAS_OF_AN_UPDATE = 50_000


def _check_update(message: MsgUpdateParams) -> None:
    check_authority(message.authority)
    try:
        check_params(message.params)
    except InvalidParameters as error:
        raise NetworkError(NetworkCode.INVALID_FIELD, f"params: {error}") from None


def _update(block: Block, message: MsgUpdateParams) -> MsgUpdateParamsResponse:
    """Replace the parameters. An epoch under way keeps its own copy, so they take force with the next sprint (W-13, W-22)."""
    agreed = Params()
    agreed.CopyFrom(message.params)
    agreed.ClearField(
        "transfer_agent_access_params"
    )  # the query fills it in, and clients send back what they have read
    set_params(block.state, agreed)
    block.emit("params_updated", height=block.height)
    return MsgUpdateParamsResponse()


def _check_engine_update(message: engine_pb2.MsgUpdateParams) -> None:
    check_authority(message.authority)
    check_engine_params(message)


def _update_engine(block: Block, message: engine_pb2.MsgUpdateParams) -> engine_pb2.MsgUpdateParamsResponse:
    """Have the engine work with other limits from the next block on."""
    set_consensus_params(block.state, changed(consensus_params(block.state), message))
    return engine_pb2.MsgUpdateParamsResponse()


MESSAGES: list[MessageHandler] = [
    MessageHandler(MsgUpdateParams, _update, gas=lambda _: GAS_OF_AN_UPDATE, check=_check_update),
    MessageHandler(
        engine_pb2.MsgUpdateParams, _update_engine, gas=lambda _: GAS_OF_AN_UPDATE, check=_check_engine_update
    ),
]
