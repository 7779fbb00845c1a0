"""What the engine has found out about validators (ABCI: misbehavior), and what follows from it."""

from cosmos.evidence.v1beta1.evidence_pb2 import Equivocation

from pivot.chain.modules.evidence.state import put_evidence
from pivot.chain.modules.params.state import consensus_params
from pivot.chain.modules.participants.state import by_consensus_address
from pivot.chain.modules.slashing.liveness import punish_double_sign
from pivot.chain.modules.slashing.state import sentence
from pivot.chain.types import Block, Misbehaviour
from pivot.primitives.addresses import consensus_text
from pivot.protocol.transactions import NANOSECONDS, timestamp


def note_misbehaviours(block: Block) -> None:
    """Slash and tombstone every validator that has signed two blocks of one height, or helped to deceive a light client.

    A key leads to its participant also after a rotation, for as long as evidence counts. What is too old, of a key that
    belongs to nobody, or of somebody who is tombstoned already, changes nothing.
    """
    for each in block.misbehaviours:
        owner = by_consensus_address(block.state, each.address)
        if owner is None or _is_too_old(block, each):
            continue
        known = sentence(block.state, owner)
        if known is not None and known.for_ever:
            continue
        put_evidence(
            block.state,
            Equivocation(
                height=each.height,
                time=timestamp(each.time),
                power=each.power,
                consensus_address=consensus_text(each.address),
            ),
        )
        punish_double_sign(block, owner, each.address, each.power)


def _is_too_old(block: Block, found: Misbehaviour) -> bool:
    """Whether both blocks and time have passed the engine's limits; 0 is no limit."""
    limits = consensus_params(block.state).evidence
    longest_ns = limits.max_age_duration.seconds * NANOSECONDS + limits.max_age_duration.nanos
    return block.height - found.height > limits.max_age_num_blocks > 0 and block.time - found.time > longest_ns
