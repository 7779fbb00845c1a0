"""What the engine's own parameters may be: it would stop on wrong ones, and a block too small would leave no way back."""

from cosmos.consensus.v1.tx_pb2 import MsgUpdateParams
from tendermint.types.params_pb2 import ConsensusParams

from pivot.chain.errors import SdkCode, SdkError

LEAST_BLOCK_BYTES = 2**20
"""The largest batch of inferences (512 KiB) and the members' duties fit."""
MOST_BLOCK_BYTES = 100 * 2**20
"""The engine's own limit."""
LEAST_BLOCK_GAS = 100_000_000
"""Several times what the largest batch of inferences takes."""
NO_GAS_LIMIT = -1
KEY_TYPES = ["ed25519"]


def check_engine_params(message: MsgUpdateParams) -> None:
    """Refuse parameters on which the engine or the network would stop. Raises SdkError (INVALID_REQUEST)."""
    block, evidence = message.block, message.evidence
    _require(
        LEAST_BLOCK_BYTES <= block.max_bytes <= MOST_BLOCK_BYTES,
        f"block.max_bytes must be between {LEAST_BLOCK_BYTES} and {MOST_BLOCK_BYTES}",
    )
    _require(
        block.max_gas == NO_GAS_LIMIT or block.max_gas >= LEAST_BLOCK_GAS,
        f"block.max_gas must be {NO_GAS_LIMIT} (no limit) or at least {LEAST_BLOCK_GAS}",
    )
    _require(evidence.max_age_num_blocks > 0, "evidence.max_age_num_blocks must be above 0")
    _require(
        evidence.max_age_duration.seconds > 0 and evidence.max_age_duration.nanos == 0,
        "evidence.max_age_duration must be a whole number of seconds above 0",
    )
    _require(0 <= evidence.max_bytes <= block.max_bytes, "evidence.max_bytes must not be above block.max_bytes")
    _require(list(message.validator.pub_key_types) == KEY_TYPES, f"validator.pub_key_types must be {KEY_TYPES}")
    _require(
        message.abci.vote_extensions_enable_height == 0,
        "abci.vote_extensions_enable_height must be 0: this chain has no vote extensions",
    )


def changed(current: ConsensusParams, message: MsgUpdateParams) -> ConsensusParams:
    """The current parameters with those of the message."""
    after = ConsensusParams()
    after.CopyFrom(current)
    after.block.CopyFrom(message.block)
    after.evidence.CopyFrom(message.evidence)
    after.validator.CopyFrom(message.validator)
    return after


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise SdkError(SdkCode.INVALID_REQUEST, sentence)
